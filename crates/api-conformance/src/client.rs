//! A caller: a token and the router. Typed as far as tests need it: JSON in, status and JSON out.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Largest answer that is read, bytes.
const MAX_ANSWER: usize = 1 << 26;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for messages.
    pub asked: String,
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub bytes: Vec<u8>,
    /// The body as JSON; null if it is none.
    pub json: Value,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
    /// The message of a fault, in any service's shape.
    pub fn message(&self) -> &str {
        if let Some(detail) = self.json["errors"][0]["detail"].as_str() {
            return detail;
        }
        let message = |v: &Value| v.get("message").and_then(Value::as_str).map(str::len);
        let holder = match &self.json {
            v if message(v).is_some() => Some(v),
            Value::Object(o) => o.values().find(|v| message(v).is_some()),
            _ => None,
        };
        holder.and_then(|h| h["message"].as_str()).unwrap_or_default()
    }
    /// The body, if the status is `status`.
    /// # Panics
    /// If it is another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        self.json
    }
    /// Holds a refusal: its status and a part of its message.
    /// # Panics
    /// If it is another.
    #[track_caller]
    pub fn refused(self, status: u16, part: &str) {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.text());
        let message = self.message();
        assert!(message.contains(part), "{}: {message:?} does not say {part:?}", self.asked);
    }
}

/// A caller of the cloud.
#[derive(Clone)]
pub struct Client {
    pub(crate) router: Router,
    /// Its token; empty sends none.
    pub token: String,
    /// Its user.
    pub user_id: String,
    /// Its project.
    pub project_id: String,
    /// Microversion of the Compute API that it speaks.
    pub microversion: String,
}

impl Client {
    /// A caller without a token.
    pub fn anonymous(router: Router) -> Client {
        let (token, user_id, project_id) = (String::new(), String::new(), String::new());
        Client { router, token, user_id, project_id, microversion: "2.96".into() }
    }
    /// The same with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Client {
        Client { token: token.into(), ..self.clone() }
    }
    /// The same at another microversion.
    #[must_use]
    pub fn at(&self, microversion: &str) -> Client {
        Client { microversion: microversion.into(), ..self.clone() }
    }
    /// Logs in with a password, scoped to a project of the first domain.
    /// # Panics
    /// If the login fails.
    pub async fn login(&self, user: &str, password: &str, project: &str) -> Client {
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user":
                {"name": user, "domain": {"id": "default"}, "password": password}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}},
        }});
        let answer = self.with_token("").post("/identity/v3/auth/tokens", body).await;
        let token = answer.headers.get("x-subject-token").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let shown = answer.expect(201);
        let id = |what: &str| shown["token"][what]["id"].as_str().unwrap_or_default().to_owned();
        Client { token, user_id: id("user"), project_id: id("project"), ..self.clone() }
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }
    /// POST.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(body)).await
    }
    /// PUT.
    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PUT, path, Some(body)).await
    }
    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }
    /// An action on a server.
    pub async fn act(&self, id: &str, body: Value) -> Answer {
        self.post(&format!("/compute/v2.1/servers/{id}/action"), body).await
    }
    /// Any request with a JSON body or none.
    pub async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        let kind = body.is_some().then_some("application/json");
        self.raw(method, path, kind, body.map(|b| b.to_string().into_bytes()).unwrap_or_default(), &[]).await
    }
    /// Any request.
    /// # Panics
    /// If the request cannot be formed.
    pub async fn raw(&self, method: Method, path: &str, kind: Option<&str>, body: Vec<u8>, headers: &[(&str, &str)]) -> Answer {
        let asked = format!("{method} {path}");
        let mut request = Request::builder().method(method).uri(path).header("host", "cloud:8774");
        if !self.token.is_empty() {
            request = request.header("x-auth-token", &self.token);
        }
        if path.starts_with("/compute") {
            request = request.header("openstack-api-version", format!("compute {}", self.microversion));
        }
        if path.starts_with("/placement") {
            request = request.header("openstack-api-version", "placement latest");
        }
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        if !body.is_empty() && headers.iter().all(|(name, _)| *name != "content-length") {
            request = request.header("content-length", body.len());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::from(body)).expect("the test's request is well formed");
        let Ok(response) = self.router.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let bytes = match axum::body::to_bytes(body, MAX_ANSWER).await {
            Ok(b) => b.to_vec(),
            Err(e) => panic!("{asked}: the answer broke off: {e}"),
        };
        let json = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { asked, status: parts.status.as_u16(), headers: parts.headers, bytes, json }
    }

    /// Makes an image of these bytes; the upload's answer is the caller's to judge.
    /// # Panics
    /// If the image cannot be made.
    pub async fn upload(&self, name: &str, format: &str, bytes: Vec<u8>, extra: Value) -> (String, Answer) {
        let mut body = json!({"name": name, "disk_format": format, "container_format": "bare"});
        for (key, value) in extra.as_object().into_iter().flatten() {
            body[key] = value.clone();
        }
        let made = self.post("/image/v2/images", body).await.expect(201);
        let id = made["id"].as_str().unwrap_or_default().to_owned();
        let path = format!("/image/v2/images/{id}/file");
        let answer = self.raw(Method::PUT, &path, Some("application/octet-stream"), bytes, &[]).await;
        (id, answer)
    }
    /// The server as the API shows it.
    /// # Panics
    /// If it is not there.
    pub async fn server(&self, id: &str) -> Value {
        self.get(&format!("/compute/v2.1/servers/{id}")).await.expect(200)["server"].take()
    }
    /// Its status.
    pub async fn status(&self, id: &str) -> String {
        self.server(id).await["status"].as_str().unwrap_or_default().to_owned()
    }
    /// Names and messages of its instance actions, oldest first.
    /// # Panics
    /// If it is not there.
    pub async fn actions(&self, id: &str) -> Vec<(String, Option<String>)> {
        let path = format!("/compute/v2.1/servers/{id}/os-instance-actions");
        let mut list = self.get(&path).await.expect(200)["instanceActions"].take();
        let rows = list.as_array_mut().map(std::mem::take).unwrap_or_default();
        let word = |v: &Value| v.as_str().map(str::to_owned);
        rows.iter().rev().map(|a| (word(&a["action"]).unwrap_or_default(), word(&a["message"]))).collect()
    }
    /// The newest instance action with its events.
    /// # Panics
    /// If there is none.
    pub async fn last_action(&self, id: &str) -> Value {
        let path = format!("/compute/v2.1/servers/{id}/os-instance-actions");
        let list = self.get(&path).await.expect(200);
        let request = list["instanceActions"][0]["request_id"].as_str().unwrap_or_default();
        self.get(&format!("{path}/{request}")).await.expect(200)["instanceAction"].take()
    }
    /// Counted use of `instances`, `cores` and `ram` of the own project.
    /// # Panics
    /// If the limits cannot be read.
    pub async fn used(&self) -> [i64; 3] {
        let limits = self.get("/compute/v2.1/limits").await.expect(200);
        let of = |name: &str| limits["limits"]["absolute"][name].as_i64().unwrap_or(-1);
        [of("totalInstancesUsed"), of("totalCoresUsed"), of("totalRAMUsed")]
    }
}
