//! Groups and their members.

use super::domains::MAX_NAME;
use super::fields::Fields;
use super::{Call, allowed, users};
use crate::{Directory, Error, Identity, cascade};
use axum::Json;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use model::identity::{Actor, Change, Group};
use model::policy::Rule;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use web::{Body, Fault, Route, route};

pub(super) fn routes() -> Vec<Route<Identity>> {
    let (all, one, any) = ("/v3/groups", "/v3/groups/{group}", Rule::Authenticated);
    let (members, member) = ("/v3/groups/{group}/users", "/v3/groups/{group}/users/{user}");
    vec![
        route(Method::GET, all, "identity:list_groups", any, list),
        route(Method::POST, all, "identity:create_group", any, create),
        route(Method::GET, one, "identity:get_group", any, show),
        route(Method::PATCH, one, "identity:update_group", any, update),
        route(Method::DELETE, one, "identity:delete_group", any, delete),
        route(Method::GET, members, "identity:list_users_in_group", any, list_members),
        route(Method::GET, member, "identity:check_user_in_group", any, check_member),
        route(Method::PUT, member, "identity:add_user_to_group", any, add_member),
        route(Method::DELETE, member, "identity:remove_user_from_group", any, remove_member),
    ]
}

pub(super) fn render(call: &Call, group: &Group) -> Value {
    let mut body = Value::Object(group.extra.clone());
    body["id"] = json!(group.id);
    body["name"] = json!(group.name);
    body["domain_id"] = json!(group.domain_id);
    body["description"] = json!(group.description);
    body["links"] = call.link(&format!("groups/{}", group.id));
    body
}

pub(super) fn get<'d>(d: &'d Directory, id: &str) -> Result<&'d Group, Error> {
    d.groups.get(id).ok_or_else(|| Error::not_found("group", id))
}

fn readable<'d>(call: &Call, d: &'d Directory, id: &str, action: &str) -> Result<&'d Group, Error> {
    let found = get(d, id);
    allowed(call.may_read(found.as_ref().ok().map(|g| g.domain_id.as_str())), action)?;
    found
}

/// The group, if the caller may change it. A domain's manager may not join anybody to a group of admins.
fn manageable<'d>(call: &Call, d: &'d Directory, id: &str, action: &str) -> Result<&'d Group, Error> {
    let found = get(d, id);
    allowed(call.may_manage(found.as_ref().ok().map(|g| g.domain_id.as_str())), action)?;
    let group = found?;
    let admin = d.role_named(None, "admin").map(|r| r.id.clone());
    let gives_admin = d
        .grants_of(&Actor::Group(id.to_owned()))
        .any(|g| admin.as_ref().is_some_and(|a| d.with_implied([g.role_id.clone()]).contains(a)));
    allowed(call.caller.is_admin() || !gives_admin, action)?;
    Ok(group)
}

async fn list(call: Call) -> Result<Json<Value>, Fault> {
    let only = call.listed_domain("identity:list_groups")?;
    let items = {
        let d = call.identity.directory();
        let kept = d.groups.values().filter(|g| {
            only.as_ref().is_none_or(|id| g.domain_id == *id)
                && call.keeps("name", Some(&g.name))
                && call.keeps("domain_id", Some(&g.domain_id))
        });
        kept.map(|g| (g.id.clone(), render(&call, g))).collect()
    };
    Ok(Json(call.collection("groups", items)?))
}

async fn show(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let body = render(&call, readable(&call, &call.identity.directory(), &id, "identity:get_group")?);
    Ok(Json(json!({"group": body})))
}

fn check_name(d: &Directory, group: &Group) -> Result<(), Error> {
    match d.group_named(&group.domain_id, &group.name) {
        Some(other) if other.id != group.id => {
            Err(Error::duplicate("group", format_args!("Duplicate entry found with name {}", group.name)))
        }
        _ => Ok(()),
    }
}

async fn create(call: Call, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>), Fault> {
    let mut fields = Fields::of(body, "group")?;
    let domain_id = fields.id("domain_id")?.flatten().unwrap_or_else(|| call.home_domain());
    allowed(call.may_manage(Some(&domain_id)), "identity:create_group")?;
    let mut group = Group {
        id: call.identity.env().hex_id(),
        domain_id,
        name: Fields::required("name", fields.name("name", MAX_NAME)?)?,
        description: fields.text("description")?.flatten().unwrap_or_default(),
        extra: Map::new(),
    };
    fields.extra_into(&mut group.extra)?;
    let made = group.clone();
    let plan = move |d: &Directory| {
        super::domains::get(d, &made.domain_id)?;
        check_name(d, &made)?;
        Ok((vec![Change::PutGroup(made.clone())], ()))
    };
    call.identity.change(plan).await?;
    Ok((StatusCode::CREATED, Json(json!({"group": render(&call, &group)}))))
}

async fn update(call: Call, Path(id): Path<String>, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    let call = Arc::new(call);
    let asked = call.clone();
    let plan = move |d: &Directory| {
        let mut group = manageable(&asked, d, &id, "identity:update_group")?.clone();
        let mut fields = Fields::of(body.clone(), "group")?;
        fields.same_id(&id)?;
        fields.same_domain(Some(&group.domain_id))?;
        if let Some(name) = fields.name("name", MAX_NAME)? {
            group.name = name;
            check_name(d, &group)?;
        }
        if let Some(text) = fields.text("description")? {
            group.description = text.unwrap_or_default();
        }
        fields.extra_into(&mut group.extra)?;
        Ok((vec![Change::PutGroup(group.clone())], group))
    };
    let group = call.identity.change(plan).await?;
    Ok(Json(json!({"group": render(&call, &group)})))
}

async fn delete(call: Call, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let identity = call.identity.clone();
    let plan = move |d: &Directory| {
        manageable(&call, d, &id, "identity:delete_group")?;
        Ok((cascade::drop_group(d, &id), ()))
    };
    identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_members(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let items = {
        let d = call.identity.directory();
        readable(&call, &d, &id, "identity:list_users_in_group")?;
        let kept =
            d.members_of(&id).filter(|u| call.keeps("name", Some(&u.name)) && call.keeps_flag("enabled", u.enabled));
        kept.map(|u| (u.id.clone(), users::render(&call, u))).collect()
    };
    Ok(Json(call.collection("users", items)?))
}

fn no_member(group: &str, user: &str) -> Error {
    Error::not_found("user in group", format!("{user} in {group}"))
}

async fn check_member(call: Call, Path((group, user)): Path<(String, String)>) -> Result<StatusCode, Fault> {
    let d = call.identity.directory();
    readable(&call, &d, &group, "identity:check_user_in_group")?;
    users::get(&d, &user)?;
    if d.is_member(&group, &user) { Ok(StatusCode::NO_CONTENT) } else { Err(no_member(&group, &user).into()) }
}

async fn add_member(call: Call, Path((group, user)): Path<(String, String)>) -> Result<StatusCode, Fault> {
    let identity = call.identity.clone();
    let plan = move |d: &Directory| {
        let action = "identity:add_user_to_group";
        manageable(&call, d, &group, action)?;
        let found = users::get(d, &user);
        allowed(call.may_manage(found.as_ref().ok().map(|u| u.domain_id.as_str())), action)?;
        found?;
        Ok((vec![Change::Join { group: group.clone(), user: user.clone() }], ()))
    };
    identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove_member(call: Call, Path((group, user)): Path<(String, String)>) -> Result<StatusCode, Fault> {
    let identity = call.identity.clone();
    let plan = move |d: &Directory| {
        manageable(&call, d, &group, "identity:remove_user_from_group")?;
        users::get(d, &user)?;
        if !d.is_member(&group, &user) {
            return Err(no_member(&group, &user));
        }
        Ok((vec![Change::Leave { group: group.clone(), user: user.clone() }], ()))
    };
    identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}
