//! Two controllers on one database: each serves what the other holds, both keep quota and groups, and one that dies in
//! the middle is missed by nobody for long.

use crate::groups::{Watch, make, within};
use crate::pair::{Controller, Ground, hosts, until};
use crate::support::{by_host, delete_all, ids, rows, storm};
use api_conformance::{Client, Host};
use driver_fake::Options;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

const UNLIMITED: &[(&str, i64)] = &[("instances", -1), ("cores", -1), ("ram", -1), ("server_group_members", -1)];

/// Alpha and beta, with so many hosts each.
async fn pair(ground: &Arc<Ground>, count: usize, options: &Options) -> (Controller, Controller, Vec<Host>) {
    let alpha = Controller::start(ground, "alpha", &hosts("a", count, options)).await;
    let beta_hosts = hosts("b", count, options);
    let beta = Controller::start(ground, "beta", &beta_hosts).await;
    alpha.sees(2 * count).await;
    beta.sees(2 * count).await;
    (alpha, beta, beta_hosts)
}

async fn end(ground: &Ground, controllers: [Controller; 2]) {
    ground.idle().await;
    for c in controllers {
        c.healthy().await;
        c.stop().await;
    }
}

async fn becomes(who: &Client, id: &str, status: &str) {
    until(&format!("{id} is {status}"), async || who.status(id).await == status).await;
}

async fn create(who: &Client, body: &Value) -> String {
    who.post("/compute/v2.1/servers", body.clone()).await.expect(202)["server"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_serves_what_the_other_holds() {
    let ground = Ground::new(&[], 60);
    let (alpha, beta, _) = pair(&ground, 1, &Options::default()).await;
    let mut body = alpha.body("there").await;
    // Accepted by alpha, run by beta, and seen by both.
    body["server"]["availability_zone"] = "nova:b1".into();
    let there = create(&alpha.admin, &body).await;
    becomes(&alpha.admin, &there, "ACTIVE").await;
    assert_eq!(beta.admin.server(&there).await["OS-EXT-SRV-ATTR:host"], "b1");
    let act = |who: &Client, id: &str, body: Value| {
        let (who, id) = (who.clone(), id.to_owned());
        async move { who.act(&id, body).await.expect(202) }
    };
    act(&alpha.admin, &there, json!({"os-stop": null})).await;
    becomes(&beta.admin, &there, "SHUTOFF").await;
    act(&beta.admin, &there, json!({"os-start": null})).await;
    becomes(&alpha.admin, &there, "ACTIVE").await;
    act(&alpha.admin, &there, json!({"reboot": {"type": "HARD"}})).await;
    ground.idle().await;
    becomes(&alpha.admin, &there, "ACTIVE").await;
    let events = alpha.admin.last_action(&there).await;
    assert_eq!((&events["action"], &events["events"][0]["result"]), (&json!("reboot"), &json!("Success")));
    // What only its own controller can ask is refused by the other, which says where to ask.
    let log = json!({"os-getConsoleOutput": {}});
    alpha.admin.act(&there, log.clone()).await.refused(503, "Host b1 is held by controller beta; ask there.");
    beta.admin.act(&there, log).await.expect(200);
    // The other way, to the end.
    body["server"]["availability_zone"] = "nova:a1".into();
    let here = create(&beta.admin, &body).await;
    becomes(&beta.admin, &here, "ACTIVE").await;
    assert_eq!(ids(&alpha.admin, "").await.len(), 2);
    beta.admin.delete(&format!("/compute/v2.1/servers/{here}")).await.expect(204);
    alpha.admin.delete(&format!("/compute/v2.1/servers/{there}")).await.expect(204);
    until("both are gone", async || ids(&beta.admin, "").await.is_empty()).await;
    // A switch of the operator at one is followed by the other.
    let services = alpha.admin.get("/compute/v2.1/os-services?binary=nova-compute").await.expect(200);
    let service = services["services"].as_array().unwrap().iter().find(|s| s["host"] == "b1").unwrap()["id"].clone();
    let path = format!("/compute/v2.1/os-services/{}", service.as_str().unwrap());
    alpha.admin.put(&path, json!({"status": "disabled"})).await.expect(200);
    let disabled = async || {
        let list = beta.admin.get("/compute/v2.1/os-services?host=b1").await.expect(200);
        list["services"][0]["status"] == "disabled"
    };
    until("beta knows that b1 is disabled", disabled).await;
    body["server"].as_object_mut().unwrap().remove("availability_zone");
    for at in [&alpha, &beta] {
        let id = create(&at.admin, &body).await;
        becomes(&at.admin, &id, "ACTIVE").await;
        assert_eq!(at.admin.server(&id).await["OS-EXT-SRV-ATTR:host"], "a1");
    }
    end(&ground, [alpha, beta]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_is_worth_the_same_at_both() {
    let ground = Ground::new(&[], 60);
    let (alpha, beta, _) = pair(&ground, 1, &Options::default()).await;
    let who = alpha.member("alice", "wonderland").await;
    let there = beta.of(&who);
    until("beta takes alpha's token", async || there.get("/compute/v2.1/servers").await.status == 200).await;
    let path = "/identity/v3/auth/tokens";
    let revoked = alpha.admin.raw(axum::http::Method::DELETE, path, None, Vec::new(), &[("x-subject-token", &who.token)]).await;
    revoked.expect(204);
    who.get("/compute/v2.1/servers").await.refused(401, "");
    until("beta refuses it too", async || there.get("/compute/v2.1/servers").await.status == 401).await;
    // A role that is taken away at one is taken away at the other.
    let again = beta.anonymous.login("alice", "a password", "wonderland").await;
    let role = alpha.admin.get("/identity/v3/roles?name=member").await.expect(200)["roles"][0]["id"].as_str().unwrap().to_owned();
    let grant = format!("/identity/v3/projects/{}/users/{}/roles/{role}", who.project_id, who.user_id);
    beta.admin.delete(&grant).await.expect(204);
    until("alpha refuses who has no role", async || alpha.of(&again).get("/compute/v2.1/servers").await.status != 200).await;
    end(&ground, [alpha, beta]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_the_quota_of_a_thousand_over_both() {
    let ground = Ground::new(&[], 60);
    let (alpha, beta, _) = pair(&ground, 2, &Options::default()).await;
    let who = alpha.member("alice", "wonderland").await;
    let there = beta.of(&who);
    until("beta knows alice", async || there.get("/compute/v2.1/servers").await.status == 200).await;
    let answers = storm(&[who.clone(), there.clone()], 1000, &alpha.body("racer").await).await;
    assert_eq!(answers.iter().filter(|a| a.status == 202).count(), 10);
    for answer in answers.into_iter().filter(|a| a.status != 202) {
        answer.refused(403, "Quota exceeded for instances");
    }
    ground.idle().await;
    assert_eq!((who.used().await, there.used().await), ([10, 10, 5120], [10, 10, 5120]));
    assert_eq!(rows(ground.store(), "servers", "1 = 1").await, 10);
    assert_eq!(rows(ground.store(), "servers", "vm_state = 'active'").await, 10);
    assert_eq!(rows(ground.store(), "flows", "action = 'build'").await, 10);
    delete_all(&[there, who.clone()], &ids(&who, "").await).await;
    ground.idle().await;
    assert_eq!(who.used().await, [0, 0, 0]);
    end(&ground, [alpha, beta]).await;
}

async fn grouped(policy: &str, rules: Value, vcpus: u64, most: i64, used: usize) {
    let ground = Ground::new(UNLIMITED, 60);
    let options = Options { vcpus, cpu_ratio: 1.0, ..Options::default() };
    let (alpha, beta, _) = pair(&ground, 6, &options).await;
    let who = alpha.member("alice", "wonderland").await;
    let there = beta.of(&who);
    until("beta knows alice", async || there.get("/compute/v2.1/servers").await.status == 200).await;
    let group = make(&who, policy, rules).await;
    let body = within(&alpha.body("member").await, &group);
    let watch = Watch::begin(ground.store(), most, used);
    for answer in storm(&[who.clone(), there], 1000, &body).await {
        answer.expect(202);
    }
    ground.idle().await;
    watch.end().await;
    let seen = by_host(ground.store()).await;
    assert!(seen.len() == used && seen.values().all(|n| *n == most), "{seen:?}");
    end(&ground, [alpha, beta]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_stay_apart_over_both() {
    grouped("anti-affinity", json!({"max_server_per_host": 2}), 64, 2, 12).await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_stay_together_over_both() {
    grouped("affinity", Value::Null, 50, 50, 1).await;
}

/// What one caller was told: servers that were accepted, and those whose deletion was.
#[derive(Default)]
struct Told {
    made: Vec<String>,
    gone: Vec<String>,
    /// Deletions that nobody answered.
    unsure: Vec<String>,
}

/// Creates, stops, starts and deletes until told to stop; what a dying controller did not answer was not promised.
async fn load(here: Client, other: Client, body: Value, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    let mut turn = 0_usize;
    while !stop.load(SeqCst) {
        turn += 1;
        let (first, second) = if turn.is_multiple_of(2) { (&here, &other) } else { (&other, &here) };
        let made = first.post("/compute/v2.1/servers", body.clone()).await;
        let Some(id) = made.json["server"]["id"].as_str().map(str::to_owned).filter(|_| made.status == 202) else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        told.made.push(id.clone());
        // Refusals are right in many states; what counts is that nothing is left of them.
        second.act(&id, json!({"os-stop": null})).await;
        first.act(&id, json!({"os-start": null})).await;
        // Most go again: the hosts must not be full before the load ends.
        if !turn.is_multiple_of(8) {
            match second.delete(&format!("/compute/v2.1/servers/{id}")).await.status {
                204 => told.gone.push(id),
                _ => told.unsure.push(id),
            }
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_that_dies_under_load_is_taken_over_and_comes_back() {
    const LEASE: u64 = 10;
    let ground = Ground::new(UNLIMITED, LEASE);
    let options = Options { default_latency_ms: 20, vcpus: 4096, memory_mib: 4 << 20, disk_gib: 1 << 16, ..Options::default() };
    let (alpha, beta, beta_hosts) = pair(&ground, 3, &options).await;
    let who = alpha.member("alice", "wonderland").await;
    let there = beta.of(&who);
    until("beta knows alice", async || there.get("/compute/v2.1/servers").await.status == 200).await;
    let (body, stop) = (alpha.body("loaded").await, Arc::new(AtomicBool::new(false)));
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (here, other) = if n % 2 == 0 { (who.clone(), there.clone()) } else { (there.clone(), who.clone()) };
            tokio::spawn(load(here, other, body.clone(), stop.clone()))
        })
        .collect();
    let busy = async || rows(ground.store(), "servers", "vm_state = 'active' AND host LIKE 'b%'").await >= 20;
    until("beta's hosts are busy", busy).await;
    beta.kill();
    // Its hosts are down within a lease, and the others go on.
    alpha.sees(3).await;
    let before = rows(ground.store(), "servers", "vm_state = 'active' AND host LIKE 'a%'").await;
    until("alpha goes on", async || rows(ground.store(), "servers", "vm_state = 'active' AND host LIKE 'a%'").await > before + 5).await;
    stop.store(true, SeqCst);
    let mut told = Told::default();
    for t in tasks {
        let one = t.await.unwrap();
        told.made.extend(one.made);
        told.gone.extend(one.gone);
        told.unsure.extend(one.unsure);
    }
    // What it left is taken up and ended by the one that lives: nothing waits for its return.
    ground.idle().await;
    assert_eq!(rows(ground.store(), "servers", "deleted_at IS NULL AND action IS NOT NULL").await, 0);
    alpha.healthy().await;
    // Back under its name, its hosts come up and everything fits again.
    let beta = Controller::start(&ground, "beta", &beta_hosts).await;
    alpha.sees(6).await;
    ground.idle().await;
    let (alpha_who, beta_who) = (alpha.of(&who), beta.of(&who));
    for id in told.made.iter().filter(|id| !told.unsure.contains(id)) {
        let path = format!("/compute/v2.1/servers/{id}");
        let expected = if told.gone.contains(id) { 404 } else { 200 };
        assert_eq!(alpha_who.get(&path).await.status, expected, "{id} at alpha");
        assert_eq!(beta_who.get(&path).await.status, expected, "{id} at beta");
    }
    let left = ids(&beta_who, "").await;
    delete_all(&[alpha_who, beta_who.clone()], &left).await;
    ground.idle().await;
    assert_eq!(beta_who.used().await, [0, 0, 0]);
    for host in &beta_hosts {
        until("no guest is left", async || host.machine.remains().is_empty()).await;
    }
    end(&ground, [alpha, beta]).await;
}
