//! Quota sets and quota class sets.

use crate::Microversion;
use crate::check::{self, Fields, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// Resources of a quota set with the first microversion that leaves each out.
const RESOURCES: &[(&str, u16)] = &[
    ("instances", u16::MAX),
    ("cores", u16::MAX),
    ("ram", u16::MAX),
    ("metadata_items", u16::MAX),
    ("key_pairs", u16::MAX),
    ("server_groups", u16::MAX),
    ("server_group_members", u16::MAX),
    ("fixed_ips", 36),
    ("floating_ips", 36),
    ("security_groups", 36),
    ("security_group_rules", 36),
    ("injected_files", 57),
    ("injected_file_content_bytes", 57),
    ("injected_file_path_bytes", 57),
];

/// The resources that a quota set shows and takes.
pub fn resources(mv: Microversion) -> impl Iterator<Item = &'static str> {
    RESOURCES.iter().filter(move |(_, gone)| mv.1 < *gone).map(|(r, _)| *r)
}

/// The resources that a quota class set shows: the network's until 2.49, the server groups' from 2.50 on.
pub fn class_resources(mv: Microversion) -> impl Iterator<Item = &'static str> {
    RESOURCES
        .iter()
        .filter(move |(r, gone)| {
            let gone = if *gone == 36 { 50 } else { *gone };
            mv.1 < gone && (mv.at_least(50) || !r.starts_with("server_group"))
        })
        .map(|(r, _)| *r)
}

/// Limits asked for, and whether use may exceed them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Update {
    /// Limit by resource.
    pub limits: BTreeMap<&'static str, i64>,
    /// `force`.
    pub force: bool,
}

fn limits<'a>(f: &mut Fields<'a>, known: impl Iterator<Item = &'static str>) -> Result<BTreeMap<&'static str, i64>> {
    let mut out = BTreeMap::new();
    for resource in known {
        if let Some(limit) = f.optional(resource, |at| at.integer(-1, i64::from(i32::MAX)))? {
            out.insert(resource, limit);
        }
    }
    Ok(out)
}

/// `PUT /os-quota-sets/{id}`.
/// # Errors
/// Nova's sentence.
pub fn update(body: &Value, mv: Microversion) -> Result<Update> {
    check::only(body, "quota_set", |at| {
        let mut f = at.object()?;
        let force = f.optional("force", check::boolean)?.unwrap_or(false);
        let limits = limits(&mut f, resources(mv))?;
        f.finish()?;
        Ok(Update { limits, force })
    })
}

/// `PUT /os-quota-class-sets/{id}`.
/// # Errors
/// Nova's sentence.
pub fn update_class(body: &Value, mv: Microversion) -> Result<BTreeMap<&'static str, i64>> {
    check::only(body, "quota_class_set", |at| {
        let mut f = at.object()?;
        // The original takes server groups at every microversion though it shows them only from 2.50 on.
        let shown: Vec<&str> = class_resources(mv).collect();
        let hidden = ["server_groups", "server_group_members"].into_iter().filter(|r| !shown.contains(r));
        let limits = limits(&mut f, class_resources(mv).chain(hidden))?;
        f.finish()?;
        Ok(limits)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn resources_by_version() {
        let count = |mv| resources(Microversion(2, mv)).count();
        assert_eq!((count(1), count(36), count(57)), (14, 10, 7));
        let class = |mv| class_resources(Microversion(2, mv)).count();
        assert_eq!((class(1), class(50), class(57)), (12, 10, 7));
        let u = |mv, v: Value| update(&json!({"quota_set": v}), Microversion(2, mv));
        assert_eq!(u(1, json!({"cores": "5", "force": "True"})).unwrap().limits["cores"], 5);
        assert!(u(36, json!({"fixed_ips": 1})).is_err());
        assert!(u(1, json!({"cores": -2})).is_err());
        assert!(u(1, json!({"cores": "many"})).is_err());
    }
}
