//! `GET /v3/role_assignments`: all assignments, or what they come to (`effective`).

use super::{Call, allowed};
use crate::{Directory, Error, Identity};
use axum::Json;
use axum::http::Method;
use model::identity::{Actor, Grant, Target};
use model::policy::Rule;
use serde_json::{Map, Value, json};
use web::{Fault, Query, Route, route};

pub(super) fn routes() -> Vec<Route<Identity>> {
    vec![route(Method::GET, "/v3/role_assignments", "identity:list_role_assignments", Rule::Authenticated, list)]
}

/// One line of the answer.
struct Line<'d> {
    /// What is held, as it comes out.
    actor: Actor,
    target: Target,
    role: &'d str,
    /// The assignment it comes from.
    grant: &'d Grant,
}

/// What a client may ask for together.
fn check(query: &Query) -> Result<(), Error> {
    let given = |key: &str| query.get(key).is_some_and(|v| !v.is_empty());
    for (a, b, text) in [
        ("scope.domain.id", "scope.project.id", "Specify a domain or project, not both"),
        ("scope.domain.id", "scope.system", "Specify system or domain, not both"),
        ("scope.project.id", "scope.system", "Specify system or project, not both"),
        ("user.id", "group.id", "Specify a user or group, not both"),
    ] {
        if given(a) && given(b) {
            return Err(Error::Invalid(text.into()));
        }
    }
    let flag = |key: &str| query.get(key).is_some_and(|v| v.is_empty() || super::truth(v));
    if flag("effective") && given("group.id") {
        let text = "Combining effective and group filter will always result in an empty list.";
        return Err(Error::Invalid(text.into()));
    }
    if flag("include_subtree") && !given("scope.project.id") {
        let text = "scope.project.id must be specified if include_subtree is also specified";
        return Err(Error::Invalid(text.into()));
    }
    Ok(())
}

async fn list(call: Call) -> Result<Json<Value>, Fault> {
    let only = call.listed_domain("identity:list_role_assignments")?;
    check(&call.query)?;
    if call.flag("include_subtree") {
        allowed(call.caller.is_admin(), "identity:list_role_assignments_for_tree")?;
    }
    let d = call.identity.directory();
    let effective = call.flag("effective");
    let mut lines = Vec::new();
    for grant in d.grants() {
        if effective {
            expand(&d, grant, &mut lines);
        } else {
            let (actor, target) = (grant.actor.clone(), grant.target.clone());
            lines.push(Line { actor, target, role: &grant.role_id, grant });
        }
    }
    let in_domain = |line: &Line| match (&only, &line.target) {
        (None, _) => true,
        (Some(id), Target::Domain(t)) => id == t,
        (Some(id), Target::Project(t)) => d.projects.get(t).is_some_and(|p| p.domain_id == *id),
        (Some(_), Target::System) => false,
    };
    let kept = lines.iter().filter(|line| in_domain(line) && wanted(&call, &d, line, effective));
    let values: Vec<Value> = kept.map(|line| render(&call, &d, line, effective)).collect();
    let links = json!({"self": call.here(), "previous": null, "next": null});
    Ok(Json(json!({"role_assignments": values, "links": links})))
}

/// What an assignment comes to: members of the group, projects below, roles implied.
fn expand<'d>(d: &'d Directory, grant: &'d Grant, lines: &mut Vec<Line<'d>>) {
    let actors: Vec<Actor> = match &grant.actor {
        Actor::User(_) => vec![grant.actor.clone()],
        Actor::Group(id) => d.members_of(id).map(|u| Actor::User(u.id.clone())).collect(),
    };
    let targets: Vec<Target> = match (&grant.target, grant.inherited) {
        (Target::Project(id), true) => d.subtree(id).iter().map(|p| Target::Project(p.id.clone())).collect(),
        (Target::Domain(id), true) => {
            let owned = d.projects.values().filter(|p| p.domain_id == *id);
            owned.map(|p| Target::Project(p.id.clone())).collect()
        }
        (target, _) => vec![target.clone()],
    };
    let roles = d.with_implied([grant.role_id.clone()]);
    // A domain's own role only implies.
    let roles: Vec<&str> = roles
        .iter()
        .filter_map(|id| d.roles.get(id))
        .filter(|r| r.domain_id.is_none())
        .map(|r| r.id.as_str())
        .collect();
    for actor in &actors {
        for target in &targets {
            for role in &roles {
                lines.push(Line { actor: actor.clone(), target: target.clone(), role, grant });
            }
        }
    }
}

fn wanted(call: &Call, d: &Directory, line: &Line, effective: bool) -> bool {
    let is = |key: &str, value: Option<&str>| call.query.get(key).is_none_or(|v| value == Some(v));
    let (user, group) = match &line.actor {
        Actor::User(id) => (Some(id.as_str()), None),
        Actor::Group(id) => (None, Some(id.as_str())),
    };
    let (project, domain) = match &line.target {
        Target::Project(id) => (Some(id.as_str()), None),
        Target::Domain(id) => (None, Some(id.as_str())),
        Target::System => (None, None),
    };
    let in_tree = |root: &str| {
        let above = |p: &str| d.projects.get(p).is_some_and(|p| d.ancestors(p).iter().any(|a| a.id == root));
        project == Some(root) || (call.flag("include_subtree") && project.is_some_and(above))
    };
    let inherited = line.grant.inherited && !effective;
    is("user.id", user)
        && is("group.id", group)
        && is("role.id", Some(line.role))
        && is("scope.domain.id", domain)
        && call.query.get("scope.project.id").is_none_or(in_tree)
        && call.query.get("scope.system").is_none_or(|_| line.target == Target::System)
        && call
            .query
            .get("scope.OS-INHERIT:inherited_to")
            .is_none_or(|v| (v == "projects") == (inherited || (effective && line.grant.inherited)))
}

fn render(call: &Call, d: &Directory, line: &Line, effective: bool) -> Value {
    let names = call.flag("include_names");
    let owned = |id: &str, name: Option<&String>, domain: Option<&String>| {
        let mut body = json!({"id": id});
        if names {
            body["name"] = json!(name);
            if let Some(domain) = domain {
                body["domain"] = json!({"id": domain, "name": d.domain_name(domain)});
            }
        }
        body
    };
    let mut body = Map::new();
    match &line.actor {
        Actor::User(id) => {
            let user = d.users.get(id);
            body.insert("user".into(), owned(id, user.map(|u| &u.name), user.map(|u| &u.domain_id)));
        }
        Actor::Group(id) => {
            let group = d.groups.get(id);
            body.insert("group".into(), owned(id, group.map(|g| &g.name), group.map(|g| &g.domain_id)));
        }
    }
    let mut scope = match &line.target {
        Target::Project(id) => {
            let project = d.projects.get(id);
            json!({"project": owned(id, project.map(|p| &p.name), project.map(|p| &p.domain_id))})
        }
        Target::Domain(id) => json!({"domain": owned(id, d.domains.get(id).map(|x| &x.name), None)}),
        Target::System => json!({"system": {"all": true}}),
    };
    if line.grant.inherited {
        scope["OS-INHERIT:inherited_to"] = json!("projects");
    }
    body.insert("scope".into(), scope);
    let role = d.roles.get(line.role);
    body.insert("role".into(), owned(line.role, role.map(|r| &r.name), role.and_then(|r| r.domain_id.as_ref())));
    body.insert("links".into(), links(call, line, effective));
    Value::Object(body)
}

fn links(call: &Call, line: &Line, effective: bool) -> Value {
    let grant = line.grant;
    let target = match &grant.target {
        Target::Project(id) => format!("projects/{id}"),
        Target::Domain(id) => format!("domains/{id}"),
        Target::System => "system".to_owned(),
    };
    let actor = match &grant.actor {
        Actor::User(id) => format!("users/{id}"),
        Actor::Group(id) => format!("groups/{id}"),
    };
    let (before, after) = if grant.inherited { ("OS-INHERIT/", "/inherited_to_projects") } else { ("", "") };
    let url = |path: String| format!("{}/v3/{path}", call.place.root);
    let mut links = json!({"assignment": url(format!("{before}{target}/{actor}/roles/{}{after}", grant.role_id))});
    if let (true, Actor::Group(group), Actor::User(user)) = (effective, &grant.actor, &line.actor) {
        links["membership"] = json!(url(format!("groups/{group}/users/{user}")));
    }
    if line.role != grant.role_id {
        links["prior_role"] = json!(url(format!("prior_role/{}/implies/{}", grant.role_id, line.role)));
    }
    links
}
