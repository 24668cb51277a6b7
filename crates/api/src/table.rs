//! The original's routes, as facts: which exist, from and until which microversion, and who may call them.
//!
//! `data/routes.tsv` lists every route and action of Nova 34. A row that no handler of ours claims answers 501 and
//! names itself ([`not_built`]); a row that Nova itself has taken out answers 410. Nothing can be forgotten: what is
//! in neither set does not exist.

use crate::Api;
use crate::ask::Ask;
use api_types::Microversion;
use axum::http::{Method, StatusCode};
use model::policy::Rule;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use web::{Fault, Route, route};

/// What the original does at a row today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It answers.
    Alive,
    /// It was taken out and answers 410 at every microversion.
    Gone,
    /// It answers 400 always.
    Bad,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Method.
    pub method: Method,
    /// Path below `/v2.1`.
    pub path: &'static str,
    /// Action, for `…/action`.
    pub action: Option<&'static str>,
    /// Who may try.
    pub rule: Rule,
    /// The original's policy.
    pub policy: &'static str,
    /// First microversion.
    pub since: Microversion,
    /// First microversion without it.
    pub until: Option<Microversion>,
    /// Whether it is still there.
    pub status: Status,
}

impl Row {
    /// There at this microversion?
    pub fn covers(&self, mv: Microversion) -> bool {
        mv >= self.since && self.until.is_none_or(|u| mv < u)
    }
    fn parse(line: &'static str) -> Option<Row> {
        let mut f = line.split('\t');
        let mut next = || f.next();
        let (method, path, action) = (next()?, next()?, next()?);
        let (role, policy, since, until, status) = (next()?, next()?, next()?, next()?, next()?);
        Some(Row {
            method: method.parse().ok()?,
            path,
            action: (action != "-").then_some(action),
            rule: match role {
                "any" => Rule::Authenticated,
                "reader" => Rule::ProjectReader,
                "member" => Rule::ProjectMember,
                "manager" => Rule::ProjectManager,
                "service" => Rule::Service,
                _ => Rule::Admin,
            },
            policy,
            since: Microversion::parse(since)?,
            until: if until == "-" { None } else { Some(Microversion::parse(until)?) },
            status: match status {
                "gone" => Status::Gone,
                "bad" => Status::Bad,
                _ => Status::Alive,
            },
        })
    }
}

/// Every row of the data file.
pub static ROWS: LazyLock<Vec<Row>> =
    LazyLock::new(|| include_str!("../data/routes.tsv").lines().skip(1).filter_map(Row::parse).collect());

/// The first parts of all paths: what stands there cannot be a project's id.
pub static RESOURCES: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| ROWS.iter().filter_map(|r| r.path.split('/').nth(1)).collect());

/// The row of a route without actions.
pub fn row(method: &Method, path: &str) -> Option<&'static Row> {
    ROWS.iter().find(|r| r.method == *method && r.path == path && r.action.is_none())
}

/// The row of an action.
pub fn action(path: &str, action: &str) -> Option<&'static Row> {
    ROWS.iter().find(|r| r.path == path && r.action == Some(action))
}

/// The refusal of a row that we do not serve.
pub fn refuse(row: &Row) -> Fault {
    match row.status {
        Status::Gone => Fault::new(StatusCode::GONE, "This API is no longer available.").kind("gone"),
        Status::Bad => Fault::bad_request("This was never available with the bare metal driver."),
        Status::Alive => Fault::not_built(&name(row)),
    }
}

/// `POST /servers/{id}/action resize`.
pub fn name(row: &Row) -> String {
    match row.action {
        Some(a) => format!("{} {} {a}", row.method, row.path),
        None => format!("{} {}", row.method, row.path),
    }
}

/// Answers an action whose body names it: not built, gone, unknown, or outside its microversions.
pub fn refuse_action(ask: &Ask, path: &str, word: &str) -> Fault {
    match action(path, word) {
        Some(row) if row.status == Status::Gone => refuse(row),
        Some(row) if !row.covers(ask.mv) => not_here(),
        Some(row) if !row.rule.admits(Some(&ask.caller)) => forbidden(row.policy),
        Some(row) => refuse(row),
        None => Fault::bad_request(format!("There is no such action: {word}")),
    }
}

/// Nova's 404 for a method outside its microversions.
pub fn not_here() -> Fault {
    Fault::not_found("API version for this method is not supported by this request's microversion.")
}

/// Nova's sentence for a policy that does not allow.
pub fn forbidden(policy: &str) -> Fault {
    Fault::forbidden(format!("Policy doesn't allow {policy} to be performed."))
}

/// Rows that nobody claims, as routes that say so. `built` are the claimed ones.
pub fn remaining(built: &BTreeSet<(Method, &'static str)>) -> Vec<Route<Api>> {
    let mut paths: BTreeMap<(Method, &'static str), &'static Row> = BTreeMap::new();
    for row in ROWS.iter().filter(|r| !built.contains(&(r.method.clone(), r.path))) {
        paths.entry((row.method.clone(), row.path)).or_insert(row);
    }
    paths.into_iter().map(|((method, path), row)| refusing(method, path, row)).collect()
}

fn refusing(method: Method, path: &'static str, row: &'static Row) -> Route<Api> {
    if row.action.is_some() {
        let handler = move |ask: Ask, body: web::Body<serde_json::Value>| async move {
            match api_types::server_actions::action_of(&body.0) {
                Some(word) => refuse_action(&ask, path, word),
                None => Fault::bad_request("Malformed request body: too many body keys"),
            }
        };
        return route(method, path, row.policy, Rule::Authenticated, handler);
    }
    let handler = move |ask: Ask| async move {
        if row.status == Status::Alive && !row.covers(ask.mv) { not_here() } else { refuse(row) }
    };
    route(method, path, row.policy, row.rule, handler)
}

/// Rows of the original that answer 501 here, for `docs/compat.md` and its test: a list that names each once.
pub fn not_built(built: &BTreeSet<(Method, &'static str)>, actions: &[(&str, &str)]) -> Vec<String> {
    ROWS.iter()
        .filter(|r| r.status == Status::Alive)
        .filter(|r| match r.action {
            Some(a) => !actions.contains(&(r.path, a)),
            None => !built.contains(&(r.method.clone(), r.path)),
        })
        .map(name)
        .collect()
}
