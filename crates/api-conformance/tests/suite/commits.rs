//! Two durable commits an operation: the intent and the result. What is only rows is one.

use api_conformance::{Client, Shape, TestCluster};
use driver_fake::Options;
use serde_json::{Value, json};

async fn commits(c: &TestCluster, work: impl AsyncFnOnce()) -> u64 {
    c.idle().await;
    let before = c.store().commits();
    work().await;
    c.idle().await;
    c.store().commits() - before
}

async fn of_action(c: &TestCluster, who: &Client, id: &str, body: Value) -> u64 {
    commits(c, async || {
        let answer = who.act(id, body.clone()).await;
        assert!(matches!(answer.status, 200 | 202), "{body}: {}", answer.text());
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn every_flow_commits_twice() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let image = c.image().await;
    let mut id = String::new();
    let built = commits(&c, async || id = c.launch(&who, "a").await).await;
    assert_eq!(who.status(&id).await, "ACTIVE");
    assert_eq!(built, 2, "build");
    let actions = [
        (json!({"os-stop": null}), 2),
        (json!({"rebuild": {"imageRef": image}}), 2),
        (json!({"os-start": null}), 2),
        (json!({"reboot": {"type": "SOFT"}}), 2),
        (json!({"reboot": {"type": "HARD"}}), 2),
        (json!({"pause": null}), 2),
        (json!({"unpause": null}), 2),
        (json!({"suspend": null}), 2),
        (json!({"resume": null}), 2),
        (json!({"createImage": {"name": "copy"}}), 2),
        (json!({"rebuild": {"imageRef": image}}), 2),
        (json!({"lock": null}), 1),
        (json!({"unlock": null}), 1),
    ];
    for (body, expected) in actions {
        assert_eq!(of_action(&c, &who, &id, body.clone()).await, expected, "{body}");
    }
    let path = format!("/compute/v2.1/servers/{id}");
    let deleted = commits(&c, async || drop(who.delete(&path).await.expect(204))).await;
    assert_eq!(deleted, 2, "delete");
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn several_servers_of_one_request_share_the_first_commit() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let mut body = c.body("many").await;
    body["server"]["min_count"] = 5.into();
    let n = commits(&c, async || drop(who.post("/compute/v2.1/servers", body.clone()).await.expect(202))).await;
    assert_eq!(n, 1 + 5);
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_has_no_host_costs_one_commit_or_none() {
    let c = TestCluster::start(Shape::of([Options { memory_mib: 256, ..Options::default() }])).await;
    let who = c.member("alice", "wonderland").await;
    let body = c.body("too-large").await;
    let mut id = String::new();
    let n = commits(&c, async || {
        let made = who.post("/compute/v2.1/servers", body.clone()).await.expect(202);
        id = made["server"]["id"].as_str().unwrap().to_owned();
    })
    .await;
    assert_eq!((n, who.status(&id).await.as_str()), (1, "ERROR"), "no valid host");
    let n = commits(&c, async || who.act(&id, json!({"os-start": null})).await.refused(409, "vm_state error")).await;
    assert_eq!(n, 0, "a refusal");
    let n = commits(&c, async || {
        who.get("/compute/v2.1/servers/detail").await.expect(200);
        who.get("/compute/v2.1/flavors/detail").await.expect(200);
        who.get("/image/v2/images").await.expect(200);
        c.admin().login("admin", "correct horse battery", "admin").await;
    })
    .await;
    assert_eq!(n, 0, "reads and a login");
    c.end().await;
}
