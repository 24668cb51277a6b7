//! Users, their passwords, and what belongs to them.

use super::fields::Fields;
use super::{Call, allowed, groups, projects};
use crate::{Directory, Error, Identity, cascade};
use axum::{Extension, Json};
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use model::Secret;
use model::identity::{Change, Grant, User};
use model::policy::Rule;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use web::{Body, Fault, Peer, Route, route};

/// Longest name, characters.
const MAX_NAME: usize = 255;

pub(super) fn routes() -> Vec<Route<Identity>> {
    let (all, one, any) = ("/v3/users", "/v3/users/{user}", Rule::Authenticated);
    vec![
        route(Method::GET, all, "identity:list_users", any, list),
        route(Method::POST, all, "identity:create_user", any, create),
        route(Method::GET, one, "identity:get_user", any, show),
        route(Method::PATCH, one, "identity:update_user", any, update),
        route(Method::DELETE, one, "identity:delete_user", any, delete),
        // The old password is the proof: a user whose password must change has no token.
        route(Method::POST, "/v3/users/{user}/password", "identity:change_password", Rule::Anyone, change_password),
        route(Method::GET, "/v3/users/{user}/projects", "identity:list_user_projects", any, list_projects),
        route(Method::GET, "/v3/users/{user}/groups", "identity:list_groups_for_user", any, list_groups),
    ]
}

/// A user as answered. The hash has no way into it.
pub(super) fn render(call: &Call, user: &User) -> Value {
    let mut body = Value::Object(user.extra.clone());
    body["id"] = json!(user.id);
    body["name"] = json!(user.name);
    body["domain_id"] = json!(user.domain_id);
    body["enabled"] = json!(user.enabled);
    if let Some(project) = &user.default_project_id {
        body["default_project_id"] = json!(project);
    }
    body["options"] = json!(user.options);
    body["password_expires_at"] = Value::Null;
    body["links"] = call.link(&format!("users/{}", user.id));
    body
}

pub(super) fn get<'d>(d: &'d Directory, id: &str) -> Result<&'d User, Error> {
    d.users.get(id).ok_or_else(|| Error::not_found("user", id))
}

/// The user, if the caller may see it: itself, or by the domain.
fn readable<'d>(call: &Call, d: &'d Directory, id: &str, action: &str) -> Result<&'d User, Error> {
    let found = get(d, id);
    let domain = found.as_ref().ok().map(|u| u.domain_id.as_str());
    allowed(call.caller.user_id == id || call.may_read(domain), action)?;
    found
}

/// The user, if the caller may change it. A domain's manager may not touch whoever is admin anywhere: a new password
/// for such a user would be the way to its role.
fn manageable<'d>(call: &Call, d: &'d Directory, id: &str, action: &str) -> Result<&'d User, Error> {
    let found = get(d, id);
    allowed(call.may_manage(found.as_ref().ok().map(|u| u.domain_id.as_str())), action)?;
    let user = found?;
    let admin = d.role_named(None, "admin").map(|r| r.id.as_str());
    let holds_admin = |g: &Grant| admin.is_some_and(|id| d.with_implied([g.role_id.clone()]).contains(id));
    allowed(call.caller.is_admin() || !d.grants_reaching(id).into_iter().any(holds_admin), action)?;
    Ok(user)
}

async fn list(call: Call) -> Result<Json<Value>, Fault> {
    let only = call.listed_domain("identity:list_users")?;
    let items = {
        let d = call.identity.directory();
        let kept = d.users.values().filter(|u| {
            only.as_ref().is_none_or(|id| u.domain_id == *id)
                && call.keeps("name", Some(&u.name))
                && call.keeps("domain_id", Some(&u.domain_id))
                && call.keeps_flag("enabled", u.enabled)
        });
        kept.map(|u| (u.id.clone(), render(&call, u))).collect()
    };
    Ok(Json(call.collection("users", items)?))
}

async fn show(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let body = render(&call, readable(&call, &call.identity.directory(), &id, "identity:get_user")?);
    Ok(Json(json!({"user": body})))
}

fn check_name(d: &Directory, user: &User) -> Result<(), Error> {
    match d.user_named(&user.domain_id, &user.name) {
        Some(other) if other.id != user.id => Err(Error::duplicate(
            "user",
            format_args!("Duplicate entry found with name {} at domain ID {}", user.name, user.domain_id),
        )),
        _ => Ok(()),
    }
}

fn check_default_project(d: &Directory, project: Option<&str>) -> Result<(), Error> {
    match project {
        Some(id) if d.domains.contains_key(id) => {
            Err(Error::field("default_project_id", "a domain cannot be a default project"))
        }
        Some(id) => projects::get(d, id).map(drop),
        None => Ok(()),
    }
}

async fn hash(call: &Call, password: Option<Option<String>>) -> Result<Option<Option<Secret<String>>>, Error> {
    let random = &call.identity.env().random;
    Ok(match password {
        None => None,
        Some(None) => Some(None),
        Some(Some(text)) => Some(Some(call.identity.passwords().hash(&text, random).await?)),
    })
}

async fn create(call: Call, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>), Fault> {
    let mut fields = Fields::of(body, "user")?;
    let domain_id = fields.id("domain_id")?.flatten().unwrap_or_else(|| call.home_domain());
    allowed(call.may_manage(Some(&domain_id)), "identity:create_user")?;
    let mut user = User {
        id: call.identity.env().hex_id(),
        domain_id,
        name: Fields::required("name", fields.name("name", MAX_NAME)?)?,
        enabled: fields.flag("enabled")?.unwrap_or(true),
        password: None,
        default_project_id: fields.id("default_project_id")?.flatten(),
        token_floor: 0,
        options: Map::new(),
        extra: Map::new(),
    };
    let password = fields.password("password")?;
    fields.merge_options(&mut user.options)?;
    fields.extra_into(&mut user.extra)?;
    // What would be refused is refused before it costs a hash.
    let check = |d: &Directory, user: &User| {
        super::domains::get(d, &user.domain_id)?;
        check_default_project(d, user.default_project_id.as_deref())?;
        check_name(d, user)
    };
    check(&call.identity.directory(), &user)?;
    user.password = hash(&call, password).await?.flatten();
    let made = user.clone();
    let plan = move |d: &Directory| {
        check(d, &made)?;
        Ok((vec![Change::PutUser(made.clone())], ()))
    };
    call.identity.change(plan).await?;
    Ok((StatusCode::CREATED, Json(json!({"user": render(&call, &user)}))))
}

async fn update(call: Call, Path(id): Path<String>, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    manageable(&call, &call.identity.directory(), &id, "identity:update_user")?;
    let mut first = Fields::of(body.clone(), "user")?;
    let password = hash(&call, first.password("password")?).await?;
    let call = Arc::new(call);
    let asked = call.clone();
    let plan = move |d: &Directory| {
        let mut user = manageable(&asked, d, &id, "identity:update_user")?.clone();
        let mut fields = Fields::of(body.clone(), "user")?;
        fields.same_id(&id)?;
        fields.same_domain(Some(&user.domain_id))?;
        if let Some(name) = fields.name("name", MAX_NAME)? {
            user.name = name;
            check_name(d, &user)?;
        }
        fields.password("password")?;
        if let Some(new) = &password {
            user.password.clone_from(new);
            user.token_floor = d.revision + 1;
        }
        if let Some(enabled) = fields.flag("enabled")? {
            if user.enabled && !enabled {
                user.token_floor = d.revision + 1;
            }
            user.enabled = enabled;
        }
        if let Some(project) = fields.id("default_project_id")? {
            check_default_project(d, project.as_deref())?;
            user.default_project_id = project;
        }
        fields.merge_options(&mut user.options)?;
        fields.extra_into(&mut user.extra)?;
        Ok((vec![Change::PutUser(user.clone())], user))
    };
    let user = call.identity.change(plan).await?;
    Ok(Json(json!({"user": render(&call, &user)})))
}

async fn delete(call: Call, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let identity = call.identity.clone();
    let plan = move |d: &Directory| {
        manageable(&call, d, &id, "identity:delete_user")?;
        Ok((cascade::drop_user(d, &id), ()))
    };
    identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change_password(
    State(identity): State<Identity>,
    Path(id): Path<String>,
    peer: Option<Extension<Peer>>,
    Body(body): Body<Value>,
) -> Result<StatusCode, Fault> {
    let mut fields = Fields::of(body, "user")?;
    let old = Fields::required("original_password", fields.password("original_password")?.flatten())?;
    let new = Fields::required("password", fields.password("password")?.flatten())?;
    let stored = identity.directory().live_user(&id).and_then(|u| u.password.clone());
    let account = stored.is_some().then_some(id.as_str());
    if !identity.guess(account, stored.as_ref(), &old, peer.map(|p| p.0)).await? {
        return Err(Error::Unauthorized.into());
    }
    let hash = identity.passwords().hash(&new, &identity.env().random).await?;
    let plan = move |d: &Directory| {
        // Somebody else may have changed it meanwhile; then the old one is no proof any more.
        let user = d.live_user(&id).filter(|u| u.password == stored).ok_or(Error::Unauthorized)?;
        let user = User { password: Some(hash.clone()), token_floor: d.revision + 1, ..user.clone() };
        Ok((vec![Change::PutUser(user)], ()))
    };
    identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_projects(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let items = {
        let d = call.identity.directory();
        readable(&call, &d, &id, "identity:list_user_projects")?;
        let kept = d.projects_of(&id).into_iter().filter(|p| {
            call.keeps("name", Some(&p.name))
                && call.keeps("domain_id", Some(&p.domain_id))
                && call.keeps_flag("enabled", p.enabled)
        });
        kept.map(|p| (p.id.clone(), projects::render(&call, p))).collect()
    };
    Ok(Json(call.collection("projects", items)?))
}

async fn list_groups(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let items = {
        let d = call.identity.directory();
        readable(&call, &d, &id, "identity:list_groups_for_user")?;
        let kept = d.groups_of(&id).filter(|g| call.keeps("name", Some(&g.name)));
        kept.map(|g| (g.id.clone(), groups::render(&call, g))).collect()
    };
    Ok(Json(call.collection("groups", items)?))
}
