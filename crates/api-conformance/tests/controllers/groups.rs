//! Server groups: the API by microversion, quotas, filters and weighers, and policies that a thousand creates cannot break.

use crate::support::{by_host, delete_all, ids, rows, storm};
use api_conformance::{Client, Database, Host, Shape, TestCluster};
use driver_api::ErrorKind;
use driver_fake::{FaultRule, Operation, Options, When};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use store::Store;

const GROUPS: &str = "/compute/v2.1/os-server-groups";

pub async fn make(who: &Client, policy: &str, rules: Value) -> String {
    let mut body = json!({"server_group": {"name": "g", "policy": policy}});
    if !rules.is_null() {
        body["server_group"]["rules"] = rules;
    }
    who.post(GROUPS, body).await.expect(200)["server_group"]["id"].as_str().unwrap().to_owned()
}

pub fn within(body: &Value, group: &str) -> Value {
    let mut body = body.clone();
    body["os:scheduler_hints"] = json!({ "group": group });
    body
}

fn unlimited(hosts: usize, vcpus: u64, database: Database) -> Shape {
    let options = Options { vcpus, cpu_ratio: 1.0, ..Options::default() };
    let hosts = (1..=hosts).map(|n| Host::new(&format!("h{n}"), options.clone())).collect();
    let quota = ["instances", "cores", "ram", "server_group_members"].map(|r| (r.to_owned(), -1));
    Shape { hosts, database, quota: quota.into(), ..Shape::default() }
}

/// Looks at the records all the time until told to stop: no look may find more than `most` servers on a host, nor more
/// than `hosts` hosts in use.
pub struct Watch {
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<u64>,
}

impl Watch {
    pub fn begin(store: &Store, most: i64, hosts: usize) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let (store, told) = (store.clone(), stop.clone());
        let task = tokio::spawn(async move {
            let mut looks = 0;
            while !told.load(SeqCst) {
                let seen = by_host(&store).await;
                assert!(seen.values().all(|n| *n <= most) && seen.len() <= hosts, "{seen:?}");
                looks += 1;
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            looks
        });
        Watch { stop, task }
    }
    pub async fn end(self) {
        self.stop.store(true, SeqCst);
        assert!(self.task.await.unwrap() > 1, "nobody looked");
    }
}

#[tokio::test(start_paused = true)]
async fn groups_are_made_shown_and_removed_in_every_microversion() {
    let c = TestCluster::one().await;
    let (who, other) = (c.member("alice", "wonderland").await, c.member("bob", "elsewhere").await);
    let old = json!({"server_group": {"name": "old", "policies": ["affinity"]}});
    let made = who.at("2.1").post(GROUPS, old).await.expect(200)["server_group"].take();
    let id = made["id"].as_str().unwrap();
    assert_eq!(made, json!({"id": id, "name": "old", "policies": ["affinity"], "metadata": {}, "members": []}));
    let soft = json!({"server_group": {"name": "soft", "policies": ["soft-anti-affinity"]}});
    who.at("2.14").post(GROUPS, soft.clone()).await.refused(400, "is not one of");
    who.at("2.15").post(GROUPS, soft).await.expect(200);
    let group = make(&who, "anti-affinity", json!({"max_server_per_host": 2})).await;
    let wrong = json!({"server_group": {"name": "x", "policy": "affinity", "rules": {"max_server_per_host": 2}}});
    who.post(GROUPS, wrong).await.refused(400, "Only anti-affinity policy supports rules.");
    let shown = who.get(&format!("{GROUPS}/{group}")).await.expect(200);
    let new = json!({"id": group, "name": "g", "policy": "anti-affinity", "rules": {"max_server_per_host": 2},
        "members": [], "project_id": who.project_id, "user_id": who.user_id});
    assert_eq!(shown["server_group"], new);
    let names = |list: Value| -> Vec<String> {
        list["server_groups"].as_array().unwrap().iter().map(|g| g["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(who.get(GROUPS).await.expect(200)), ["old", "soft", "g"]);
    assert_eq!(names(who.get(&format!("{GROUPS}?limit=1&offset=1")).await.expect(200)), ["soft"]);
    // Others neither see, nor use, nor remove it; an administrator sees all when asked for all.
    assert_eq!(names(other.get(&format!("{GROUPS}?all_projects=True")).await.expect(200)), Vec::<String>::new());
    assert_eq!(names(c.admin().get(&format!("{GROUPS}?all_projects=True")).await.expect(200)).len(), 3);
    other.get(&format!("{GROUPS}/{group}")).await.refused(404, "could not be found");
    other.delete(&format!("{GROUPS}/{group}")).await.refused(404, "could not be found");
    let body = within(&c.body("spy").await, &group);
    other.post("/compute/v2.1/servers", body.clone()).await.refused(400, &format!("Instance group {group} could not be found."));
    // A member is shown on both sides; a deleted one is no member.
    let server = who.post("/compute/v2.1/servers", body).await.expect(202)["server"]["id"].as_str().unwrap().to_owned();
    c.idle().await;
    assert_eq!(who.server(&server).await["server_groups"], json!([group]));
    assert!(who.at("2.70").server(&server).await.get("server_groups").is_none());
    assert_eq!(who.get(&format!("{GROUPS}/{group}")).await.expect(200)["server_group"]["members"], json!([server]));
    c.gone(&who, &server).await;
    assert_eq!(who.get(&format!("{GROUPS}/{group}")).await.expect(200)["server_group"]["members"], json!([]));
    who.delete(&format!("{GROUPS}/{group}")).await.expect(204);
    who.get(&format!("{GROUPS}/{group}")).await.refused(404, "could not be found");
    who.delete(&format!("{GROUPS}/{group}")).await.refused(404, "could not be found");
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn groups_and_their_members_are_counted() {
    let quota = [("server_groups", 2), ("server_group_members", 3), ("instances", -1)].map(|(k, v)| (k.to_owned(), v));
    let c = TestCluster::start(Shape { quota: quota.into(), ..Shape::default() }).await;
    let who = c.member("alice", "wonderland").await;
    let group = make(&who, "soft-affinity", Value::Null).await;
    let second = make(&who, "affinity", Value::Null).await;
    let third = json!({"server_group": {"name": "g", "policy": "affinity"}});
    who.post(GROUPS, third).await.refused(403, "Quota exceeded, too many server groups.");
    let limits = who.get("/compute/v2.1/limits").await.expect(200);
    assert_eq!(limits["limits"]["absolute"]["totalServerGroupsUsed"], 2);
    who.delete(&format!("{GROUPS}/{second}")).await.expect(204);
    make(&who, "affinity", Value::Null).await;
    let mut several = within(&c.body("member").await, &group);
    several["server"]["min_count"] = 4.into();
    who.post("/compute/v2.1/servers", several.clone()).await.refused(403, "Quota exceeded, too many servers in group");
    assert_eq!(rows(c.store(), "servers", "1 = 1").await, 0);
    several["server"]["min_count"] = 3.into();
    who.post("/compute/v2.1/servers", several).await.expect(202);
    c.idle().await;
    let one = within(&c.body("member").await, &group);
    who.post("/compute/v2.1/servers", one.clone()).await.refused(403, "Quota exceeded, too many servers in group");
    let all = ids(&who, "").await;
    c.gone(&who, &all[0]).await;
    who.post("/compute/v2.1/servers", one).await.expect(202);
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn soft_policies_wish_and_hard_ones_insist() {
    let hosts_of = async |c: &TestCluster, who: &Client, policy: &str, count: u32| {
        let group = make(who, policy, Value::Null).await;
        let mut body = within(&c.body("member").await, &group);
        let mut hosts = Vec::new();
        for _ in 0..count {
            body["server"]["name"] = policy.into();
            let id = who.post("/compute/v2.1/servers", body.clone()).await.expect(202)["server"]["id"].clone();
            c.idle().await;
            hosts.push(c.admin().server(id.as_str().unwrap()).await["OS-EXT-SRV-ATTR:host"].clone());
        }
        hosts
    };
    let c = TestCluster::start(unlimited(3, 64, Database::Inline)).await;
    let who = c.member("alice", "wonderland").await;
    let together = hosts_of(&c, &who, "soft-affinity", 4).await;
    assert!(together.iter().all(|h| *h == together[0]), "{together:?}");
    let apart = hosts_of(&c, &who, "soft-anti-affinity", 4).await;
    let mut distinct: Vec<String> = apart.iter().map(Value::to_string).collect();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), 3, "{apart:?}");
    assert!(!apart[3].is_null(), "a soft wish is no reason to refuse");
    let hard = hosts_of(&c, &who, "anti-affinity", 4).await;
    assert_eq!(hard.iter().filter(|h| h.is_null()).count(), 1, "{hard:?}");
    let list = c.admin().get("/compute/v2.1/servers/detail?all_tenants=1&status=ERROR").await.expect(200);
    let message = list["servers"][0]["fault"]["message"].as_str().unwrap();
    assert!(message.contains("3 fell at ServerGroupAntiAffinityFilter"), "{message}");
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_build_that_moves_on_keeps_to_its_group() {
    let rule = FaultRule::nth(Operation::Spawn, 1, When::BeforeEffect, ErrorKind::Internal);
    let broken = FaultRule { nth: None, probability: Some(1.0), ..rule };
    // The largest host is everybody's first choice, and nothing starts there.
    let first = Options { faults: vec![broken], memory_mib: 1 << 20, ..Options::default() };
    for (policy, active) in [("anti-affinity", 2), ("affinity", 3)] {
        let shape = Shape::of([first.clone(), Options::default(), Options::default()]);
        let c = TestCluster::start(shape).await;
        let who = c.member("alice", "wonderland").await;
        let group = make(&who, policy, Value::Null).await;
        for _ in 0..3 {
            who.post("/compute/v2.1/servers", within(&c.body("member").await, &group)).await.expect(202);
            c.idle().await;
        }
        let seen = by_host(c.store()).await;
        assert_eq!(seen.values().sum::<i64>(), active, "{policy}: {seen:?}");
        assert_eq!(seen.len(), if policy == "affinity" { 1 } else { 2 }, "{policy}: {seen:?}");
        assert!(c.machine("h1").remains().is_empty());
        c.end().await;
    }
}

async fn apart(database: Database) {
    let c = TestCluster::start(unlimited(12, 64, database)).await;
    let who = c.member("alice", "wonderland").await;
    let group = make(&who, "anti-affinity", json!({"max_server_per_host": 2})).await;
    let body = within(&c.body("apart").await, &group);
    let watch = Watch::begin(c.store(), 2, 12);
    for _ in 0..2 {
        for answer in storm(std::slice::from_ref(&who), 1000, &body).await {
            answer.expect(202);
        }
        c.idle().await;
        // Every place was used, and none twice too often.
        let seen = by_host(c.store()).await;
        assert!(seen.len() == 12 && seen.values().all(|n| *n == 2), "{seen:?}");
        assert_eq!(rows(c.store(), "servers", "deleted_at IS NULL AND vm_state = 'error'").await, 976);
        delete_all(std::slice::from_ref(&who), &ids(&who, "").await).await;
        c.idle().await;
    }
    watch.end().await;
    assert_eq!(rows(c.store(), "server_group_members", "1 = 1").await, 0);
    c.end().await;
}

async fn together(database: Database) {
    let c = TestCluster::start(unlimited(12, 50, database)).await;
    let who = c.member("alice", "wonderland").await;
    let group = make(&who, "affinity", Value::Null).await;
    let body = within(&c.body("together").await, &group);
    let watch = Watch::begin(c.store(), 50, 1);
    for answer in storm(std::slice::from_ref(&who), 1000, &body).await {
        answer.expect(202);
    }
    c.idle().await;
    let seen = by_host(c.store()).await;
    assert_eq!(seen.values().copied().collect::<Vec<_>>(), [50], "{seen:?}");
    watch.end().await;
    c.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_stay_apart_on_sqlite() {
    apart(Database::Threaded).await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_stay_apart_on_postgresql() {
    apart(Database::Postgres).await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_stay_together_on_sqlite() {
    together(Database::Threaded).await;
}
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_stay_together_on_postgresql() {
    together(Database::Postgres).await;
}
