//! Roles and which of them imply which.

use super::fields::Fields;
use super::{Call, allowed};
use crate::{Directory, Error, Identity, cascade};
use axum::Json;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use model::Scope;
use model::identity::{Change, Role};
use model::policy::Rule;
use serde_json::{Map, Value, json};
use web::{Body, Fault, Route, route};

/// Longest name, characters.
const MAX_NAME: usize = 255;

pub(super) fn routes() -> Vec<Route<Identity>> {
    let (all, one, any) = ("/v3/roles", "/v3/roles/{role}", Rule::Authenticated);
    let (implies, implied) = ("/v3/roles/{role}/implies", "/v3/roles/{role}/implies/{implied}");
    vec![
        route(Method::GET, all, "identity:list_roles", any, list),
        route(Method::POST, all, "identity:create_role", Rule::Admin, create),
        route(Method::GET, one, "identity:get_role", any, show),
        route(Method::PATCH, one, "identity:update_role", Rule::Admin, update),
        route(Method::DELETE, one, "identity:delete_role", Rule::Admin, delete),
        route(Method::GET, implies, "identity:list_implied_roles", any, list_implied),
        route(Method::GET, implied, "identity:get_implied_role", any, show_implied),
        route(Method::HEAD, implied, "identity:check_implied_role", any, check_implied),
        route(Method::PUT, implied, "identity:create_implied_role", Rule::Admin, imply),
        route(Method::DELETE, implied, "identity:delete_implied_role", Rule::Admin, unimply),
        route(Method::GET, "/v3/role_inferences", "identity:list_role_inference_rules", any, inferences),
    ]
}

pub(super) fn render(call: &Call, role: &Role) -> Value {
    let mut body = Value::Object(role.extra.clone());
    body["id"] = json!(role.id);
    body["name"] = json!(role.name);
    body["domain_id"] = json!(role.domain_id);
    body["description"] = json!(role.description);
    body["options"] = json!(role.options);
    body["links"] = call.link(&format!("roles/{}", role.id));
    body
}

pub(super) fn get<'d>(d: &'d Directory, id: &str) -> Result<&'d Role, Error> {
    d.roles.get(id).ok_or_else(|| Error::not_found("role", id))
}

/// Roles are read by admins, by readers of the system, and by managers of a domain, who assign them.
fn may_read(call: &Call, action: &str) -> Result<(), Error> {
    let manager = matches!(call.caller.scope, Scope::Domain { .. }) && call.caller.has("manager");
    allowed(manager || call.may_read(None), action)
}

async fn list(call: Call) -> Result<Json<Value>, Fault> {
    may_read(&call, "identity:list_roles")?;
    let items = {
        let d = call.identity.directory();
        // Without a domain the roles of the whole cloud are meant.
        let domain = call.query.get("domain_id");
        let kept = d.roles.values().filter(|r| r.domain_id.as_deref() == domain && call.keeps("name", Some(&r.name)));
        kept.map(|r| (r.id.clone(), render(&call, r))).collect()
    };
    Ok(Json(call.collection("roles", items)?))
}

async fn show(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    may_read(&call, "identity:get_role")?;
    let body = render(&call, get(&call.identity.directory(), &id)?);
    Ok(Json(json!({"role": body})))
}

fn check_name(d: &Directory, role: &Role) -> Result<(), Error> {
    match d.role_named(role.domain_id.as_deref(), &role.name) {
        Some(other) if other.id != role.id => {
            Err(Error::duplicate("role", format_args!("Duplicate entry found with name {}", role.name)))
        }
        _ => Ok(()),
    }
}

async fn create(call: Call, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>), Fault> {
    let mut fields = Fields::of(body, "role")?;
    let mut role = Role {
        id: call.identity.env().hex_id(),
        domain_id: fields.id("domain_id")?.flatten(),
        name: Fields::required("name", fields.name("name", MAX_NAME)?)?,
        description: fields.text("description")?.flatten(),
        options: Map::new(),
        extra: Map::new(),
    };
    fields.merge_options(&mut role.options)?;
    fields.extra_into(&mut role.extra)?;
    let made = role.clone();
    let plan = move |d: &Directory| {
        if let Some(domain) = &made.domain_id {
            super::domains::get(d, domain)?;
        }
        check_name(d, &made)?;
        Ok((vec![Change::PutRole(made.clone())], ()))
    };
    call.identity.change(plan).await?;
    Ok((StatusCode::CREATED, Json(json!({"role": render(&call, &role)}))))
}

async fn update(call: Call, Path(id): Path<String>, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    let plan = move |d: &Directory| {
        let mut role = get(d, &id)?.clone();
        let mut fields = Fields::of(body.clone(), "role")?;
        if !fields.only_options() {
            cascade::mutable("role", &id, &role.options, "update")?;
        }
        fields.same_id(&id)?;
        fields.same_domain(role.domain_id.as_deref())?;
        if let Some(name) = fields.name("name", MAX_NAME)? {
            role.name = name;
            check_name(d, &role)?;
        }
        if let Some(text) = fields.text("description")? {
            role.description = text;
        }
        fields.merge_options(&mut role.options)?;
        fields.extra_into(&mut role.extra)?;
        Ok((vec![Change::PutRole(role.clone())], role))
    };
    let role = call.identity.change(plan).await?;
    Ok(Json(json!({"role": render(&call, &role)})))
}

async fn delete(call: Call, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let plan = move |d: &Directory| {
        cascade::mutable("role", &id, &get(d, &id)?.options, "delete")?;
        Ok((cascade::drop_role(d, &id), ()))
    };
    call.identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A role as inference rules show it.
fn brief(call: &Call, role: &Role) -> Value {
    let mut body = json!({"id": role.id, "name": role.name, "links": call.link(&format!("roles/{}", role.id))});
    if role.domain_id.is_some() {
        body["domain_id"] = json!(role.domain_id);
    }
    body
}

fn rule(call: &Call, d: &Directory, prior: &Role) -> Value {
    let implied = d.implied.get(&prior.id).into_iter().flatten().filter_map(|id| d.roles.get(id));
    let implied: Vec<Value> = implied.map(|r| brief(call, r)).collect();
    json!({"prior_role": brief(call, prior), "implies": implied})
}

async fn list_implied(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    may_read(&call, "identity:list_implied_roles")?;
    let d = call.identity.directory();
    let rule = rule(&call, &d, get(&d, &id)?);
    Ok(Json(json!({"role_inference": rule, "links": {"self": call.here()}})))
}

fn not_implied(prior: &str, implied: &str) -> Error {
    Error::not_found("implied role", format!("{prior} does not imply {implied}"))
}

fn one(call: &Call, d: &Directory, prior: &str, implied: &str) -> Result<Json<Value>, Error> {
    let (prior, implied) = (get(d, prior)?, get(d, implied)?);
    let rule = json!({"prior_role": brief(call, prior), "implies": brief(call, implied)});
    Ok(Json(json!({"role_inference": rule, "links": {"self": call.here()}})))
}

fn implies(d: &Directory, prior: &str, implied: &str) -> bool {
    d.implied.get(prior).is_some_and(|all| all.contains(implied))
}

async fn show_implied(call: Call, Path((prior, implied)): Path<(String, String)>) -> Result<Json<Value>, Fault> {
    may_read(&call, "identity:get_implied_role")?;
    let d = call.identity.directory();
    let body = one(&call, &d, &prior, &implied)?;
    if implies(&d, &prior, &implied) { Ok(body) } else { Err(not_implied(&prior, &implied).into()) }
}

async fn check_implied(call: Call, names: Path<(String, String)>) -> Result<StatusCode, Fault> {
    show_implied(call, names).await.map(|_| StatusCode::NO_CONTENT)
}

async fn imply(call: Call, Path((prior, implied)): Path<(String, String)>) -> Result<(StatusCode, Json<Value>), Fault> {
    let ids = (prior.clone(), implied.clone());
    let plan = move |d: &Directory| {
        let (prior, implied) = (get(d, &ids.0)?, get(d, &ids.1)?);
        if prior.domain_id.is_none() && implied.domain_id.is_some() {
            return Err(Error::Forbidden(format!("let role {} of the cloud imply a domain's own", prior.id)));
        }
        // Whoever may give a prior role would give the cloud with it.
        if implied.name == "admin" && implied.domain_id.is_none() {
            return Err(Error::Forbidden(format!("{} cannot be an implied role", implied.id)));
        }
        Ok((vec![Change::Imply { prior: ids.0.clone(), implied: ids.1.clone() }], ()))
    };
    call.identity.change(plan).await?;
    let body = one(&call, &call.identity.directory(), &prior, &implied)?;
    Ok((StatusCode::CREATED, body))
}

async fn unimply(call: Call, Path((prior, implied)): Path<(String, String)>) -> Result<StatusCode, Fault> {
    let plan = move |d: &Directory| {
        get(d, &prior)?;
        get(d, &implied)?;
        if !implies(d, &prior, &implied) {
            return Err(not_implied(&prior, &implied));
        }
        Ok((vec![Change::Unimply { prior: prior.clone(), implied: implied.clone() }], ()))
    };
    call.identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn inferences(call: Call) -> Result<Json<Value>, Fault> {
    may_read(&call, "identity:list_role_inference_rules")?;
    let d = call.identity.directory();
    let rules: Vec<Value> = d.implied.keys().filter_map(|id| d.roles.get(id)).map(|r| rule(&call, &d, r)).collect();
    Ok(Json(json!({"role_inferences": rules, "links": {"self": call.here()}})))
}
