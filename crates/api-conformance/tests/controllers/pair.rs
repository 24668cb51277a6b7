//! Controllers that share a PostgreSQL database, each on a runtime of its own that can be taken away like a process.

use api_conformance::{Client, Host};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use driver_api::{Clock, ComputeDriver};
use driver_fake::{Fake, Options};
use model::{Env, Random, Secret};
use serde_json::{Value, json};
use server::cloud::{Cloud, Ingredients};
use server::config::{ComputeHost, Config};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;
use store::Store;
use store::testing::TestEngine;
use tokio::runtime::Runtime;
use tower::ServiceExt;

const PASSWORD: &str = "correct horse battery";
/// Longest wait for an event; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// What both controllers stand on.
pub struct Ground {
    pub engine: TestEngine,
    dir: tempfile::TempDir,
    quota: BTreeMap<String, i64>,
    lease_seconds: u64,
    lives: AtomicU64,
}

impl Ground {
    pub fn new(quota: &[(&str, i64)], lease_seconds: u64) -> Arc<Ground> {
        let quota = quota.iter().map(|(k, v)| ((*k).to_owned(), *v)).collect();
        let dir = tempfile::tempdir().unwrap();
        Arc::new(Ground { engine: store::testing::postgres(4), dir, quota, lease_seconds, lives: AtomicU64::new(1) })
    }
    pub fn store(&self) -> &Store {
        &self.engine.store
    }
    /// Waits until no flow is unfinished.
    pub async fn idle(&self) {
        until("every flow ended", async || self.store().read(store::flows::unfinished).await.unwrap().is_empty()).await;
    }
}

/// Waits for an event.
pub async fn until(what: &str, mut done: impl AsyncFnMut() -> bool) {
    let begun = tokio::time::Instant::now();
    while !done().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One life of one controller.
pub struct Controller {
    runtime: Option<Runtime>,
    cloud: Option<Cloud>,
    pub admin: Client,
    pub anonymous: Client,
}

pub fn hosts(prefix: &str, count: usize, options: &Options) -> Vec<Host> {
    (1..=count).map(|n| Host::new(&format!("{prefix}{n}"), options.clone())).collect()
}

fn config(ground: &Ground, name: &str, hosts: &[Host]) -> Config {
    let host = |h: &Host| ComputeHost {
        name: h.name.clone(),
        driver: "fake".into(),
        netns: None,
        vtep: None,
        networking: Some(false),
        physical_networks: BTreeMap::new(),
        options: toml::Table::new(),
    };
    Config {
        database: ground.engine.url.clone().unwrap(),
        controller: Some(name.into()),
        lease_seconds: ground.lease_seconds,
        image_dir: Some(ground.dir.path().join("images")),
        quota: ground.quota.clone(),
        compute: hosts.iter().map(host).collect(),
        ..Config::default()
    }
}

/// Requests are served on the controller's own runtime, and are lost with it.
fn served_by(runtime: &Runtime, router: Router) -> Router {
    let handle = runtime.handle().clone();
    Router::new().fallback(move |request: Request| async move {
        match handle.spawn(router.oneshot(request)).await {
            Ok(answer) => answer.into_response(),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    })
}

impl Controller {
    pub async fn start(ground: &Arc<Ground>, name: &str, hosts: &[Host]) -> Controller {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let life = ground.lives.fetch_add(1, SeqCst);
        let (config, data) = (config(ground, name, hosts), ground.dir.path().join(name));
        std::fs::create_dir_all(&data).unwrap();
        let mut drivers: BTreeMap<String, Arc<dyn ComputeDriver>> = BTreeMap::new();
        for h in hosts {
            drivers.insert(h.name.clone(), Arc::new(Fake::on(h.machine.clone(), h.options.clone()).unwrap()));
        }
        let started = runtime.spawn(async move {
            // Opening waits for the server's answer.
            let url = config.database.clone();
            let store = tokio::task::spawn_blocking(move || Store::open_postgres(&url, 6)).await.unwrap().unwrap();
            Cloud::start(Ingredients {
                config: &config,
                data: &data,
                store,
                env: Env { clock: Clock::system(), random: Random::seeded(life.wrapping_mul(0x5851_f42d_4c95_7f2d)) },
                admin_password: Secret::new(PASSWORD.to_owned()),
                drivers,
                simulated: false,
                link: None,
                probe: None,
            })
            .await
            .unwrap()
        });
        let cloud = started.await.unwrap();
        let anonymous = Client::anonymous(served_by(&runtime, cloud.router.clone()));
        let admin = anonymous.login("admin", PASSWORD, "admin").await;
        let expected = hosts.len();
        let conductor = cloud.conductor.clone();
        until("the own hosts are up", async || conductor.hosts().iter().filter(|h| h.here && h.up).count() == expected).await;
        Controller { runtime: Some(runtime), cloud: Some(cloud), admin, anonymous }
    }
    fn cloud(&self) -> &Cloud {
        self.cloud.as_ref().unwrap()
    }
    /// Waits until it sees so many hosts up, whoever holds them.
    pub async fn sees(&self, up: usize) {
        let conductor = self.cloud().conductor.clone();
        until(&format!("{up} hosts are seen up"), async || conductor.hosts().iter().filter(|h| h.up).count() == up).await;
    }
    /// The same caller at this controller.
    pub fn of(&self, who: &Client) -> Client {
        let mut here = self.anonymous.with_token(&who.token);
        here.user_id.clone_from(&who.user_id);
        here.project_id.clone_from(&who.project_id);
        here
    }
    /// A member of a new project.
    pub async fn member(&self, name: &str, project: &str) -> Client {
        let made = self.admin.post("/identity/v3/projects", json!({"project": {"name": project, "domain_id": "default"}}));
        let project_id = made.await.expect(201)["project"]["id"].as_str().unwrap().to_owned();
        let body = json!({"user": {"name": name, "domain_id": "default", "password": "a password"}});
        let user = self.admin.post("/identity/v3/users", body).await.expect(201)["user"]["id"].as_str().unwrap().to_owned();
        let role = self.admin.get("/identity/v3/roles?name=member").await.expect(200)["roles"][0]["id"].as_str().unwrap().to_owned();
        let path = format!("/identity/v3/projects/{project_id}/users/{user}/roles/{role}");
        self.admin.put(&path, Value::Null).await.expect(204);
        self.anonymous.login(name, "a password", project).await
    }
    /// A body of a server without network, of a public image.
    pub async fn body(&self, name: &str) -> Value {
        let list = self.admin.get("/image/v2/images?name=disk&visibility=public").await.expect(200);
        let image = match list["images"][0]["id"].as_str() {
            Some(id) => id.to_owned(),
            None => {
                let (id, answer) = self.admin.upload("disk", "raw", vec![0; 4096], json!({"visibility": "public"})).await;
                answer.expect(204);
                id
            }
        };
        json!({"server": {"name": name, "flavorRef": "1", "imageRef": image, "networks": "none"}})
    }
    /// Holds the audit to nothing.
    pub async fn healthy(&self) {
        let report = self.admin.get("/kilonova/audit").await.expect(200);
        assert_eq!(report["findings"], json!([]));
    }
    /// As if its process had been killed.
    pub fn kill(mut self) {
        std::mem::forget(self.cloud.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
    /// Leaves in order.
    pub async fn stop(mut self) {
        let (cloud, runtime) = (self.cloud.take().unwrap(), self.runtime.take().unwrap());
        runtime.spawn(cloud.stop()).await.unwrap();
        runtime.shutdown_background();
    }
}

impl Drop for Controller {
    fn drop(&mut self) {
        // A runtime may not be dropped where it would wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
