//! Hosts and guests that change by themselves: the records follow, and what nobody claims is removed.

use api_conformance::{Client, Database, Shape, TestCluster, World};
use serde_json::json;
use std::time::Duration;

async fn state(admin: &Client, host: &str) -> String {
    let list = admin.get(&format!("/compute/v2.1/os-services?host={host}")).await.expect(200);
    list["services"][0]["state"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_host_that_goes_away_is_down_with_its_reason_and_comes_back_by_itself() {
    let c = TestCluster::one().await;
    let (who, admin) = (c.member("alice", "wonderland").await, c.admin());
    let id = c.boot(&who, "patient").await;
    c.machine("h1").set_reachable(false);
    c.until("the host is down", async || state(&admin, "h1").await == "down").await;
    let reason = c.conductor().host("h1").unwrap().down_reason.unwrap();
    assert!(reason.contains("does not answer"), "{reason}");
    who.act(&id, json!({"os-stop": null})).await.refused(409, "the simulated hypervisor does not answer");
    // The process serves on.
    assert_eq!(who.status(&id).await, "ACTIVE");
    let lost = c.launch(&who, "unlucky").await;
    c.idle().await;
    let server = who.server(&lost).await;
    assert_eq!(server["status"], "ERROR");
    let message = server["fault"]["message"].as_str().unwrap();
    assert!(message.contains("1 down"), "{message}");
    c.machine("h1").set_reachable(true);
    c.until("the host is up", async || state(&admin, "h1").await == "up").await;
    assert_eq!(c.done(&who, &id, json!({"os-stop": null})).await, "SHUTOFF");
    c.boot(&who, "lucky").await;
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_deleted_while_its_host_is_away_is_removed_when_it_is_back() {
    let c = TestCluster::one().await;
    let (who, admin) = (c.member("alice", "wonderland").await, c.admin());
    let id = c.boot(&who, "forgotten").await;
    c.machine("h1").set_reachable(false);
    c.until("the host is down", async || state(&admin, "h1").await == "down").await;
    c.gone(&who, &id).await;
    assert_eq!(who.used().await, [0, 0, 0]);
    assert_eq!(c.machine("h1").remains().len(), 1);
    c.machine("h1").set_reachable(true);
    let machine = c.machine("h1");
    c.until("the guest is removed", async || machine.remains().is_empty()).await;
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn guests_that_stop_by_themselves_are_shut_off() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    for end in ["shutdown", "crash", "unseen"] {
        let id = c.boot(&who, end).await;
        let guest = id.parse().unwrap();
        match end {
            "shutdown" => c.machine("h1").guest_shutdown(guest).unwrap(),
            "crash" => c.machine("h1").crash(guest).unwrap(),
            // While nobody could see it: found when the host is back.
            _ => {
                c.machine("h1").set_reachable(false);
                c.machine("h1").guest_shutdown(guest).unwrap();
                tokio::time::sleep(Duration::from_secs(30)).await;
                assert_eq!(who.status(&id).await, "ACTIVE");
                c.machine("h1").set_reachable(true);
            }
        }
        c.until_status(&who, &id, "SHUTOFF").await;
        assert_eq!(c.done(&who, &id, json!({"os-start": null})).await, "ACTIVE", "{end}");
    }
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_is_lost_is_shut_off_and_can_be_rebuilt() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let id = c.boot(&who, "lost").await;
    c.machine("h1").lose(id.parse().unwrap());
    c.until_status(&who, &id, "SHUTOFF").await;
    let image = c.image().await;
    assert_eq!(c.done(&who, &id, json!({"rebuild": {"imageRef": image}})).await, "SHUTOFF");
    assert_eq!(c.done(&who, &id, json!({"os-start": null})).await, "ACTIVE");
    c.gone(&who, &id).await;
    c.end().await;
}

#[test]
fn a_guest_without_a_record_is_removed() {
    // The database is gone with its life, the machine is not.
    let world = World::new(Shape { database: Database::Inline, keep: false, ..Shape::default() });
    world.life(async |c| {
        let who = c.member("alice", "wonderland").await;
        c.boot(&who, "orphan").await;
        c.die();
    });
    assert_eq!(world.machine("h1").remains().len(), 1);
    world.life(async |c| {
        let machine = c.machine("h1");
        c.until("the orphan is removed", async || machine.remains().is_empty()).await;
        // The images of the life before are bytes that no record names; the start removed them.
        c.end().await;
    });
}
