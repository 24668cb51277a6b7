//! A process that dies in the middle of anything: its next life finishes what was accepted, and nothing is lost.

use api_conformance::{Client, Database, Shape, TestCluster, World};
use driver_fake::{Operation, Options};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const SLOW: u64 = 1000;

fn slow(persist: bool) -> Options {
    use Operation::{Destroy, Pause, Power, Reboot, Resume, Snapshot, Spawn, Suspend, Unpause};
    let all = [Destroy, Pause, Power, Reboot, Resume, Snapshot, Spawn, Suspend, Unpause];
    let latency_ms = all.into_iter().map(|o| (o, SLOW)).collect();
    Options { latency_ms, persist, ..Options::default() }
}

fn world(persist: bool) -> Arc<World> {
    World::new(Shape { database: Database::Inline, keep: true, ..Shape::of([slow(persist), slow(persist)]) })
}

/// What is begun before the process dies: an action, and the status that the next life must reach.
const BEGUN: &[(&str, &str)] = &[
    ("build", "ACTIVE"),
    ("delete", "gone"),
    ("snapshot", "ACTIVE"),
    ("rebuild", "ACTIVE"),
    ("stop", "SHUTOFF"),
    ("reboot", "ACTIVE"),
    ("pause", "PAUSED"),
    ("suspend", "SUSPENDED"),
];

async fn begin(c: &TestCluster, who: &Client, what: &str) -> String {
    if what == "build" {
        return c.launch(who, what).await;
    }
    let id = c.boot(who, what).await;
    let image = c.image().await;
    let body = match what {
        "delete" => {
            who.delete(&format!("/compute/v2.1/servers/{id}")).await.expect(204);
            return id;
        }
        "snapshot" => json!({"createImage": {"name": "copy"}}),
        "rebuild" => json!({"rebuild": {"imageRef": image}}),
        "stop" => json!({"os-stop": null}),
        "reboot" => json!({"reboot": {"type": "HARD"}}),
        other => json!({ other: null }),
    };
    who.act(&id, body).await.expect(202);
    id
}

/// The next life holds what the one before promised.
async fn hold(c: TestCluster, what: &str, expected: &str, id: &str) {
    let who = c.member("alice", "wonderland").await;
    c.idle().await;
    if expected == "gone" {
        who.get(&format!("/compute/v2.1/servers/{id}")).await.refused(404, "could not be found");
        assert_eq!(who.used().await[0], 1, "{what}");
    } else {
        assert_eq!(who.status(id).await, expected, "{what}");
        assert_eq!(who.used().await[0], 2, "{what}");
    }
    if what == "snapshot" {
        let copies = who.get("/image/v2/images?name=copy").await.expect(200);
        let images = copies["images"].as_array().unwrap();
        assert_eq!((images.len(), &images[0]["status"]), (1, &json!("active")));
        let image = images[0]["id"].as_str().unwrap();
        let bytes = who.get(&format!("/image/v2/images/{image}/file")).await;
        assert_eq!(bytes.bytes.len() as u64, images[0]["size"].as_u64().unwrap());
    }
    // One that nothing happened to is as it was.
    let list = who.get("/compute/v2.1/servers?name=bystander").await.expect(200);
    let bystander = list["servers"][0]["id"].as_str().unwrap();
    assert_eq!(who.status(bystander).await, "ACTIVE");
    let guests: usize = ["h1", "h2"].iter().map(|h| c.machine(h).remains().len()).sum();
    assert_eq!(guests, if expected == "gone" { 1 } else { 2 }, "{what}: guests on the machines");
    let actions = who.actions(bystander).await;
    assert_eq!(actions, [("create".to_owned(), None)]);
    c.end().await;
}

fn killed(what: &'static str, expected: &'static str, after: Duration, persist: bool) {
    let world = world(persist);
    let id = world.life(async |c| {
        let who = c.member("alice", "wonderland").await;
        c.boot(&who, "bystander").await;
        let id = begin(&c, &who, what).await;
        tokio::time::sleep(after).await;
        let open = c.store().read(store::flows::unfinished).await.unwrap();
        assert!(after >= Duration::from_millis(SLOW) || !open.is_empty(), "{what} was over before the process died");
        c.die();
        id
    });
    if persist {
        world.replace_machine("h1");
        world.replace_machine("h2");
    }
    world.life(async |c| hold(c, what, expected, &id).await);
}

#[test]
fn killed_in_the_middle_of_anything() {
    for (what, expected) in BEGUN {
        killed(what, expected, Duration::from_millis(SLOW / 2), false);
    }
}

#[test]
fn killed_before_and_after_the_hosts_part() {
    for (what, expected) in &BEGUN[..4] {
        for after in [0, SLOW - 1, SLOW, SLOW + 1] {
            killed(what, expected, Duration::from_millis(after), false);
        }
    }
}

#[test]
fn killed_with_its_hosts_that_remember_their_guests() {
    for (what, expected) in &BEGUN[..3] {
        killed(what, expected, Duration::from_millis(SLOW / 2), true);
    }
}

#[test]
fn killed_twice_and_with_a_delete_behind_the_build() {
    let world = world(false);
    let (kept, gone) = world.life(async |c| {
        let who = c.member("alice", "wonderland").await;
        let ids = (c.launch(&who, "kept").await, c.launch(&who, "gone").await);
        tokio::time::sleep(Duration::from_millis(300)).await;
        who.delete(&format!("/compute/v2.1/servers/{}", ids.1)).await.expect(204);
        tokio::time::sleep(Duration::from_millis(1)).await;
        c.die();
        ids
    });
    world.life(async |c| {
        tokio::time::sleep(Duration::from_millis(300)).await;
        c.die();
    });
    world.life(async |c| {
        let who = c.member("alice", "wonderland").await;
        c.idle().await;
        assert_eq!(who.status(&kept).await, "ACTIVE");
        who.get(&format!("/compute/v2.1/servers/{gone}")).await.refused(404, "could not be found");
        assert_eq!(who.used().await[0], 1);
        c.end().await;
    });
}

#[test]
fn a_stop_in_order_takes_up_again_too_and_hosts_may_be_down_at_the_start() {
    let world = world(false);
    let id = world.life(async |mut c| {
        let who = c.member("alice", "wonderland").await;
        let id = c.launch(&who, "patient").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        c.leave().await;
        id
    });
    for host in ["h1", "h2"] {
        world.machine(host).set_reachable(false);
    }
    world.life(async |c| {
        let who = c.member("alice", "wonderland").await;
        tokio::time::sleep(Duration::from_secs(30)).await;
        for host in ["h1", "h2"] {
            c.machine(host).set_reachable(true);
        }
        c.idle().await;
        let server = who.server(&id).await;
        // Its host was away: either it waited, or it says so. Never is it stuck.
        assert!(matches!(server["status"].as_str(), Some("ACTIVE" | "ERROR")), "{server}");
        if server["status"] == "ERROR" {
            assert_ne!(server["fault"]["message"], Value::Null);
        }
        c.gone(&who, &id).await;
        assert_eq!(who.used().await, [0, 0, 0]);
        // Hosts that were away are looked at, and nothing is left on them.
        tokio::time::sleep(Duration::from_secs(120)).await;
        c.end().await;
    });
    assert!(["h1", "h2"].iter().all(|h| world.machine(h).remains().is_empty()));
}
