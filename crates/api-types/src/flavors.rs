//! Flavors: bodies and views.

use crate::Microversion;
use crate::check::{self, At, Result};
use crate::server_view::Links;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;

/// `POST /flavors`.
#[derive(Debug, Clone, PartialEq)]
pub struct Create {
    /// Name.
    pub name: String,
    /// `flavorid`; `None` lets us choose.
    pub id: Option<String>,
    /// Memory, MiB.
    pub ram: u64,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Root disk, GiB.
    pub disk: u64,
    /// Ephemeral disk, GiB.
    pub ephemeral: u64,
    /// Swap, MiB.
    pub swap: u64,
    /// Network factor (until 2.101).
    pub rxtx_factor: f64,
    /// Visible to all.
    pub is_public: bool,
    /// Description (2.55).
    pub description: Option<String>,
}

const MAX_INT: i64 = i32::MAX as i64;
/// Longest description of a flavor.
const MAX_DESCRIPTION: usize = 65_535;

fn from(min: i64) -> impl Fn(At<'_>) -> Result<u64> {
    move |at| at.integer(min, MAX_INT).map(i64::unsigned_abs)
}

fn flavor_id(at: At<'_>) -> Result<Option<String>> {
    match at.value {
        Value::Null => Ok(None),
        Value::Number(n) => Ok(Some(n.to_string())),
        _ => {
            let ok = |t: &str| {
                t.bytes().all(|b| b.is_ascii_alphanumeric() || b". _-".contains(&b)) && t.trim_matches(' ') == t
            };
            at.pattern(1, 255, "^(?! )[a-zA-Z0-9. _-]+(?<! )$", ok).map(|t| Some(t.to_owned()))
        }
    }
}

fn factor(at: At<'_>) -> Result<f64> {
    let n = match at.value {
        Value::Number(n) => n.as_f64(),
        Value::String(s) if s.bytes().all(|b| b.is_ascii_digit() || b == b'.') => s.parse().ok(),
        _ => None,
    };
    match n {
        Some(n) if n > 0.0 && n <= 3.402_82e38 => Ok(n),
        _ => Err(at.refuse("it must be a number greater than 0 and at most 3.40282e+38")),
    }
}

impl Create {
    /// Reads the body.
    /// # Errors
    /// Nova's sentence.
    pub fn read(body: &Value, mv: Microversion) -> Result<Create> {
        check::only(body, "flavor", |at| {
            let mut f = at.object()?;
            let create = Create {
                name: f.required("name", check::name)?,
                id: f.optional("id", flavor_id)?.flatten(),
                ram: f.required("ram", from(1))?,
                vcpus: f.required("vcpus", from(1)).map(|n| u32::try_from(n).unwrap_or(u32::MAX))?,
                disk: f.required("disk", from(0))?,
                ephemeral: f.optional("OS-FLV-EXT-DATA:ephemeral", from(0))?.unwrap_or(0),
                swap: f.optional("swap", from(0))?.unwrap_or(0),
                rxtx_factor: f.since(!mv.at_least(102), "rxtx_factor", factor)?.unwrap_or(1.0),
                is_public: f.optional("os-flavor-access:is_public", check::boolean)?.unwrap_or(true),
                description: f.since(mv.at_least(55), "description", check::description(MAX_DESCRIPTION))?.flatten(),
            };
            f.finish()?;
            Ok(create)
        })
    }
}

/// `PUT /flavors/{id}` (2.55): the description, which may be null.
/// # Errors
/// Nova's sentence.
pub fn update(body: &Value) -> Result<Option<String>> {
    check::only(body, "flavor", |at| {
        let mut f = at.object()?;
        let description = f.required("description", check::description(MAX_DESCRIPTION))?;
        f.finish()?;
        Ok(description)
    })
}

/// `{"extra_specs": {…}}`.
/// # Errors
/// Nova's sentence.
pub fn extra_specs(body: &Value) -> Result<BTreeMap<String, String>> {
    check::only(body, "extra_specs", check::extra_specs)
}

/// `{key: value}`: exactly one.
/// # Errors
/// Nova's sentence.
pub fn extra_spec(body: &Value) -> Result<(String, String)> {
    let at = At::new("body", body);
    let all = check::extra_specs(at.clone())?;
    let n = all.len();
    match all.into_iter().next() {
        Some(pair) if n == 1 => Ok(pair),
        _ => Err(at.refuse("has too many properties")),
    }
}

/// `{"addTenantAccess": {"tenant": …}}`, also for `removeTenantAccess`.
/// # Errors
/// Nova's sentence.
pub fn access(body: &Value, action: &'static str) -> Result<String> {
    check::only(body, action, |at| {
        let mut f = at.object()?;
        let tenant = f.required("tenant", |at| at.bounded(1, 255).map(str::to_owned))?;
        f.finish()?;
        Ok(tenant)
    })
}

/// Swap: an empty text for none until 2.74, a number always from 2.75 on.
#[derive(Debug, Clone, Copy)]
pub struct Swap {
    /// MiB.
    pub mib: u64,
    /// Always a number.
    pub number: bool,
}

impl Serialize for Swap {
    fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
        if self.mib == 0 && !self.number { s.serialize_str("") } else { s.serialize_u64(self.mib) }
    }
}

/// A flavor; the optional fields are those of details.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    /// `flavorid`.
    pub id: &'a str,
    /// Name.
    pub name: &'a str,
    /// Links.
    pub links: Links<'a>,
    /// Description (2.55).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Option<&'a str>>,
    /// Details.
    #[serde(flatten)]
    pub detail: Option<Detail<'a>>,
}

/// The details of a flavor.
#[derive(Debug, Serialize)]
pub struct Detail<'a> {
    /// MiB.
    pub ram: u64,
    /// GiB.
    pub disk: u64,
    /// Swap.
    pub swap: Swap,
    /// GiB.
    #[serde(rename = "OS-FLV-EXT-DATA:ephemeral")]
    pub ephemeral: u64,
    /// Until 2.101.
    #[serde(rename = "OS-FLV-DISABLED:disabled", skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Visible to all.
    #[serde(rename = "os-flavor-access:is_public")]
    pub is_public: bool,
    /// Until 2.101.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rxtx_factor: Option<f64>,
    /// Extra specs (2.61).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_specs: Option<&'a BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn create_by_version() {
        let c = |mv, v: Value| Create::read(&json!({"flavor": v}), Microversion(2, mv));
        let base = json!({"name": "n", "ram": "512", "vcpus": 1, "disk": 0, "id": 7});
        assert_eq!(c(1, base.clone()).unwrap().id.as_deref(), Some("7"));
        for (field, bad) in [
            ("ram", json!(0)),
            ("ram", json!(2_147_483_648_i64)),
            ("vcpus", json!("x")),
            ("disk", json!(-1)),
            ("id", json!(" a")),
            ("id", json!("a/b")),
            ("name", json!("")),
            ("rxtx_factor", json!(0)),
            ("os-flavor-access:is_public", json!("maybe")),
            ("description", json!("d")),
        ] {
            let mut v = base.clone();
            v[field] = bad.clone();
            assert!(c(1, v).is_err(), "{field} {bad}");
        }
        let mut v = base.clone();
        v["rxtx_factor"] = json!(1.5);
        assert!(c(101, v.clone()).is_ok() && c(102, v).is_err());
        assert!(c(1, json!({"name": "n"})).unwrap_err().0.contains("is a required property"));
    }

    #[test]
    fn specs() {
        assert!(extra_specs(&json!({"extra_specs": {}})).is_err());
        assert_eq!(extra_specs(&json!({"extra_specs": {"a": 1}})).unwrap()["a"], "1");
        assert!(extra_spec(&json!({"a": "1", "b": "2"})).is_err());
        assert!(extra_spec(&json!({"ä": "1"})).is_err());
    }
}
