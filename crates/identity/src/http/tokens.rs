//! Tokens: login, check, revoke; and what a user may be let into. The only place where a token is rendered.

use super::{Call, Place, allowed, catalog};
use crate::login::AuthBody;
use crate::token::TokenScope;
use crate::{Directory, Error, Identity, Standing};
use axum::{Extension, Json};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use model::identity::{Change, RevokedToken, Target};
use model::policy::Rule;
use model::{Scope, time};
use serde_json::{Value, json};
use web::{Body, Fault, Peer, Query, Route, TokenFault, route};

pub(super) fn routes() -> Vec<Route<Identity>> {
    let get = || Method::GET;
    vec![
        route(Method::POST, "/v3/auth/tokens", "identity:issue_token", Rule::Anyone, issue),
        route(get(), "/v3/auth/tokens", "identity:validate_token", Rule::Authenticated, validate),
        route(Method::DELETE, "/v3/auth/tokens", "identity:revoke_token", Rule::Authenticated, revoke),
        route(get(), "/v3/auth/catalog", "identity:get_auth_catalog", Rule::Authenticated, auth_catalog),
        route(get(), "/v3/auth/projects", "identity:get_auth_projects", Rule::Authenticated, auth_projects),
        route(get(), "/v3/auth/domains", "identity:get_auth_domains", Rule::Authenticated, auth_domains),
        route(get(), "/v3/auth/system", "identity:get_auth_system", Rule::Authenticated, auth_system),
    ]
}

async fn issue(
    State(identity): State<Identity>,
    place: Place,
    query: Query,
    peer: Option<Extension<Peer>>,
    Body(body): Body<AuthBody>,
) -> Result<Response, Fault> {
    let (token, standing) = identity.login(body.auth, peer.map(|p| p.0)).await?;
    Ok(answer(StatusCode::CREATED, &identity, &place, &query, &token, &standing))
}

async fn validate(call: Call, headers: HeaderMap) -> Result<Response, Fault> {
    let (token, standing) = subject(&call, &headers)?;
    let c = &call.caller;
    let reader = c.scope == Scope::System && c.has("reader");
    let own = standing.user.id == c.user_id;
    allowed(own || reader || c.is_admin() || c.has("service"), "identity:validate_token")?;
    Ok(answer(StatusCode::OK, &call.identity, &call.place, &call.query, &token, &standing))
}

async fn revoke(call: Call, headers: HeaderMap) -> Result<StatusCode, Fault> {
    let (_, standing) = subject(&call, &headers)?;
    let own = standing.user.id == call.caller.user_id;
    allowed(own || call.caller.is_admin(), "identity:revoke_token")?;
    let cascade = call.query.get("cascade").is_none_or(super::truth);
    let token = standing.token;
    // What came from a first token dies with it; what came from a later one has a root of its own.
    let revoked = RevokedToken {
        audit_id: token.audit_id().to_owned(),
        descendants: cascade && token.audit_id() == token.chain_id(),
        expires_at: token.expires_at,
    };
    let now = call.identity.env().now();
    let plan = move |_: &Directory| Ok((vec![Change::ForgetRevoked(now), Change::Revoke(revoked.clone())], ()));
    call.identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The token that is asked about.
fn subject(call: &Call, headers: &HeaderMap) -> Result<(String, Standing), Error> {
    let none = || Error::not_found("token", "send a valid one in X-Subject-Token");
    let text = headers.get("x-subject-token").and_then(|v| v.to_str().ok()).ok_or_else(none)?;
    let standing = call.identity.admit(text).map_err(|e| match e {
        TokenFault::Expired => Error::not_found("token", "it has expired"),
        _ => none(),
    })?;
    Ok((text.to_owned(), standing))
}

fn answer(
    status: StatusCode,
    identity: &Identity,
    place: &Place,
    query: &Query,
    token: &str,
    standing: &Standing,
) -> Response {
    let mut body = render(&identity.directory(), standing);
    let scoped = standing.token.scope != TokenScope::Unscoped;
    if scoped && query.get("nocatalog").is_none() {
        let project = standing.project.as_ref().map(|p| p.id.as_str());
        body["catalog"] = catalog::render(identity, place, project, &standing.user.id);
    }
    let mut response = (status, Json(json!({"token": body}))).into_response();
    if let Ok(value) = HeaderValue::from_str(token) {
        response.headers_mut().insert("x-subject-token", value);
    }
    response.headers_mut().insert("vary", HeaderValue::from_static("X-Auth-Token"));
    response
}

fn render(d: &Directory, s: &Standing) -> Value {
    let domain = |id: &str| json!({"id": id, "name": d.domain_name(id)});
    let mut body = json!({
        "methods": s.token.methods,
        "user": {
            "id": s.user.id, "name": s.user.name, "domain": domain(&s.user.domain_id), "password_expires_at": null,
        },
        "audit_ids": s.token.audit_ids,
        "expires_at": time::micros_z(s.token.expires_at),
        "issued_at": time::micros_z(s.token.issued_at),
    });
    match (&s.token.scope, &s.project) {
        (TokenScope::Project(_), Some(p)) => {
            body["project"] = json!({"id": p.id, "name": p.name, "domain": domain(&p.domain_id)});
            body["is_domain"] = json!(false);
        }
        (TokenScope::Domain(id), _) => body["domain"] = domain(id),
        (TokenScope::System, _) => body["system"] = json!({"all": true}),
        _ => return body,
    }
    body["roles"] = s.roles.iter().map(|r| json!({"id": r.id, "name": r.name})).collect();
    if let Some(c) = s.token.app_credential_id.as_ref().and_then(|id| d.app_credentials.get(id)) {
        body["application_credential"] = json!({"id": c.id, "name": c.name, "restricted": !c.unrestricted});
    }
    body
}

async fn auth_catalog(call: Call) -> Result<Json<Value>, Fault> {
    let project = call.caller.project_id();
    allowed(!project.is_empty(), "identity:get_auth_catalog needs a project-scoped token")?;
    let entries = catalog::render(&call.identity, &call.place, Some(project), &call.caller.user_id);
    Ok(Json(json!({"catalog": entries, "links": {"self": call.here()}})))
}

async fn auth_projects(call: Call) -> Result<Json<Value>, Fault> {
    let items = {
        let d = call.identity.directory();
        let mine = d.projects_of(&call.caller.user_id).into_iter();
        mine.filter(|p| d.live_project(&p.id).is_some())
            .map(|p| (p.id.clone(), super::projects::render(&call, p)))
            .collect()
    };
    Ok(Json(call.collection("projects", items)?))
}

async fn auth_domains(call: Call) -> Result<Json<Value>, Fault> {
    let items = {
        let d = call.identity.directory();
        let mine = d.domains_of(&call.caller.user_id).into_iter().filter_map(|id| d.domains.get(id));
        mine.filter(|x| x.enabled).map(|x| (x.id.clone(), super::domains::render(&call, x))).collect()
    };
    Ok(Json(call.collection("domains", items)?))
}

async fn auth_system(call: Call) -> Json<Value> {
    let held = !call.identity.directory().roles_at(&call.caller.user_id, &Target::System).is_empty();
    let system: Vec<Value> = held.then(|| json!({"all": true})).into_iter().collect();
    Json(json!({"system": system, "links": {"self": call.here()}}))
}
