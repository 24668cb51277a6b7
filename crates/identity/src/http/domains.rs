//! Domains.

use super::fields::Fields;
use super::{Call, allowed};
use crate::bootstrap::DEFAULT_DOMAIN;
use crate::{Directory, Error, Identity, cascade};
use axum::Json;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use model::Scope;
use model::identity::{Change, Domain};
use model::policy::Rule;
use serde_json::{Map, Value, json};
use web::{Body, Fault, Route, route};

/// Longest name of a domain, project or group, characters (Keystone's schema).
pub(super) const MAX_NAME: usize = 64;

pub(super) fn routes() -> Vec<Route<Identity>> {
    let (all, one) = ("/v3/domains", "/v3/domains/{domain}");
    vec![
        route(Method::GET, all, "identity:list_domains", Rule::Authenticated, list),
        route(Method::POST, all, "identity:create_domain", Rule::Admin, create),
        route(Method::GET, one, "identity:get_domain", Rule::Authenticated, show),
        route(Method::PATCH, one, "identity:update_domain", Rule::Admin, update),
        route(Method::DELETE, one, "identity:delete_domain", Rule::Admin, delete),
    ]
}

pub(super) fn render(call: &Call, domain: &Domain) -> Value {
    let mut body = Value::Object(domain.extra.clone());
    body["id"] = json!(domain.id);
    body["name"] = json!(domain.name);
    body["description"] = json!(domain.description);
    body["enabled"] = json!(domain.enabled);
    body["tags"] = json!([]);
    body["options"] = json!(domain.options);
    body["links"] = call.link(&format!("domains/{}", domain.id));
    body
}

pub(crate) fn get<'d>(d: &'d Directory, id: &str) -> Result<&'d Domain, Error> {
    d.domains.get(id).ok_or_else(|| Error::not_found("domain", id))
}

async fn list(call: Call) -> Result<Json<Value>, Fault> {
    let only = call.listed_domain("identity:list_domains")?;
    let items = {
        let d = call.identity.directory();
        let kept = d.domains.values().filter(|x| only.as_ref().is_none_or(|id| x.id == *id));
        let kept = kept.filter(|x| call.keeps("name", Some(&x.name)) && call.keeps_flag("enabled", x.enabled));
        kept.map(|x| (x.id.clone(), render(&call, x))).collect()
    };
    Ok(Json(call.collection("domains", items)?))
}

async fn show(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let home = matches!(&call.caller.scope, Scope::Project { domain_id, .. } if *domain_id == id);
    allowed(home || call.may_read(Some(&id)), "identity:get_domain")?;
    let body = render(&call, get(&call.identity.directory(), &id)?);
    Ok(Json(json!({"domain": body})))
}

fn check_name(d: &Directory, id: &str, name: &str) -> Result<(), Error> {
    match d.domain_named(name) {
        Some(other) if other.id != id => Err(Error::duplicate(
            "project",
            format_args!("it is not permitted to have two projects acting as domains with the same name: {name}"),
        )),
        _ => Ok(()),
    }
}

/// A new domain from the fields of a body.
pub(super) async fn make(call: &Call, mut fields: Fields) -> Result<Domain, Error> {
    let mut domain = Domain {
        id: call.identity.env().hex_id(),
        name: Fields::required("name", fields.name("name", MAX_NAME)?)?,
        description: fields.text("description")?.flatten().unwrap_or_default(),
        enabled: fields.flag("enabled")?.unwrap_or(true),
        token_floor: 0,
        options: Map::new(),
        extra: Map::new(),
    };
    if let Some(Some(explicit)) = fields.id("explicit_domain_id")? {
        domain.id = explicit;
    }
    fields.merge_options(&mut domain.options)?;
    fields.extra_into(&mut domain.extra)?;
    let made = domain.clone();
    call.identity
        .change(move |d| {
            if d.domains.contains_key(&made.id) || d.projects.contains_key(&made.id) {
                return Err(Error::duplicate("project", format_args!("Duplicate entry found with ID {}", made.id)));
            }
            check_name(d, &made.id, &made.name)?;
            Ok((vec![Change::PutDomain(made.clone())], ()))
        })
        .await?;
    Ok(domain)
}

async fn create(call: Call, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>), Fault> {
    let domain = make(&call, Fields::of(body, "domain")?).await?;
    Ok((StatusCode::CREATED, Json(json!({"domain": render(&call, &domain)}))))
}

async fn update(call: Call, Path(id): Path<String>, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    let domain = change(&call, id, "domain", body).await?;
    Ok(Json(json!({"domain": render(&call, &domain)})))
}

/// Changes a domain by what `body` has under `wrapper`: `domain`, or `project` where it is shown as one.
pub(super) async fn change(call: &Call, id: String, wrapper: &'static str, body: Value) -> Result<Domain, Error> {
    call.identity
        .change(move |d| {
            let mut fields = Fields::of(body.clone(), wrapper)?;
            let mut domain = get(d, &id)?.clone();
            if !fields.only_options() {
                cascade::mutable("domain", &id, &domain.options, "update")?;
            }
            fields.same_id(&id)?;
            if let Some(name) = fields.name("name", MAX_NAME)? {
                check_name(d, &id, &name)?;
                domain.name = name;
            }
            if let Some(text) = fields.text("description")? {
                domain.description = text.unwrap_or_default();
            }
            if let Some(enabled) = fields.flag("enabled")? {
                if !enabled && id == DEFAULT_DOMAIN {
                    return Err(Error::Forbidden("disable the default domain".into()));
                }
                if domain.enabled && !enabled {
                    domain.token_floor = d.revision + 1;
                }
                domain.enabled = enabled;
            }
            fields.merge_options(&mut domain.options)?;
            fields.extra_into(&mut domain.extra)?;
            Ok((vec![Change::PutDomain(domain.clone())], domain))
        })
        .await
}

async fn delete(call: Call, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    remove(&call, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a disabled domain with all that it owns.
pub(super) async fn remove(call: &Call, id: String) -> Result<(), Error> {
    call.identity
        .change(move |d| {
            let domain = get(d, &id)?;
            if id == DEFAULT_DOMAIN {
                return Err(Error::Forbidden("delete the default domain".into()));
            }
            if domain.enabled {
                let text = "Cannot delete a domain that is enabled, please disable it first";
                return Err(Error::Forbidden(text.into()));
            }
            cascade::mutable("domain", &id, &domain.options, "delete")?;
            Ok((cascade::drop_domain(d, &id), ()))
        })
        .await
}
