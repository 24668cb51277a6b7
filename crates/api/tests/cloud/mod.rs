//! A cloud for the tests of the Compute API: the real control plane over fake hosts, in one process, and its clients.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses a part of it

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::middleware::from_fn_with_state;
use compute::Agent;
use conductor::Conductor;
use model::{Context, Env, Random, Scope, Secret};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{SqliteMode, Store};
use tower::ServiceExt;
use uuid::Uuid;
use web::{Authenticate, TokenFault};

/// Project of most tests; identity knows it.
pub const OTHER: &str = "00000000000000000000000000000bbb";

/// Callers by token.
struct Tokens(BTreeMap<String, Context>);

impl Authenticate for Tokens {
    fn authenticate(&self, token: &str, request_id: &str) -> Result<Context, TokenFault> {
        let mut c = self.0.get(token).cloned().ok_or(TokenFault::Invalid)?;
        c.request_id = request_id.to_owned();
        Ok(c)
    }
}

fn context(user: &str, project: &str, roles: &[&str]) -> Context {
    Context {
        user_id: user.into(),
        user_name: user.into(),
        user_domain_id: "default".into(),
        scope: Scope::Project { id: project.into(), name: project.into(), domain_id: "default".into() },
        roles: roles.iter().map(|r| (*r).to_owned()).collect(),
        request_id: String::new(),
        global_request_id: None,
    }
}

/// A running cloud.
pub struct Cloud {
    pub router: Router,
    pub conductor: Conductor,
    pub store: Store,
    pub project: String,
    pub image: Uuid,
    agents: Vec<Agent>,
    _dir: tempfile::TempDir,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The message of a fault.
    pub fn message(&self) -> &str {
        let fault = self.body.as_object().and_then(|o| o.values().next());
        fault.and_then(|f| f["message"].as_str()).unwrap_or_default()
    }
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }
    #[track_caller]
    pub fn refused(self, status: u16, text: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert!(self.message().contains(text), "{:?} does not say {text:?}", self.message());
    }
}

impl Cloud {
    /// `hosts` fake hosts with these options.
    pub async fn start(hosts: &[(&str, driver_fake::Options)]) -> Cloud {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open_memory(SqliteMode::Inline).unwrap();
        let env = Env { clock: model::Clock::system(), random: Random::seeded(42) };
        let hashing = identity::Hashing { memory_kib: 64, passes: 1, ..identity::Options::default().hashing };
        let options = identity::Options { hashing, ..identity::Options::default() };
        let identity = identity::Identity::new(store.clone(), env.clone(), options).await.unwrap();
        let seeded = identity.bootstrap(&Secret::new("secret".to_owned())).await.unwrap();
        let image_options = image::Options { dir: dir.path().join("images"), ..image::Options::default() };
        let images = image::Images::new(store.clone(), env.clone(), image_options).unwrap();
        let network = network::Network::new(store.clone(), env.clone(), network::Options::default());
        let seed = network::Seed {
            project_id: seeded.project_id.clone(),
            name: "private".into(),
            cidr: "10.0.0.0/24".parse().unwrap(),
            dns: vec![],
        };
        network.seed(&seed).await.unwrap();
        let placement = placement::Placement::new(store.clone(), env.clone());
        let conductor = Conductor::new(
            store.clone(),
            env.clone(),
            placement.clone(),
            network.clone(),
            images.clone(),
            conductor::Options::default(),
        );
        let mut agents = Vec::new();
        for (name, options) in hosts {
            let (client, reports, server) = messaging::in_process(name);
            conductor.attach(client, reports);
            let driver = Arc::new(driver_fake::Fake::new(options.clone()).unwrap());
            let agent = Agent::start(compute::Parts {
                server,
                driver,
                wiring: None,
                assignments: compute::Assignments::default(),
                images: Arc::new(images.source()),
                clock: env.clock.clone(),
                data_dir: dir.path().join(name),
                netns: None,
                vtep: None,
                options: compute::Options::default(),
                inline_io: true,
            });
            agents.push(agent.unwrap());
        }
        conductor.start().await.unwrap();
        let project = seeded.project_id.clone();
        let all = ["admin", "manager", "member", "reader"];
        let tokens = Tokens(BTreeMap::from([
            ("admin".to_owned(), context("root", &project, &all)),
            ("alice".to_owned(), context("alice", &project, &["member", "reader"])),
            ("reader".to_owned(), context("rita", &project, &["reader"])),
            ("bob".to_owned(), context("bob", OTHER, &["member", "reader"])),
        ]));
        let parts = api::Parts {
            store: store.clone(),
            env: env.clone(),
            identity,
            images: images.clone(),
            network,
            placement,
            conductor: conductor.clone(),
        };
        let api = api::Api::new(parts, api::Options::default());
        let auth = web::authenticate_layer(Arc::new(tokens), env.random.clone());
        let router = Router::new()
            .nest_service("/image", image::router(images))
            .nest_service("/compute", api::router(api))
            .layer(from_fn_with_state(auth, web::AuthState::run));
        let mut cloud = Cloud { router, conductor, store, project, image: Uuid::nil(), agents, _dir: dir };
        cloud.image = cloud.upload().await;
        cloud.until_hosts(hosts.len()).await;
        cloud.flavor("1", 512, 1).await;
        cloud
    }

    /// One host.
    pub async fn one() -> Cloud {
        Cloud::start(&[("h1", driver_fake::Options::default())]).await
    }

    async fn until_hosts(&self, n: usize) {
        self.until("the hosts register", || self.conductor.hosts().iter().filter(|h| h.up).count() == n).await;
    }

    /// Waits for an event, with a deadline.
    pub async fn until(&self, what: &str, mut done: impl FnMut() -> bool) {
        let wait = async {
            while !done() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(30), wait).await.is_ok(), "waited in vain until {what}");
    }

    async fn upload(&self) -> Uuid {
        let body = json!({"name": "disk", "disk_format": "raw", "container_format": "bare", "visibility": "public"});
        let made = self.send("admin", Method::POST, "/image/v2/images", &[], Some(body)).await.expect(201);
        let id = made["id"].as_str().unwrap().to_owned();
        let request = Request::builder()
            .method(Method::PUT)
            .uri(format!("/image/v2/images/{id}/file"))
            .header("x-auth-token", "admin")
            .header("content-type", "application/octet-stream")
            .body(Body::from(vec![0u8; 4096]))
            .unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        id.parse().unwrap()
    }

    pub async fn flavor(&self, id: &str, ram: u64, vcpus: u64) {
        let body = json!({"flavor": {"name": format!("f{id}"), "id": id, "ram": ram, "vcpus": vcpus, "disk": 1}});
        self.call("admin", Method::POST, "/flavors", "2.1", Some(body)).await.expect(200);
    }

    /// A request to the Compute API.
    pub async fn call(&self, token: &str, method: Method, path: impl Into<String>, mv: &str, body: Option<Value>) -> Answer {
        let path = path.into();
        let version = format!("compute {mv}");
        self.send(token, method, &format!("/compute/v2.1{path}"), &[("openstack-api-version", &version)], body).await
    }
    pub async fn get(&self, token: &str, path: impl Into<String>, mv: &str) -> Answer {
        self.call(token, Method::GET, path, mv, None).await
    }
    pub async fn post(&self, token: &str, path: impl Into<String>, mv: &str, body: Value) -> Answer {
        self.call(token, Method::POST, path, mv, Some(body)).await
    }

    pub async fn send(
        &self,
        token: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", "cloud:8774");
        if !token.is_empty() {
            request = request.header("x-auth-token", token);
        }
        for (k, v) in headers {
            request = request.header(*k, *v);
        }
        let body = match body {
            Some(v) => {
                request = request.header("content-type", "application/json");
                Body::from(v.to_string())
            }
            None => Body::empty(),
        };
        let answer = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// The smallest body of a server at 2.1.
    pub fn server(&self, name: &str) -> Value {
        json!({"server": {"name": name, "flavorRef": "1", "imageRef": self.image}})
    }

    /// Makes a server and waits until it is built; its id.
    pub async fn boot(&self, token: &str, name: &str) -> String {
        let made = self.post(token, "/servers", "2.1", self.server(name)).await.expect(202);
        let id = made["server"]["id"].as_str().unwrap().to_owned();
        self.settled().await;
        assert_eq!(self.status(token, &id).await, "ACTIVE");
        id
    }

    /// Waits until no flow runs.
    pub async fn settled(&self) {
        assert!(tokio::time::timeout(Duration::from_secs(30), self.conductor.idle()).await.is_ok(), "flows run for ever");
    }

    pub async fn status(&self, token: &str, id: &str) -> String {
        let s = self.get(token, &format!("/servers/{id}"), "2.1").await.expect(200);
        s["server"]["status"].as_str().unwrap().to_owned()
    }

    pub async fn act(&self, token: &str, id: &str, mv: &str, body: Value) -> Answer {
        self.post(token, &format!("/servers/{id}/action"), mv, body).await
    }

    pub async fn stop(self) {
        self.conductor.stop().await;
        for a in self.agents {
            a.stop().await;
        }
    }
}
