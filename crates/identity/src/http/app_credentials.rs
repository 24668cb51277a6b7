//! Application credentials. The secret is shown once, at creation, and kept only as a hash.

use super::fields::Fields;
use super::{Call, allowed, users};
use crate::{Directory, Error, Identity};
use axum::Json;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use model::identity::{AppCredential, Change, Role};
use model::policy::Rule;
use model::{Scope, Timestamp, time};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use web::{Body, Fault, Route, route};

/// Longest name, characters.
const MAX_NAME: usize = 255;

pub(super) fn routes() -> Vec<Route<Identity>> {
    let any = Rule::Authenticated;
    let (all, one) =
        ("/v3/users/{user}/application_credentials", "/v3/users/{user}/application_credentials/{credential}");
    vec![
        route(Method::GET, all, "identity:list_application_credentials", any, list),
        route(Method::POST, all, "identity:create_application_credential", any, create),
        route(Method::GET, one, "identity:get_application_credential", any, show),
        route(Method::DELETE, one, "identity:delete_application_credential", any, delete),
    ]
}

fn render(call: &Call, d: &Directory, c: &AppCredential) -> Value {
    let roles = c.roles.iter().filter_map(|id| d.roles.get(id));
    let roles: Vec<Value> = roles.map(|r| json!({"id": r.id, "name": r.name, "domain_id": r.domain_id})).collect();
    json!({
        "id": c.id,
        "name": c.name,
        "description": c.description,
        "user_id": c.user_id,
        "project_id": c.project_id,
        "system": null,
        "roles": roles,
        "expires_at": c.expires_at.map(time::micros),
        "unrestricted": c.unrestricted,
        "links": call.link(&format!("users/{}/application_credentials/{}", c.user_id, c.id)),
    })
}

/// Reading: the owner, admins, readers of the system.
fn readable(call: &Call, user: &str, action: &str) -> Result<(), Error> {
    let reader = call.caller.scope == Scope::System && call.caller.has("reader");
    allowed(call.caller.user_id == user || call.caller.is_admin() || reader, action)
}

/// The credential of that user: the path's user counts only if it really is the owner.
fn get<'d>(d: &'d Directory, user: &str, id: &str) -> Result<&'d AppCredential, Error> {
    let found = d.app_credentials.get(id).filter(|c| c.user_id == user);
    found.ok_or_else(|| Error::not_found("application credential", id))
}

async fn list(call: Call, Path(user): Path<String>) -> Result<Json<Value>, Fault> {
    readable(&call, &user, "identity:list_application_credentials")?;
    let items = {
        let d = call.identity.directory();
        users::get(&d, &user)?;
        let kept = d.app_credentials_of(&user).filter(|c| call.keeps("name", Some(&c.name)));
        kept.map(|c| (c.id.clone(), render(&call, &d, c))).collect()
    };
    Ok(Json(call.collection("application_credentials", items)?))
}

async fn show(call: Call, Path((user, id)): Path<(String, String)>) -> Result<Json<Value>, Fault> {
    readable(&call, &user, "identity:get_application_credential")?;
    let d = call.identity.directory();
    let body = render(&call, &d, get(&d, &user, &id)?);
    Ok(Json(json!({"application_credential": body})))
}

/// A program that was let in by a restricted credential may not make itself others.
fn unrestricted(call: &Call) -> Result<(), Error> {
    let Some(id) = call.standing()?.token.app_credential_id else { return Ok(()) };
    let free = call.identity.directory().app_credentials.get(&id).is_some_and(|c| c.unrestricted);
    allowed(
        free,
        "Using method 'application_credential' is not allowed for managing additional application credentials",
    )
}

fn invalid(detail: impl std::fmt::Display) -> Error {
    Error::Invalid(format!("Invalid application credential: {detail}"))
}

/// Ids of the roles asked for; all must be among those of the token.
fn read_roles(wanted: Option<Vec<Value>>, held: &[Role]) -> Result<BTreeSet<String>, Error> {
    let Some(wanted) = wanted.filter(|w| !w.is_empty()) else { return Ok(held.iter().map(|r| r.id.clone()).collect()) };
    let mut ids = BTreeSet::new();
    for role in wanted {
        let (id, name) = (role.get("id").and_then(Value::as_str), role.get("name").and_then(Value::as_str));
        if id.is_none() && name.is_none() {
            return Err(Error::field("roles", "each role needs an 'id' or a 'name'"));
        }
        let matching = |r: &&Role| id.map_or_else(|| name == Some(r.name.as_str()), |id| id == r.id);
        let found = held.iter().find(matching);
        ids.insert(
            found.ok_or_else(|| invalid("Cannot create an application credential with unassigned role"))?.id.clone(),
        );
    }
    Ok(ids)
}

fn read_expiry(text: Option<String>, now: Timestamp) -> Result<Option<Timestamp>, Error> {
    let Some(text) = text else { return Ok(None) };
    let at = time::parse(&text)
        .ok_or_else(|| Error::field("expires_at", "it is not an ISO 8601 time such as 2030-01-31T12:00:00"))?;
    if at <= now {
        return Err(Error::Invalid("The 'expires_at' must not be before now.".into()));
    }
    Ok(Some(at))
}

async fn create(
    call: Call,
    Path(user): Path<String>,
    Body(body): Body<Value>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    allowed(call.caller.user_id == user, "identity:create_application_credential")?;
    unrestricted(&call)?;
    let standing = call.standing()?;
    let env = call.identity.env();
    let Some(project) = &standing.project else {
        return Err(invalid("a token scoped to a project is needed to create one").into());
    };
    let mut fields = Fields::of(body, "application_credential")?;
    if fields.list("access_rules")?.is_some_and(|rules| !rules.is_empty()) {
        return Err(Error::NotBuilt("an application credential with access_rules").into());
    }
    let name = Fields::required("name", fields.name("name", MAX_NAME)?)?;
    let description = fields.text("description")?.flatten();
    let roles = read_roles(fields.list("roles")?, &standing.roles)?;
    let expires_at = read_expiry(fields.text("expires_at")?.flatten(), env.now())?;
    let unrestricted = fields.flag("unrestricted")?.unwrap_or(false);
    let secret = fields.password("secret")?.flatten().unwrap_or_else(|| {
        let mut bytes = [0; 64];
        env.random.fill(&mut bytes);
        URL_SAFE_NO_PAD.encode(bytes)
    });
    let credential = AppCredential {
        id: env.hex_id(),
        user_id: user,
        project_id: project.id.clone(),
        name,
        description,
        secret: call.identity.passwords().hash(&secret, &env.random).await?,
        roles,
        expires_at,
        unrestricted,
    };
    let made = credential.clone();
    let plan = move |d: &Directory| {
        users::get(d, &made.user_id)?;
        if d.app_credentials_of(&made.user_id).any(|c| c.name == made.name) {
            let text = format_args!("Duplicate entry found with name {}", made.name).to_string();
            return Err(Error::duplicate("application_credential", text));
        }
        Ok((vec![Change::PutAppCredential(made.clone())], ()))
    };
    call.identity.change(plan).await?;
    let mut answer = render(&call, &call.identity.directory(), &credential);
    answer["secret"] = json!(secret);
    Ok((StatusCode::CREATED, Json(json!({"application_credential": answer}))))
}

async fn delete(call: Call, Path((user, id)): Path<(String, String)>) -> Result<StatusCode, Fault> {
    let mine = call.caller.user_id == user;
    allowed(mine || call.caller.is_admin(), "identity:delete_application_credential")?;
    unrestricted(&call)?;
    let plan = move |d: &Directory| {
        get(d, &user, &id)?;
        Ok((vec![Change::DropAppCredential(id.clone())], ()))
    };
    call.identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}
