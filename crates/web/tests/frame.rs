//! The frame as a service uses it: caller, policy, bodies, faults in five shapes, links, mounting.
#![allow(clippy::unwrap_used)]

use axum::body::Body as HttpBody;
use axum::extract::Path;
use axum::http::{Method, Request, StatusCode};
use axum::{Json, Router};
use http_body_util::BodyExt;
use model::policy::Rule;
use model::{Context, Random, Scope};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tower::ServiceExt;
use uuid::Uuid;
use web::{
    Authenticate, Body, Caller, Fault, FaultShape, MaybeCaller, Origin, Page, Query, RequestId, Route, Scheme,
    TokenFault, route,
};

/// Tokens are `project:role`; `old` has expired.
struct Words;

impl Authenticate for Words {
    fn authenticate(&self, token: &str, request_id: &str) -> Result<Context, TokenFault> {
        if token == "old" {
            return Err(TokenFault::Expired);
        }
        let (project, role) = token.split_once(':').ok_or(TokenFault::Invalid)?;
        let mut context = Context::platform(request_id);
        context.scope = match project {
            "" => Scope::Unscoped,
            id => Scope::Project { id: id.into(), name: id.into(), domain_id: "default".into() },
        };
        context.roles = [role.to_owned()].into();
        Ok(context)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Thing {
    size: u32,
    tags: Vec<String>,
}

async fn make(Body(thing): Body<Thing>) -> Json<Value> {
    Json(json!({"size": thing.size, "tags": thing.tags}))
}

async fn show(caller: Caller, Path(owner): Path<String>) -> Result<Json<Value>, Fault> {
    caller.owns(Rule::ProjectMember, &owner, || format!("Thing of {owner} could not be found."))?;
    Ok(Json(json!({"mine": owner, "global": caller.global_request_id})))
}

async fn origin(Origin(origin): Origin, RequestId(id): RequestId, MaybeCaller(caller): MaybeCaller) -> Json<Value> {
    Json(json!({"origin": origin, "id": id, "known": caller.is_some()}))
}

async fn fail(Path(code): Path<u16>) -> Fault {
    Fault::new(StatusCode::from_u16(code).unwrap(), "no").header("x-more", "1")
}

async fn by_id(Path(id): Path<Uuid>) -> String {
    id.to_string()
}

fn routes() -> Vec<Route<()>> {
    vec![
        route(Method::POST, "/things", "things:create", Rule::ProjectMember, make),
        route(Method::GET, "/things/{owner}", "things:show", Rule::ProjectReader, show),
        route(Method::DELETE, "/things/{owner}", "things:delete", Rule::Admin, show),
        route(Method::GET, "/", "things:origin", Rule::Anyone, origin),
        route(Method::GET, "/fail/{code}", "things:fail", Rule::Anyone, fail),
        route(Method::GET, "/id/{id}", "things:id", Rule::Authenticated, by_id),
    ]
}

fn app(shape: FaultShape) -> Router {
    let layer = web::authenticate_layer(Arc::new(Words), Random::seeded(1));
    let layer = axum::middleware::from_fn_with_state(layer, web::AuthState::run);
    web::mount(Router::new(), "/svc", web::router(shape, routes(), ())).layer(layer)
}

struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Value,
}

async fn send(app: Router, request: Request<HttpBody>) -> Answer {
    let (parts, body) = app.oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)));
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

async fn call(method: &str, path: &str, token: &str, body: &str) -> Answer {
    let mut request = Request::builder().method(method).uri(format!("/svc{path}"));
    if !token.is_empty() {
        request = request.header("x-auth-token", token);
    }
    send(app(FaultShape::Compute), request.body(HttpBody::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn the_rule_comes_before_the_handler() {
    let thing = r#"{"size": 1, "tags": []}"#;
    for (token, status) in
        [("", 401), ("old", 401), ("junk", 401), ("p:reader", 403), (":member", 403), ("p:member", 200)]
    {
        let answer = call("POST", "/things", token, thing).await;
        assert_eq!(answer.status, status, "{token}: {}", answer.body);
        assert_eq!(answer.headers.contains_key("www-authenticate"), status == 401);
    }
    // Not even a body that cannot be read is looked at before.
    assert_eq!(call("POST", "/things", "p:reader", "{").await.status, 403);
    let expired = call("GET", "/things/p", "old", "").await;
    assert!(expired.body["unauthorized"]["message"].as_str().unwrap().contains("expired"));
    assert_eq!(call("PUT", "/things", "p:member", thing).await.status, 405);
    assert_eq!(call("GET", "/nothing", "p:member", "").await.status, 404);
}

#[tokio::test]
async fn others_things_are_not_found_and_own_ones_forbidden() {
    // `Words` gives one role without those it implies: a member alone may not even ask.
    for (owner, token, status) in
        [("p", "p:member", 403), ("p", "p:reader", 403), ("q", "p:reader", 404), ("a", "x:admin", 200)]
    {
        let answer = call("GET", &format!("/things/{owner}"), token, "").await;
        assert_eq!(answer.status, status, "{owner} {token} {}", answer.body);
    }
    let caller = |role: &str| {
        let mut c = Words.authenticate(&format!("p:{role}"), "req").unwrap();
        c.roles.insert("reader".into());
        Caller(c)
    };
    let none = || "gone".to_owned();
    assert!(caller("member").owns(Rule::ProjectMember, "p", none).is_ok());
    assert_eq!(caller("member").owns(Rule::ProjectMember, "q", none).unwrap_err().status, StatusCode::NOT_FOUND);
    assert_eq!(caller("reader").owns(Rule::ProjectMember, "p", none).unwrap_err().status, StatusCode::FORBIDDEN);
    assert!(caller("admin").owns(Rule::ProjectMember, "q", none).is_ok());
}

#[tokio::test]
async fn bodies_name_the_field() {
    for (body, status, part) in [
        ("{", 400, "Malformed request body"),
        ("", 400, "Malformed request body"),
        (r#"{"size": 1, "tags": []} x"#, 400, "Malformed request body"),
        (r#"{"size": "big", "tags": []}"#, 400, "field/attribute size"),
        (r#"{"size": -1, "tags": []}"#, 400, "field/attribute size"),
        (r#"{"size": 1, "tags": ["a", 2]}"#, 400, "field/attribute tags[1]"),
        (r#"{"size": 1, "tags": [], "colour": 1}"#, 400, "colour"),
        (r#"{"tags": []}"#, 400, "size"),
        ("[]", 400, "Invalid input"),
    ] {
        let answer = call("POST", "/things", "p:member", body).await;
        assert_eq!(answer.status, status, "{body}");
        let message = answer.body["badRequest"]["message"].as_str().unwrap();
        assert!(message.contains(part), "{body}: {message}");
    }
    let long = format!(r#"{{"size": 1, "tags": ["{}"]}}"#, "x".repeat(120_000));
    let answer = call("POST", "/things", "p:member", &long).await;
    assert_eq!((answer.status, answer.body["overLimit"]["code"].clone()), (413, json!(413)));
    let xml = Request::post("/svc/things").header("x-auth-token", "p:member").header("content-type", "text/xml");
    assert_eq!(send(app(FaultShape::Compute), xml.body(HttpBody::from("<a/>")).unwrap()).await.status, 415);
}

#[tokio::test]
async fn every_service_speaks_its_own_shape() {
    let ask =
        |shape, code: u16| send(app(shape), Request::get(format!("/svc/fail/{code}")).body(HttpBody::empty()).unwrap());
    let compute = ask(FaultShape::Compute, 409).await;
    assert_eq!(compute.body, json!({"conflictingRequest": {"code": 409, "message": "no"}}));
    assert_eq!(compute.headers["x-more"], "1");
    let identity = ask(FaultShape::Identity, 404).await;
    assert_eq!(identity.body, json!({"error": {"code": 404, "title": "Not Found", "message": "no"}}));
    let network = ask(FaultShape::Network, 403).await;
    assert_eq!(network.body, json!({"NeutronError": {"type": "PolicyNotAuthorized", "message": "no", "detail": ""}}));
    let image = ask(FaultShape::Image, 413).await;
    assert_eq!((image.status, image.body["message"].as_str()), (413, Some("no")));
    let placement = ask(FaultShape::Placement, 400).await;
    let error = &placement.body["errors"][0];
    assert_eq!((&error["status"], &error["detail"]), (&json!(400), &json!("no")));
    assert_eq!(error["request_id"].as_str().unwrap(), placement.headers["x-openstack-request-id"]);
    assert_eq!(placement.headers["content-type"], "application/json");
}

#[tokio::test]
async fn an_extractors_own_refusal_has_the_shape_too() {
    let answer = call("GET", "/id/five", "p:member", "").await;
    assert_eq!((answer.status, answer.headers["content-type"].to_str().unwrap()), (400, "application/json"));
    assert!(answer.body["badRequest"]["message"].as_str().unwrap().contains("five"), "{}", answer.body);
    assert_eq!(call("GET", &format!("/id/{}", Uuid::nil()), "p:member", "").await.status, 200);
}

#[tokio::test]
async fn requests_have_ids_and_clients_ids_are_checked() {
    let answer = call("GET", "", "", "").await;
    let id = answer.headers["x-openstack-request-id"].to_str().unwrap();
    assert_eq!(answer.body["id"], id);
    assert!(Uuid::try_parse(id.strip_prefix("req-").unwrap()).is_ok());
    let good = format!("req-{}", Uuid::nil());
    for (sent, kept) in [(good.as_str(), json!(good)), ("req-x", Value::Null), ("evil\tline", Value::Null)] {
        let request =
            Request::get("/svc/things/p").header("x-auth-token", "p:admin").header("x-openstack-request-id", sent);
        assert_eq!(send(app(FaultShape::Compute), request.body(HttpBody::empty()).unwrap()).await.body["global"], kept);
    }
}

#[tokio::test]
async fn links_follow_the_clients_address() {
    let ask = |host: Option<&str>, scheme: Option<Scheme>| {
        let mut request = Request::get("/svc/");
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let mut request = request.header("x-forwarded-proto", "https").body(HttpBody::empty()).unwrap();
        if let Some(scheme) = scheme {
            request.extensions_mut().insert(scheme);
        }
        async { send(app(FaultShape::Compute), request).await.body["origin"].as_str().unwrap().to_owned() }
    };
    assert_eq!(ask(Some("10.0.0.1:8774"), None).await, "http://10.0.0.1:8774");
    assert_eq!(ask(Some("[::1]:80"), Some(Scheme::Https)).await, "https://[::1]:80");
    assert_eq!(ask(Some("a/b"), None).await, "http://localhost");
    assert_eq!(ask(None, None).await, "http://localhost");
}

#[tokio::test]
async fn roots_answer_with_and_without_slash() {
    for path in ["", "/", "/?a=b", "?a=b"] {
        assert_eq!(call("GET", path, "", "").await.status, 200, "{path}");
    }
    assert_eq!(call("GET", "/things/", "p:member", "").await.status, 404);
}

#[test]
fn pages_are_bounded() {
    let page = |text: &str| {
        let pairs = text.split('&').filter_map(|p| p.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned()));
        Page::from_query(&Query(pairs.collect()), 1000)
    };
    assert_eq!(page("").unwrap(), Page { limit: 1000, marker: None });
    assert_eq!(page("limit=5&marker=x").unwrap(), Page { limit: 5, marker: Some("x".into()) });
    assert_eq!(page("limit=99999999999&marker=").unwrap(), Page { limit: 1000, marker: None });
    for bad in ["limit=-1", "limit=x", "limit=1.5"] {
        assert_eq!(page(bad).unwrap_err().status, StatusCode::BAD_REQUEST, "{bad}");
    }
}
