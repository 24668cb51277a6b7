//! Builds that do not go well: the next host, no host, all hosts, a delete in the middle. Nothing is left behind.

use api_conformance::{Shape, TestCluster};
use driver_api::ErrorKind;
use driver_fake::{FaultRule, Operation, Options, When};
use serde_json::{Value, json};
use std::time::Duration;

fn failing(when: When, memory_mib: u64) -> Options {
    let faults = vec![FaultRule::nth(Operation::Spawn, 1, when, ErrorKind::Internal)];
    Options { faults, memory_mib, ..Options::default() }
}

#[tokio::test(start_paused = true)]
async fn a_build_that_fails_on_one_host_goes_to_the_next() {
    for when in [When::BeforeEffect, When::AfterEffect, When::LostReply] {
        // The larger host is the first choice.
        let c = TestCluster::start(Shape::of([failing(when, 1 << 20), Options { memory_mib: 4096, ..Options::default() }])).await;
        let who = c.member("alice", "wonderland").await;
        let id = c.boot(&who, "twice").await;
        let admin = c.admin();
        assert_eq!(admin.server(&id).await["OS-EXT-SRV-ATTR:host"], "h2", "{when:?}");
        assert!(c.machine("h1").remains().is_empty(), "{when:?}: something is left on the first host");
        let shown = admin.last_action(&id).await;
        let events: Vec<(&str, &str)> = shown["events"].as_array().unwrap().iter().rev()
            .map(|e| (e["result"].as_str().unwrap(), e["host"].as_str().unwrap())).collect();
        assert_eq!(events, [("Error", "h1"), ("Success", "h2")], "{when:?}");
        assert_eq!((&shown["action"], &shown["message"]), (&json!("create"), &Value::Null));
        assert!(who.server(&id).await.get("fault").is_none());
        assert_eq!(who.used().await, [1, 1, 512]);
        c.gone(&who, &id).await;
        c.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn when_every_host_fails_the_server_says_why_and_holds_nothing() {
    let c = TestCluster::start(Shape::of([1, 2, 3].map(|_| failing(When::AfterEffect, 4096)))).await;
    let who = c.member("alice", "wonderland").await;
    let id = c.launch(&who, "nowhere").await;
    c.idle().await;
    let server = who.server(&id).await;
    assert_eq!(server["status"], "ERROR");
    assert_eq!(server["fault"]["code"], 500);
    assert!(server["fault"]["message"].as_str().unwrap().contains("failed as planned"), "{server}");
    let shown = c.admin().last_action(&id).await;
    assert_eq!((shown["message"].as_str(), shown["events"].as_array().unwrap().len()), (Some("Error"), 3));
    for host in ["h1", "h2", "h3"] {
        assert!(c.machine(host).remains().is_empty(), "{host}");
    }
    // Its ports and its claim went back; its place in the quota is held until it is deleted, as in the original.
    let ports = who.get("/network/v2.0/ports").await.expect(200);
    assert_eq!(ports["ports"], json!([]));
    assert_eq!(who.used().await, [1, 1, 512]);
    c.healthy().await;
    c.gone(&who, &id).await;
    assert_eq!(who.used().await, [0, 0, 0]);
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn no_valid_host_says_how_many_fell_to_which_filter() {
    let c = TestCluster::start(Shape::of([256, 256, 8192].map(|m| Options { memory_mib: m, ..Options::default() }))).await;
    let who = c.member("alice", "wonderland").await;
    let services = c.admin().get("/compute/v2.1/os-services?host=h3").await.expect(200);
    let service = services["services"][0]["id"].as_str().unwrap().to_owned();
    let disable = json!({"status": "disabled", "disabled_reason": "mending"});
    c.admin().put(&format!("/compute/v2.1/os-services/{service}"), disable).await.expect(200);
    let id = c.launch(&who, "nowhere").await;
    c.idle().await;
    let server = who.server(&id).await;
    assert_eq!(server["status"], "ERROR");
    let message = server["fault"]["message"].as_str().unwrap();
    for part in ["No valid host was found", "3 hosts", "1 disabled", "2 fell at RamFilter (need 512, most free 256)"] {
        assert!(message.to_lowercase().contains(&part.to_lowercase()), "{message:?} does not say {part:?}");
    }
    let shown = c.admin().last_action(&id).await;
    assert_eq!(shown["message"], "Error");
    assert_eq!(shown["events"][0]["details"].as_str().unwrap(), message);
    assert_eq!(server["addresses"], json!({}));
    c.gone(&who, &id).await;
    assert_eq!(who.used().await, [0, 0, 0]);
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_delete_does_not_wait_for_a_build() {
    let hour = Options { latency_ms: [(Operation::Spawn, 3_600_000)].into(), ..Options::default() };
    let c = TestCluster::start(Shape::of([hour])).await;
    let who = c.member("alice", "wonderland").await;
    let id = c.launch(&who, "short-lived").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let server = who.server(&id).await;
    assert_eq!((&server["status"], &server["OS-EXT-STS:task_state"]), (&json!("BUILD"), &json!("spawning")));
    let begun = c.env().now();
    c.gone(&who, &id).await;
    assert!(c.env().now().since(begun) < Duration::from_secs(10), "the delete waited for the build");
    assert!(c.machine("h1").remains().is_empty());
    assert_eq!(who.used().await, [0, 0, 0]);
    assert_eq!(who.get("/network/v2.0/ports").await.expect(200)["ports"], json!([]));
    // Long after the build would have ended, still nothing.
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert!(c.machine("h1").remains().is_empty());
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_hangs_is_given_up_and_the_build_goes_on_elsewhere() {
    let c = TestCluster::start(Shape::of([failing(When::Hang, 1 << 20), Options { memory_mib: 4096, ..Options::default() }])).await;
    let who = c.member("alice", "wonderland").await;
    let id = c.boot(&who, "patient").await;
    assert_eq!(c.admin().server(&id).await["OS-EXT-SRV-ATTR:host"], "h2");
    assert!(c.machine("h1").remains().is_empty());
    c.gone(&who, &id).await;
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_fails_leaves_no_image_and_the_server_as_it_was() {
    let faults = vec![FaultRule::nth(Operation::Snapshot, 1, When::BeforeEffect, ErrorKind::Internal)];
    let c = TestCluster::start(Shape::of([Options { faults, ..Options::default() }])).await;
    let who = c.member("alice", "wonderland").await;
    let id = c.boot(&who, "camera-shy").await;
    assert_eq!(c.done(&who, &id, json!({"createImage": {"name": "copy"}})).await, "ACTIVE");
    assert_eq!(who.get("/image/v2/images?name=copy").await.expect(200)["images"], json!([]));
    assert_eq!(who.last_action(&id).await["message"], "Error");
    assert_eq!(c.done(&who, &id, json!({"createImage": {"name": "copy"}})).await, "ACTIVE");
    let copies = who.get("/image/v2/images?name=copy").await.expect(200);
    assert_eq!(copies["images"][0]["status"], "active");
    c.end().await;
}
