//! The image service with its router, a database in memory and a directory of its own.
#![allow(dead_code, clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use image::{Images, Options};
use model::{Context, Env, Random, Scope};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use store::{SqliteMode, Store};
use tempfile::TempDir;
use tower::ServiceExt;
use web::TokenFault;

pub struct Cloud {
    pub images: Images,
    pub store: Store,
    pub router: Router,
    pub dir: TempDir,
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes)
            .unwrap_or_else(|e| panic!("{e}: {:?}", String::from_utf8_lossy(&self.bytes)))
    }
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
    #[track_caller]
    pub fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }
}

pub fn env() -> Env {
    Env { clock: model::Clock::system(), random: Random::seeded(7) }
}

pub fn options(dir: &Path) -> Options {
    Options { dir: dir.join("image"), ..Options::default() }
}

pub fn cloud() -> Cloud {
    cloud_with(|_| {})
}

pub fn cloud_with(change: impl FnOnce(&mut Options)) -> Cloud {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_memory(SqliteMode::Inline).unwrap();
    let mut options = options(dir.path());
    change(&mut options);
    let images = Images::new(store.clone(), env(), options).unwrap();
    Cloud { router: image::router(images.clone()), images, store, dir }
}

/// `project/role`; roles imply those below them.
pub fn who(text: &str) -> Context {
    let (project, role) = text.split_once('/').unwrap_or((text, "member"));
    let all = ["reader", "member", "manager", "admin"];
    let last = all.iter().position(|r| *r == role).unwrap_or(0);
    Context {
        user_id: format!("user-of-{project}"),
        user_name: project.into(),
        user_domain_id: "default".into(),
        scope: Scope::Project { id: project.into(), name: project.into(), domain_id: "default".into() },
        roles: all[..=last].iter().map(|r| (*r).to_owned()).collect(),
        request_id: "req-1".into(),
        global_request_id: None,
    }
}

pub const PATCH21: &str = "application/openstack-images-v2.1-json-patch";

impl Cloud {
    pub fn files(&self, below: &str) -> Vec<PathBuf> {
        let dir = self.dir.path().join("image").join(below);
        let mut all: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        all.sort();
        all
    }
    pub async fn send(&self, caller: &str, request: Request<Body>) -> Answer {
        send(self.router.clone(), caller, request).await
    }
    pub async fn call(&self, caller: &str, method: &str, path: &str, body: Value) -> Answer {
        let kind = if method == "PATCH" { PATCH21 } else { "application/json" };
        let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        self.send(caller, request.header("host", "cloud:1").header("content-type", kind).body(body).unwrap()).await
    }
    pub async fn get(&self, caller: &str, path: &str) -> Answer {
        self.call(caller, "GET", path, Value::Null).await
    }
    pub async fn create(&self, caller: &str, body: Value) -> String {
        let answer = self.call(caller, "POST", "/v2/images", body).await.expect(201);
        answer.json()["id"].as_str().unwrap().to_owned()
    }
    pub async fn put(&self, caller: &str, id: &str, bytes: impl Into<Body>) -> Answer {
        let request = Request::put(format!("/v2/images/{id}/file")).header("content-type", "application/octet-stream");
        self.send(caller, request.body(bytes.into()).unwrap()).await
    }
    /// An active raw image.
    pub async fn active(&self, caller: &str, body: Value) -> String {
        let mut all = json!({"disk_format": "raw", "container_format": "bare"});
        for (k, v) in body.as_object().unwrap() {
            all[k] = v.clone();
        }
        let id = self.create(caller, all).await;
        self.put(caller, &id, "bytes of a disk").await.expect(204);
        id
    }
    pub async fn ids(&self, caller: &str, query: &str) -> Vec<String> {
        let answer = self.get(caller, &format!("/v2/images{query}")).await.expect(200).json();
        answer["images"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

pub async fn send(router: Router, caller: &str, mut request: Request<Body>) -> Answer {
    let outcome = match caller {
        "" => Err(TokenFault::Missing),
        caller => Ok(who(caller)),
    };
    request.extensions_mut().insert::<Result<Context, TokenFault>>(outcome);
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, bytes }
}
