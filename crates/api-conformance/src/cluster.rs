//! One life of a cloud over simulated hosts.

use crate::client::Client;
use crate::world::{Shape, World};
use axum::Router;
use conductor::Conductor;
use driver_api::ComputeDriver;
use driver_fake::{Fake, Machine};
use model::{Env, Secret};
use serde_json::{Value, json};
use server::cloud::{Cloud, Ingredients};
use server::config::{ComputeHost, Config};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::Store;

/// The administrator's password.
pub(crate) const PASSWORD: &str = "correct horse battery";
/// Longest wait for an event; generous, since only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest wait for flows in virtual time, which costs nothing.
const LONG: Duration = Duration::from_secs(30 * 24 * 3600);

/// A running cloud.
pub struct TestCluster {
    world: Arc<World>,
    cloud: Option<Cloud>,
    env: Env,
    admin: Client,
    ended: bool,
}

impl TestCluster {
    /// A cloud in a world of its own, on the runtime of the caller. With [`crate::Database::Inline`] that runtime must be
    /// paused (`#[tokio::test(start_paused = true)]`).
    pub async fn start(shape: Shape) -> TestCluster {
        TestCluster::born(World::new(shape)).await
    }
    /// One host, inline, virtual time.
    pub async fn one() -> TestCluster {
        TestCluster::start(Shape::default()).await
    }

    /// The next life in `world`.
    /// # Panics
    /// If the cloud does not start.
    pub async fn born(world: Arc<World>) -> TestCluster {
        let shape = world.shape();
        let env = world.env();
        let (database, store) = world.store();
        let config = config(&shape, database);
        let cloud = Cloud::start(ingredients(&world, &config, store, &env)).await.expect("the cloud starts");
        let admin = Client::anonymous(cloud.router.clone()).login("admin", PASSWORD, "admin").await;
        // Until it is born there is nothing to end in order.
        let mut cluster = TestCluster { world, cloud: Some(cloud), env, admin, ended: true };
        let up = |c: &Conductor| c.hosts().iter().filter(|h| h.up).count();
        // A machine that does not answer is a test's own wish; the others are waited for.
        let silent = |h: &&crate::Host| !h.machine.is_reachable();
        let expected = shape.hosts.len() - shape.hosts.iter().filter(silent).count();
        let conductor = cluster.conductor().clone();
        if cluster.world.link().is_none() {
            cluster.until("the hosts register", async || up(&conductor) >= expected).await;
        }
        cluster.ended = false;
        cluster
    }

    /// Ends a host's agent as if its process had died, and starts it again before the same machine.
    /// # Panics
    /// If it does not start, or there is no such host.
    pub async fn restart_agent(&mut self, host: &str) {
        let (world, env) = (self.world.clone(), self.env.clone());
        let cloud = self.cloud.as_mut().expect("the cluster was not ended yet");
        let config = config(&world.shape(), "sqlite".into());
        let row = config.compute.iter().find(|h| h.name == host).expect("the host is there").clone();
        let i = ingredients(&world, &config, cloud.store.clone(), &env);
        cloud.restart_agent(&i, &row).await.expect("the agent starts again");
    }

    fn cloud(&self) -> &Cloud {
        self.cloud.as_ref().expect("the cluster was not ended yet")
    }
    /// The conductor.
    pub fn conductor(&self) -> &Conductor {
        &self.cloud().conductor
    }
    /// The database.
    pub fn store(&self) -> &Store {
        &self.cloud().store
    }
    /// The router.
    pub fn router(&self) -> Router {
        self.cloud().router.clone()
    }
    /// Time and randomness.
    pub fn env(&self) -> &Env {
        &self.env
    }
    /// The world it lives in.
    pub fn world(&self) -> &Arc<World> {
        &self.world
    }
    /// The machine of a host.
    pub fn machine(&self, host: &str) -> Arc<Machine> {
        self.world.machine(host)
    }
    /// The administrator.
    pub fn admin(&self) -> Client {
        self.admin.clone()
    }
    /// A caller without a token.
    pub fn anonymous(&self) -> Client {
        Client::anonymous(self.router())
    }

    /// A user with these roles in a project; each is made if it is not there.
    /// # Panics
    /// If they cannot be made.
    pub async fn user(&self, name: &str, project: &str, roles: &[&str]) -> Client {
        let admin = &self.admin;
        let found = |list: Value, what: &str| list[what][0]["id"].as_str().map(str::to_owned);
        let listed = admin.get(&format!("/identity/v3/projects?name={project}")).await.expect(200);
        let project_id = match found(listed, "projects") {
            Some(id) => id,
            None => {
                let body = json!({"project": {"name": project, "domain_id": "default"}});
                let made = admin.post("/identity/v3/projects", body).await.expect(201);
                made["project"]["id"].as_str().unwrap_or_default().to_owned()
            }
        };
        let password = format!("password of {name}");
        let listed = admin.get(&format!("/identity/v3/users?name={name}")).await.expect(200);
        let user_id = match found(listed, "users") {
            Some(id) => id,
            None => {
                let body = json!({"user": {"name": name, "domain_id": "default", "password": password}});
                let made = admin.post("/identity/v3/users", body).await.expect(201);
                made["user"]["id"].as_str().unwrap_or_default().to_owned()
            }
        };
        for role in roles {
            let listed = admin.get(&format!("/identity/v3/roles?name={role}")).await.expect(200);
            let role_id = found(listed, "roles").unwrap_or_else(|| panic!("no role {role}"));
            let path = format!("/identity/v3/projects/{project_id}/users/{user_id}/roles/{role_id}");
            admin.put(&path, Value::Null).await.expect(204);
        }
        self.anonymous().login(name, &password, project).await
    }
    /// A member of a project.
    pub async fn member(&self, name: &str, project: &str) -> Client {
        self.user(name, project, &["member"]).await
    }

    /// The public image of this world; made at the first call.
    /// # Panics
    /// If it cannot be made.
    pub async fn image(&self) -> String {
        let list = self.admin.get("/image/v2/images?name=disk&visibility=public").await.expect(200);
        if let Some(id) = list["images"][0]["id"].as_str() {
            return id.to_owned();
        }
        let (id, answer) = self.admin.upload("disk", "raw", vec![0; 4096], json!({"visibility": "public"})).await;
        answer.expect(204);
        id
    }
    /// The smallest body of a server: no network.
    pub async fn body(&self, name: &str) -> Value {
        json!({"server": {"name": name, "flavorRef": "1", "imageRef": self.image().await, "networks": "none"}})
    }
    /// Asks for a server on the seeded network and does not wait; its id.
    /// # Panics
    /// If it is refused.
    pub async fn launch(&self, who: &Client, name: &str) -> String {
        let mut body = self.body(name).await;
        body["server"]["networks"] = "auto".into();
        let made = who.post("/compute/v2.1/servers", body).await.expect(202);
        made["server"]["id"].as_str().unwrap_or_default().to_owned()
    }
    /// Makes a server on the seeded network and waits until it runs; its id.
    /// # Panics
    /// If it does not run then.
    pub async fn boot(&self, who: &Client, name: &str) -> String {
        let id = self.launch(who, name).await;
        self.idle().await;
        let server = who.server(&id).await;
        assert_eq!(server["status"], "ACTIVE", "{server}");
        id
    }
    /// Has an action accepted and waits for its end; the status after it.
    /// # Panics
    /// If it is refused.
    pub async fn done(&self, who: &Client, id: &str, body: Value) -> String {
        let answer = who.act(id, body).await;
        assert!(matches!(answer.status, 200 | 202), "{}: {}", answer.asked, answer.text());
        self.idle().await;
        who.status(id).await
    }
    /// Deletes a server and waits until it is gone.
    /// # Panics
    /// If it is not gone then.
    pub async fn gone(&self, who: &Client, id: &str) {
        who.delete(&format!("/compute/v2.1/servers/{id}")).await.expect(204);
        self.idle().await;
        who.get(&format!("/compute/v2.1/servers/{id}")).await.refused(404, "could not be found");
    }

    /// Waits until no flow runs and none is left to be taken up.
    /// # Panics
    /// If they run for ever.
    pub async fn idle(&self) {
        let ended = async {
            let mut pause = Duration::from_millis(5);
            loop {
                self.conductor().idle().await;
                if self.store().read(store::flows::unfinished).await.expect("flows can be read").is_empty() {
                    return;
                }
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        };
        assert!(tokio::time::timeout(self.patience(), ended).await.is_ok(), "flows run for ever");
    }
    /// Waits for an event.
    /// # Panics
    /// If it does not come.
    pub async fn until(&self, what: &str, mut done: impl AsyncFnMut() -> bool) {
        let begun = tokio::time::Instant::now();
        while !done().await {
            assert!(begun.elapsed() < PATIENCE * 10, "waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    /// Waits for a status.
    /// # Panics
    /// If it does not come.
    pub async fn until_status(&self, who: &Client, id: &str, status: &str) {
        self.until(&format!("{id} is {status}"), async || who.status(id).await == status).await;
    }
    fn patience(&self) -> Duration {
        if self.world.shape().database == crate::Database::Inline { LONG } else { PATIENCE }
    }

    /// What the audit finds.
    /// # Panics
    /// If it cannot be asked.
    pub async fn audit(&self) -> Vec<Value> {
        let mut report = self.admin.get("/kilonova/audit").await.expect(200);
        report["findings"].as_array_mut().map(std::mem::take).expect("an audit has findings, perhaps none")
    }
    /// Holds the audit to nothing.
    /// # Panics
    /// If it finds something.
    pub async fn healthy(&self) {
        let findings = self.audit().await;
        assert!(findings.is_empty(), "the audit finds {}", Value::Array(findings));
    }
    /// The end of a life, in order: everything ran to its end and the audit finds nothing.
    pub async fn end(mut self) {
        self.idle().await;
        self.healthy().await;
        self.leave().await;
    }
    /// Stops in order whatever runs, without an audit: the next life has to put it right.
    pub async fn leave(&mut self) {
        self.ended = true;
        self.world.note_time(self.env.now());
        if let Some(cloud) = self.cloud.take() {
            cloud.stop().await;
        }
    }
    /// The end of a life as if its process had been killed. Only within [`World::life`], whose runtime takes the rest
    /// down with it.
    pub fn die(mut self) {
        self.ended = true;
        self.world.note_time(self.env.now());
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        assert!(self.ended || std::thread::panicking(), "a test must end its cluster: the audit belongs to it");
    }
}

fn ingredients<'a>(world: &'a World, config: &'a Config, store: Store, env: &Env) -> Ingredients<'a> {
    let shape = world.shape();
    let mut drivers: BTreeMap<String, Arc<dyn ComputeDriver>> = BTreeMap::new();
    for h in &shape.hosts {
        let fake = Fake::on(h.machine.clone(), h.options.clone()).expect("the options of the fake are right");
        drivers.insert(h.name.clone(), Arc::new(fake));
    }
    Ingredients {
        config,
        data: world.dir.path(),
        store,
        env: env.clone(),
        admin_password: Secret::new(PASSWORD.to_owned()),
        drivers,
        simulated: shape.database == crate::Database::Inline,
        link: world.link(),
        probe: world.probe(),
    }
}

fn config(shape: &Shape, database: String) -> Config {
    let host = |h: &crate::Host| ComputeHost {
        name: h.name.clone(),
        driver: "fake".into(),
        netns: None,
        vtep: None,
        networking: Some(false),
        physical_networks: BTreeMap::new(),
        options: toml::Table::new(),
    };
    Config {
        database,
        token_seconds: shape.token_seconds,
        quota: shape.quota.clone(),
        compute: shape.hosts.iter().map(host).collect(),
        ..Config::default()
    }
}
