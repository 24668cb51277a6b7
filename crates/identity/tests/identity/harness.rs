//! A cloud of one service: store, identity, router, layer.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use identity::{Hashing, Identity, Options};
use model::{Clock, Env, Random, Secret, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{SqliteMode, Store};
use tower::ServiceExt;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// Asserts the status.
    #[track_caller]
    pub fn is(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }
    pub fn token(&self) -> String {
        self.headers["x-subject-token"].to_str().unwrap().to_owned()
    }
    pub fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
    /// A text at a JSON pointer.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> String {
        let found = self.body.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_else(|| panic!("no text at {pointer} of {}", self.body)).to_owned()
    }
    /// The names in a list.
    pub fn names(&self, key: &str) -> Vec<String> {
        let mut names: Vec<String> =
            self.body[key].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }
}

pub struct Cloud {
    pub identity: Identity,
    pub store: Store,
    app: axum::Router,
}

pub fn cheap() -> Options {
    // One pass over little memory: the cost is not what is tested.
    Options { hashing: Hashing { memory_kib: 8, passes: 1, parallel: 2, remember: 60 }, ..Options::default() }
}

/// Time that follows tokio's clock.
pub fn env() -> Env {
    Env { clock: Clock::virtual_from(Timestamp(1_795_357_610_000_000)), random: Random::os() }
}

impl Cloud {
    pub async fn new() -> Cloud {
        Cloud::on(Store::open_memory(SqliteMode::Inline).unwrap()).await
    }
    pub async fn on(store: Store) -> Cloud {
        Cloud::with(store, cheap()).await
    }
    pub async fn with(store: Store, options: Options) -> Cloud {
        let env = env();
        let identity = Identity::new(store.clone(), env.clone(), options).await.unwrap();
        identity.bootstrap(&Secret::new("secret".into())).await.unwrap();
        identity.ensure_user("demo", &Secret::new("demo".into()), "demo", &["member"]).await.unwrap();
        let layer = web::authenticate_layer(Arc::new(identity.clone()), env.random);
        let layer = axum::middleware::from_fn_with_state(layer, web::AuthState::run);
        let app = web::mount(axum::Router::new(), "/identity", identity::router(identity.clone())).layer(layer);
        Cloud { identity, store, app }
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }
    /// One call below `/identity`; a body of null is none.
    pub async fn call(&self, method: &str, path: &str, token: &str, body: Value) -> Answer {
        let mut request =
            Request::builder().method(method).uri(format!("/identity{path}")).header("host", "cloud:8774");
        if !token.is_empty() {
            request = request.header("x-auth-token", token);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(request.header("content-type", "application/json").body(body).unwrap()).await
    }
    pub async fn get(&self, path: &str, token: &str) -> Answer {
        self.call("GET", path, token, Value::Null).await
    }
    pub async fn post(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call("POST", path, token, body).await
    }
    pub async fn patch(&self, path: &str, token: &str, body: Value) -> Answer {
        self.call("PATCH", path, token, body).await
    }
    pub async fn put(&self, path: &str, token: &str) -> Answer {
        self.call("PUT", path, token, Value::Null).await
    }
    pub async fn delete(&self, path: &str, token: &str) -> Answer {
        self.call("DELETE", path, token, Value::Null).await
    }
    pub async fn about(&self, method: &str, token: &str, subject: &str) -> Answer {
        let request = Request::builder().method(method).uri("/identity/v3/auth/tokens").header("x-auth-token", token);
        self.send(request.header("x-subject-token", subject).body(Body::empty()).unwrap()).await
    }

    /// A login that comes from an address.
    pub async fn login_from(&self, address: &str, user: &str, password: &str) -> Answer {
        let body = by_password(user, password, Value::Null).to_string();
        let mut request = Request::post("/identity/v3/auth/tokens").body(Body::from(body)).unwrap();
        request.extensions_mut().insert(web::Peer(address.parse().unwrap()));
        self.send(request).await
    }

    pub async fn auth(&self, body: Value) -> Answer {
        self.post("/v3/auth/tokens", "", body).await
    }
    /// A login by names in the first domain.
    pub async fn login(&self, user: &str, password: &str, scope: Value) -> Answer {
        self.auth(by_password(user, password, scope)).await
    }
    /// The token of such a login.
    pub async fn token(&self, user: &str, password: &str, scope: Value) -> String {
        self.login(user, password, scope).await.is(201).token()
    }
    pub async fn admin(&self) -> String {
        self.token("admin", "secret", project("admin")).await
    }
    pub async fn demo(&self) -> String {
        self.token("demo", "demo", project("demo")).await
    }
    /// Makes a thing and gives its id.
    pub async fn make(&self, key: &str, body: Value) -> String {
        let admin = self.admin().await;
        let answer = self.post(&format!("/v3/{key}s"), &admin, json!({key: body})).await.is(201);
        answer.text(&format!("/{key}/id"))
    }
    /// A user's id by its name.
    pub async fn user(&self, name: &str) -> String {
        let admin = self.admin().await;
        self.get(&format!("/v3/users?name={name}"), &admin).await.text("/users/0/id")
    }
    pub async fn role(&self, name: &str) -> String {
        let admin = self.admin().await;
        self.get(&format!("/v3/roles?name={name}"), &admin).await.text("/roles/0/id")
    }
    pub fn project(&self, name: &str) -> String {
        self.identity.project_named(name).unwrap()
    }
    /// Assigns a role by the path of its place and actor.
    pub async fn grant(&self, place: &str, actor: &str, role: &str) {
        let (admin, role) = (self.admin().await, self.role(role).await);
        self.put(&format!("/v3/{place}/{actor}/roles/{role}"), &admin).await.is(204);
    }
    /// Is the token accepted?
    pub async fn accepts(&self, token: &str) -> bool {
        match self.get("/v3/auth/projects", token).await.status.as_u16() {
            200 => true,
            401 => false,
            other => panic!("{other}"),
        }
    }
}

pub fn project(name: &str) -> Value {
    json!({"project": {"name": name, "domain": {"id": "default"}}})
}

pub fn by_password(user: &str, password: &str, scope: Value) -> Value {
    let user = json!({"name": user, "domain": {"name": "Default"}, "password": password});
    let mut auth = json!({"identity": {"methods": ["password"], "password": {"user": user}}});
    if !scope.is_null() {
        auth["scope"] = scope;
    }
    json!({"auth": auth})
}

pub fn by_token(token: &str, scope: Value) -> Value {
    let mut auth = json!({"identity": {"methods": ["token"], "token": {"id": token}}});
    if !scope.is_null() {
        auth["scope"] = scope;
    }
    json!({"auth": auth})
}
