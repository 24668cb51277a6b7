//! Server groups: bodies and views. One policy in a list until 2.63, a word with rules from 2.64 on.

use crate::Microversion;
use crate::check::{self, At, Invalid, Result};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// `POST /os-server-groups`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Name.
    pub name: String,
    /// Policy's word.
    pub policy: String,
    /// `max_server_per_host` of the rules (2.64).
    pub max_per_host: Option<i64>,
}

/// Words before 2.15, and all of them.
const HARD: &[&str] = &["anti-affinity", "affinity"];
const WORDS: &[&str] = &["anti-affinity", "affinity", "soft-anti-affinity", "soft-affinity"];

fn policies(mv: Microversion) -> impl Fn(At<'_>) -> Result<String> {
    let words = if mv.at_least(15) { WORDS } else { HARD };
    move |at| {
        let all = at.each(|item| item.one_of(words).map(str::to_owned))?;
        match all.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(at.refuse("[] is too short")),
            _ => Err(at.refuse("Additional items are not allowed (only one policy may be given)")),
        }
    }
}

fn rules(at: At<'_>) -> Result<Option<i64>> {
    let mut f = at.object()?;
    let max = f.optional("max_server_per_host", |at| at.integer(1, i64::from(i32::MAX)))?;
    f.finish()?;
    Ok(max)
}

impl Create {
    /// Reads the body.
    /// # Errors
    /// Nova's sentence.
    pub fn read(body: &Value, mv: Microversion) -> Result<Create> {
        check::only(body, "server_group", |at| {
            let mut f = at.object()?;
            let name = f.required("name", check::name)?;
            let (policy, max) = if mv.at_least(64) {
                let policy = f.required("policy", |at| at.one_of(WORDS).map(str::to_owned))?;
                (policy, f.optional("rules", rules)?.flatten())
            } else {
                (f.required("policies", policies(mv))?, None)
            };
            f.finish()?;
            if max.is_some() && policy != "anti-affinity" {
                return Err(Invalid("Only anti-affinity policy supports rules.".into()));
            }
            Ok(Create { name, policy, max_per_host: max })
        })
    }
}

/// A group.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    /// Identity.
    pub id: Uuid,
    /// Name.
    pub name: &'a str,
    /// Its one policy (until 2.63).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policies: Option<[&'a str; 1]>,
    /// Always empty (until 2.63).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// Policy (2.64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<&'a str>,
    /// Rules (2.64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<BTreeMap<&'a str, i64>>,
    /// Servers in it.
    pub members: Vec<Uuid>,
    /// Project (2.13).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_id: Option<&'a str>,
    /// User (2.13).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<&'a str>,
}

/// A group's own properties, for its view.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// Identity.
    pub id: Uuid,
    /// Name.
    pub name: &'a str,
    /// Policy's word.
    pub policy: &'a str,
    /// Limit of one host, where one was given.
    pub max_per_host: Option<i64>,
    /// Project.
    pub project_id: &'a str,
    /// User.
    pub user_id: &'a str,
}

impl<'a> View<'a> {
    /// The group as a microversion shows it.
    pub fn of(group: Group<'a>, members: Vec<Uuid>, mv: Microversion) -> View<'a> {
        let (new, owned) = (mv.at_least(64), mv.at_least(13));
        let rules = || group.max_per_host.map(|n| ("max_server_per_host", n)).into_iter().collect();
        View {
            id: group.id,
            name: group.name,
            policies: (!new).then_some([group.policy]),
            metadata: (!new).then(BTreeMap::new),
            policy: new.then_some(group.policy),
            rules: new.then(rules),
            members,
            project_id: owned.then_some(group.project_id),
            user_id: owned.then_some(group.user_id),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn by_version() {
        let read = |mv, v: Value| Create::read(&json!({"server_group": v}), Microversion(2, mv));
        assert_eq!(read(1, json!({"name": "g", "policies": ["affinity"]})).unwrap().policy, "affinity");
        assert!(read(14, json!({"name": "g", "policies": ["soft-affinity"]})).is_err());
        assert!(read(15, json!({"name": "g", "policies": ["soft-affinity"]})).is_ok());
        assert!(read(15, json!({"name": "g", "policies": []})).is_err());
        assert!(read(15, json!({"name": "g", "policies": ["affinity", "anti-affinity"]})).is_err());
        assert!(read(64, json!({"name": "g", "policies": ["affinity"]})).is_err());
        let three = read(64, json!({"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": 3}}));
        assert_eq!(three.unwrap().max_per_host, Some(3));
        let wrong = read(64, json!({"name": "g", "policy": "affinity", "rules": {"max_server_per_host": 3}}));
        assert_eq!(wrong.unwrap_err().0, "Only anti-affinity policy supports rules.");
        assert!(read(64, json!({"name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": 0}})).is_err());
        assert!(read(64, json!({"name": "g", "policy": "anti-affinity", "rules": {"else": 1}})).is_err());
        assert!(read(64, json!({"name": " g", "policy": "affinity"})).is_err());
    }

    #[test]
    fn views() {
        let (id, name, policy) = (Uuid::nil(), "g", "anti-affinity");
        let group = Group { id, name, policy, max_per_host: Some(2), project_id: "p", user_id: "u" };
        let shown = |mv| serde_json::to_value(View::of(group, Vec::new(), Microversion(2, mv))).unwrap();
        let old = json!({"id": id, "name": "g", "policies": [policy], "metadata": {}, "members": []});
        assert_eq!(shown(12), old);
        assert_eq!(shown(13)["project_id"], "p");
        let new = json!({"id": id, "name": "g", "policy": policy, "rules": {"max_server_per_host": 2}, "members": [],
            "project_id": "p", "user_id": "u"});
        assert_eq!(shown(64), new);
    }
}
