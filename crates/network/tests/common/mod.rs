//! A service with its router over a private store, and callers by the word in their token.
#![allow(dead_code, clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::middleware::from_fn_with_state;
use http_body_util::BodyExt;
use model::{Clock, Context, Env, Random, Scope};
use network::{Network, Options};
use serde_json::Value;
use std::sync::Arc;
use store::{SqliteMode, Store};
use tower::ServiceExt;
use web::{AuthState, Authenticate, TokenFault, authenticate_layer};

pub struct Words;

/// `admin`, or `<project>` for a member, `<project>:reader` for a reader.
pub fn context(token: &str) -> Context {
    let (project, role) = token.split_once(':').unwrap_or((token, "member"));
    let roles: &[&str] = match (project, role) {
        ("admin", _) => &["admin", "manager", "member", "reader"],
        (_, "reader") => &["reader"],
        _ => &["member", "reader"],
    };
    Context {
        user_id: format!("user-of-{project}"),
        user_name: project.into(),
        user_domain_id: "default".into(),
        scope: Scope::Project { id: project.into(), name: project.into(), domain_id: "default".into() },
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        request_id: "req-1".into(),
        global_request_id: None,
    }
}

impl Authenticate for Words {
    fn authenticate(&self, token: &str, _: &str) -> Result<Context, TokenFault> {
        if token == "bad" { Err(TokenFault::Invalid) } else { Ok(context(token)) }
    }
}

pub struct Cloud {
    pub network: Network,
    pub store: Store,
    router: Router,
}

pub fn env() -> Env {
    Env { clock: Clock::system(), random: Random::seeded(7) }
}

pub fn options() -> Options {
    Options { physical_networks: vec!["physnet1".into()], ..Options::default() }
}

pub fn cloud() -> Cloud {
    cloud_over(Store::open_memory(SqliteMode::Inline).unwrap())
}

pub fn cloud_over(store: Store) -> Cloud {
    let network = Network::new(store.clone(), env(), options());
    let auth = authenticate_layer(Arc::new(Words), Random::seeded(1));
    let router = network::http::router(network.clone()).layer(from_fn_with_state(auth, AuthState::run));
    Cloud { network, store, router }
}

impl Cloud {
    pub async fn call(&self, who: &str, method: &str, path: &str, body: Value) -> (StatusCode, Value) {
        let mut request = Request::builder().method(method).uri(path).header("host", "cloud:9696");
        if !who.is_empty() {
            request = request.header("x-auth-token", who);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
    pub async fn get(&self, who: &str, path: &str) -> Value {
        let (status, body) = self.call(who, "GET", path, Value::Null).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }
    /// Posts one object and answers it.
    pub async fn make(&self, who: &str, kind: &str, attributes: Value) -> Value {
        let path = format!("/v2.0/{}s", kind.replace('_', "-"));
        let (status, body) = self.call(who, "POST", &path, serde_json::json!({ kind: attributes })).await;
        assert_eq!(status, 201, "POST {path}: {body}");
        body[kind].clone()
    }
    /// Posts one object that is refused; status, Neutron's type, message.
    pub async fn refused(&self, who: &str, kind: &str, attributes: Value) -> (u16, String, String) {
        let path = format!("/v2.0/{}s", kind.replace('_', "-"));
        let (status, body) = self.call(who, "POST", &path, serde_json::json!({ kind: attributes })).await;
        fault(status, &body)
    }
}

pub fn fault(status: StatusCode, body: &Value) -> (u16, String, String) {
    let e = &body["NeutronError"];
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    (status.as_u16(), text(&e["type"]), text(&e["message"]))
}
