//! The filters of `GET /resource_providers` and `GET /allocation_candidates`, each with the microversion it came with.

use super::version::Version;
use super::{BAD_VALUE, names, refuse};
use crate::columns::Columns;
use model::placement::{MAX_AMOUNT, Resources};
use store::Tx;
use uuid::Uuid;
use web::{Fault, Query};

/// The filters, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filters {
    pub(super) resources: Resources,
    /// Each group must be met by one of its traits.
    required: Vec<Vec<String>>,
    forbidden: Vec<String>,
    /// Each group must be met by one of its aggregates.
    member_of: Vec<Vec<Uuid>>,
    not_member_of: Vec<Uuid>,
    in_tree: Option<Uuid>,
}

fn bad(message: impl Into<String>) -> Fault {
    Fault::bad_request(message).kind(BAD_VALUE)
}

fn parse_uuid(key: &str, text: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text).map_err(|_| {
        bad(format!("Invalid query string parameters: Expected '{key}' parameter to contain valid UUID(s). Got: {text}"))
    })
}

impl Filters {
    /// Reads what both lists share.
    pub(super) fn read(q: &Query, v: Version) -> Result<Filters, Fault> {
        let mut f = Filters::default();
        if let Some(text) = q.get("resources") {
            f.resources = resources(text)?;
        }
        let repeated = |key: &str| q.all(key).count() > 1;
        for (key, minor) in [("required", 39), ("member_of", 24)] {
            if v.0 < minor && repeated(key) {
                let message = format!("Multiple {key} parameters are not supported before microversion 1.{minor}");
                return Err(Fault::bad_request(message).kind("placement.query.duplicate_key"));
            }
        }
        for text in q.all("required") {
            f.required_traits(text, v)?;
        }
        for text in q.all("member_of") {
            f.aggregates(text, v)?;
        }
        if let Some(text) = q.get("in_tree") {
            f.in_tree = Some(parse_uuid("in_tree", text)?);
        }
        Ok(f)
    }

    fn required_traits(&mut self, text: &str, v: Version) -> Result<(), Fault> {
        let form = || {
            let not = if v.0 >= 22 { "!" } else { "" };
            bad(format!(
                "Invalid query string parameters: Expected 'required' parameter value of the form: \
                 HW_CPU_X86_VMX,{not}CUSTOM_MAGIC. Got: {text}"
            ))
        };
        if let Some(any) = text.strip_prefix("in:") {
            if v.0 < 39 || any.split(',').any(|t| t.is_empty() || t.starts_with('!')) {
                return Err(form());
            }
            self.required.push(any.split(',').map(str::to_owned).collect());
            return Ok(());
        }
        for t in text.split(',') {
            match t.strip_prefix('!') {
                Some("") => return Err(form()),
                Some(t) if v.0 >= 22 => self.forbidden.push(t.to_owned()),
                Some(_) => return Err(form()),
                None if t.is_empty() => return Err(form()),
                None => self.required.push(vec![t.to_owned()]),
            }
        }
        Ok(())
    }

    fn aggregates(&mut self, text: &str, v: Version) -> Result<(), Fault> {
        let (not, rest) = match text.strip_prefix('!') {
            Some(rest) if v.0 >= 32 => (true, rest),
            Some(_) => {
                return Err(bad("Forbidden member_of parameters are not supported in the specified microversion"));
            }
            None => (false, text),
        };
        let list = match rest.strip_prefix("in:") {
            Some(list) => list.split(',').map(|t| parse_uuid("member_of", t)).collect::<Result<Vec<_>, _>>()?,
            None => vec![parse_uuid("member_of", rest)?],
        };
        if not {
            self.not_member_of.extend(list);
        } else {
            self.member_of.push(list);
        }
        Ok(())
    }

    /// Are all names known without asking the database?
    pub(super) fn known(&self, c: &Columns) -> bool {
        let class = |n: &String| names::CLASSES.contains(&n.as_str()) || c.class(n).is_some();
        let known = |t: &String| c.traits.id(t).is_some() || names::is_standard_trait(t);
        self.resources.keys().all(class) && self.required.iter().flatten().chain(&self.forbidden).all(known)
    }

    /// Refuses classes and traits that nobody knows.
    pub(super) fn check(&self, tx: &mut Tx) -> store::Result<()> {
        for class in self.resources.keys() {
            if !names::is_class(tx, class)? {
                let message = format!("Invalid resource class in resources parameter: No such resource class {class}.");
                return refuse(bad(message));
            }
        }
        names::check_traits(tx, self.required.iter().flatten().chain(&self.forbidden).map(String::as_str))
    }

    /// The rows that meet all filters, by provider id.
    pub(super) fn rows(&self, c: &Columns) -> Vec<usize> {
        let trait_id = |t: &String| c.traits.id(t);
        let required: Vec<Vec<Option<u32>>> = self.required.iter().map(|g| g.iter().map(trait_id).collect()).collect();
        let forbidden: Vec<u32> = self.forbidden.iter().filter_map(trait_id).collect();
        let root_of = |r: usize| c.provider[r].as_ref().map(|p| p.root);
        let root = self.in_tree.map(|id| c.row(id).and_then(root_of));
        let classes: Vec<_> = self.resources.iter().map(|(class, n)| (c.class(class), *n)).collect();
        let meets = |row: &usize| {
            let r = *row;
            classes.iter().all(|(column, n)| column.is_some_and(|k| k.fits(r, *n)))
                && required.iter().all(|g| g.iter().any(|t| t.is_some_and(|t| c.has_trait(r, t))))
                && !forbidden.iter().any(|t| c.has_trait(r, *t))
                && self.member_of.iter().all(|g| g.iter().any(|a| c.member_of[r].contains(a)))
                && !self.not_member_of.iter().any(|a| c.member_of[r].contains(a))
                && root.is_none_or(|root| root.is_some() && root_of(r) == root)
        };
        c.by_id().filter(meets).collect()
    }
}

/// `VCPU:1,MEMORY_MB:64`
fn resources(text: &str) -> Result<Resources, Fault> {
    let form = || {
        bad(format!(
            "Badly formed resources parameter. Expected resources query string parameter in form: \
             ?resources=VCPU:2,MEMORY_MB:1024. Got: {text}."
        ))
    };
    let mut out = Resources::new();
    for part in text.split(',') {
        let (class, n) = part.split_once(':').ok_or_else(form)?;
        let amount: i64 = n
            .parse()
            .map_err(|_| bad(format!("Requested resource {class} expected positive integer amount. Got: {n}.")))?;
        if !(1..=MAX_AMOUNT).contains(&amount) || class.is_empty() {
            return Err(bad(format!("Requested resource {class} requires amount >= 1. Got: {amount}.")));
        }
        out.insert(class.to_owned(), amount);
    }
    Ok(out)
}

/// Refuses parameters that the route does not have (at this version).
pub(super) fn only(q: &Query, v: Version, allowed: &[(&str, u16)]) -> Result<(), Fault> {
    for (key, _) in &q.0 {
        if !allowed.iter().any(|(k, since)| k == key && v.0 >= *since) {
            return Err(Fault::bad_request(format!(
                "Invalid query string parameters: Additional properties are not allowed ('{key}' was unexpected)"
            )));
        }
    }
    Ok(())
}
