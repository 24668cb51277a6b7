//! Assigning roles: to users and groups, in projects, domains and the system, and inherited from domains and projects.

use super::{Call, allowed, domains, groups, projects, roles, users};
use crate::bootstrap::LADDER;
use crate::{Directory, Error, Identity};
use axum::Json;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use model::identity::{Actor, Change, Grant, Target};
use model::policy::Rule;
use serde_json::Value;
use std::collections::BTreeMap;
use web::{Fault, Route, route};

/// What a row of routes assigns, and where.
#[derive(Debug, Clone, Copy)]
struct Kind {
    place: Place,
    group: bool,
    inherited: bool,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Project,
    Domain,
    System,
}

type Names = Path<BTreeMap<String, String>>;

/// The four calls on the assignments of one kind.
fn rows(all: &'static str, one: &'static str, kind: Kind) -> Vec<Route<Identity>> {
    let any = Rule::Authenticated;
    vec![
        route(Method::GET, all, "identity:list_grants", any, move |c: Call, n: Names| list(c, kind, n)),
        route(Method::GET, one, "identity:check_grant", any, move |c: Call, n: Names| check(c, kind, n)),
        route(Method::PUT, one, "identity:create_grant", any, move |c: Call, n: Names| put(c, kind, n)),
        route(Method::DELETE, one, "identity:revoke_grant", any, move |c: Call, n: Names| remove(c, kind, n)),
    ]
}

macro_rules! kinds {
    ($($prefix:literal, $suffix:literal, $place:expr, $inherited:literal;)+) => {{
        let mut all = Vec::new();
        $(
            all.extend(rows(
                concat!($prefix, "/users/{actor}/roles", $suffix),
                concat!($prefix, "/users/{actor}/roles/{role}", $suffix),
                Kind { place: $place, group: false, inherited: $inherited },
            ));
            all.extend(rows(
                concat!($prefix, "/groups/{actor}/roles", $suffix),
                concat!($prefix, "/groups/{actor}/roles/{role}", $suffix),
                Kind { place: $place, group: true, inherited: $inherited },
            ));
        )+
        all
    }};
}

pub(super) fn routes() -> Vec<Route<Identity>> {
    kinds! {
        "/v3/projects/{project}", "", Place::Project, false;
        "/v3/domains/{domain}", "", Place::Domain, false;
        "/v3/system", "", Place::System, false;
        "/v3/OS-INHERIT/projects/{project}", "/inherited_to_projects", Place::Project, true;
        "/v3/OS-INHERIT/domains/{domain}", "/inherited_to_projects", Place::Domain, true;
    }
}

impl Kind {
    /// The assignment that the path names; `role_id` is empty for lists.
    fn grant(self, names: &BTreeMap<String, String>) -> Grant {
        let name = |key: &str| names.get(key).cloned().unwrap_or_default();
        Grant {
            actor: if self.group { Actor::Group(name("actor")) } else { Actor::User(name("actor")) },
            target: match self.place {
                Place::Project => Target::Project(name("project")),
                Place::Domain => Target::Domain(name("domain")),
                Place::System => Target::System,
            },
            role_id: name("role"),
            inherited: self.inherited,
        }
    }
}

/// Domain of the target; 404 if there is no such target.
fn target_domain<'d>(d: &'d Directory, target: &Target) -> Result<Option<&'d str>, Error> {
    Ok(match target {
        Target::Project(id) if !d.domains.contains_key(id) => Some(&projects::get(d, id)?.domain_id),
        Target::Project(id) | Target::Domain(id) => Some(&domains::get(d, id)?.id),
        Target::System => None,
    })
}

fn actor_domain<'d>(d: &'d Directory, actor: &Actor) -> Result<&'d str, Error> {
    Ok(match actor {
        Actor::User(id) => &users::get(d, id)?.domain_id,
        Actor::Group(id) => &groups::get(d, id)?.domain_id,
    })
}

fn may_read(call: &Call, d: &Directory, grant: &Grant, action: &str) -> Result<(), Error> {
    let domain = target_domain(d, &grant.target);
    allowed(call.may_read(domain.as_ref().ok().copied().flatten()), action)?;
    domain.map(drop)
}

/// May the caller give or take this? A domain's manager: the lower roles, between what the domain owns.
fn may_change(call: &Call, d: &Directory, grant: &Grant, action: &str) -> Result<(), Error> {
    let domain = target_domain(d, &grant.target);
    let role = roles::get(d, &grant.role_id);
    if !call.caller.is_admin() {
        let of_target = domain.as_ref().ok().copied().flatten();
        let of_actor = actor_domain(d, &grant.actor).ok();
        let ladder = |name: &str| LADDER[1..].contains(&name);
        let low = role.as_ref().is_ok_and(|r| r.domain_id.is_none() && ladder(&r.name));
        let mine = call.may_manage(of_target) && call.may_manage(of_actor);
        allowed(mine && low, action)?;
    }
    let (domain, role) = (domain?, role?);
    if role.domain_id.is_some() && role.domain_id.as_deref() != domain {
        return Err(Error::Forbidden(format!("{action}: role {} belongs to another domain", role.id)));
    }
    Ok(())
}

async fn list(call: Call, kind: Kind, Path(names): Names) -> Result<Json<Value>, Fault> {
    let wanted = kind.grant(&names);
    let items = {
        let d = call.identity.directory();
        may_read(&call, &d, &wanted, "identity:list_grants")?;
        actor_domain(&d, &wanted.actor)?;
        let held = d.grants_of(&wanted.actor).filter(|g| g.target == wanted.target && g.inherited == wanted.inherited);
        let held = held.filter_map(|g| d.roles.get(&g.role_id));
        held.map(|r| (r.id.clone(), roles::render(&call, r))).collect()
    };
    Ok(Json(call.collection("roles", items)?))
}

fn no_grant(grant: &Grant) -> Error {
    let (Actor::User(actor) | Actor::Group(actor)) = &grant.actor;
    let target = match &grant.target {
        Target::Project(id) | Target::Domain(id) => id,
        Target::System => "system",
    };
    let role = &grant.role_id;
    Error::not_found(
        "role assignment",
        format!("with role: {role}, user or group: {actor}, project, domain, or system: {target}"),
    )
}

async fn check(call: Call, kind: Kind, Path(names): Names) -> Result<StatusCode, Fault> {
    let grant = kind.grant(&names);
    let d = call.identity.directory();
    may_read(&call, &d, &grant, "identity:check_grant")?;
    actor_domain(&d, &grant.actor)?;
    roles::get(&d, &grant.role_id)?;
    if d.has_grant(&grant) { Ok(StatusCode::NO_CONTENT) } else { Err(no_grant(&grant).into()) }
}

async fn put(call: Call, kind: Kind, Path(names): Names) -> Result<StatusCode, Fault> {
    let (grant, identity) = (kind.grant(&names), call.identity.clone());
    let plan = move |d: &Directory| {
        may_change(&call, d, &grant, "identity:create_grant")?;
        actor_domain(d, &grant.actor)?;
        // Twice is as once, and writes nothing.
        let changes = if d.has_grant(&grant) { vec![] } else { vec![Change::Grant(grant.clone())] };
        Ok((changes, ()))
    };
    identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(call: Call, kind: Kind, Path(names): Names) -> Result<StatusCode, Fault> {
    let (grant, identity) = (kind.grant(&names), call.identity.clone());
    let plan = move |d: &Directory| {
        may_change(&call, d, &grant, "identity:revoke_grant")?;
        if !d.has_grant(&grant) {
            return Err(no_grant(&grant));
        }
        Ok((vec![Change::Ungrant(grant.clone())], ()))
    };
    identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}
