//! What may be done to a server in which state, in Nova's words; and what a lock keeps from whom.

use api_conformance::{Client, Shape, TestCluster};
use driver_fake::{Operation, Options};
use serde_json::{Value, json};
use std::time::Duration;

/// The actions, with Nova's word and the states that admit them (`nova/compute/api.py`), written down a second time.
const ADMITTED: &[(&str, &str, &[&str])] = &[
    ("os-start", "start", &["stopped"]),
    ("os-stop", "stop", &["active", "error"]),
    ("soft", "reboot", &["active"]),
    ("hard", "reboot", &["active", "stopped", "paused", "suspended", "error"]),
    ("pause", "pause", &["active"]),
    ("unpause", "unpause", &["paused"]),
    ("suspend", "suspend", &["active"]),
    ("resume", "resume", &["suspended"]),
    ("createImage", "createImage", &["active", "stopped", "paused", "suspended"]),
    ("rebuild", "rebuild", &["active", "stopped", "error"]),
];

fn body(action: &str, image: &str) -> Value {
    match action {
        "soft" => json!({"reboot": {"type": "SOFT"}}),
        "hard" => json!({"reboot": {"type": "HARD"}}),
        "createImage" => json!({"createImage": {"name": "copy"}}),
        "rebuild" => json!({"rebuild": {"imageRef": image}}),
        plain => json!({ plain: null }),
    }
}

/// Brings an active server to a state.
async fn bring(c: &TestCluster, who: &Client, id: &str, state: &str) {
    let (who, body, status) = match state {
        "active" => return,
        "stopped" => (who.clone(), json!({"os-stop": null}), "SHUTOFF"),
        "paused" => (who.clone(), json!({"pause": null}), "PAUSED"),
        "suspended" => (who.clone(), json!({"suspend": null}), "SUSPENDED"),
        _ => (c.admin(), json!({"os-resetState": {"state": "error"}}), "ERROR"),
    };
    assert_eq!(c.done(&who, id, body).await, status);
}

#[tokio::test(start_paused = true)]
async fn every_action_in_every_state() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let image = c.image().await;
    for state in ["active", "stopped", "paused", "suspended", "error"] {
        let id = c.boot(&who, state).await;
        bring(&c, &who, &id, state).await;
        for (action, word, from) in ADMITTED.iter().filter(|(_, _, from)| !from.contains(&state)) {
            let sentence = format!("Cannot '{word}' instance {id} while it is in vm_state {state}");
            let before = c.store().commits();
            who.act(&id, body(action, &image)).await.refused(409, &sentence);
            assert_eq!(c.store().commits(), before, "{action} in {state} wrote something; {from:?}");
        }
        c.gone(&who, &id).await;
    }
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn every_action_that_is_admitted_leads_where_it_should() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let image = c.image().await;
    for (action, word, from) in ADMITTED {
        for state in *from {
            let id = c.boot(&who, state).await;
            bring(&c, &who, &id, state).await;
            let after = c.done(&who, &id, body(action, &image)).await;
            let expected = match (*action, *state) {
                ("os-stop", _) | ("createImage" | "rebuild", "stopped") => "SHUTOFF",
                ("pause", _) | ("createImage", "paused") => "PAUSED",
                ("suspend", _) | ("createImage", "suspended") => "SUSPENDED",
                _ => "ACTIVE",
            };
            assert_eq!(after, expected, "{action} of a server that is {state}");
            let shown = who.last_action(&id).await;
            assert_eq!((&shown["action"], &shown["message"]), (&json!(word), &Value::Null));
            for event in shown["events"].as_array().unwrap() {
                assert_eq!(event["result"], "Success", "{event}");
                assert!(event["finish_time"].is_string());
            }
            c.healthy().await;
            c.gone(&who, &id).await;
        }
    }
    assert_eq!(who.used().await, [0, 0, 0]);
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_action_at_a_time() {
    let slow = Options { latency_ms: [(Operation::Reboot, 60_000), (Operation::Power, 60_000)].into(), ..Options::default() };
    let c = TestCluster::start(Shape::of([slow])).await;
    let who = c.member("alice", "wonderland").await;
    let image = c.image().await;
    let id = c.boot(&who, "busy").await;
    who.act(&id, body("soft", &image)).await.expect(202);
    let task = who.server(&id).await["OS-EXT-STS:task_state"].clone();
    assert!(matches!(task.as_str(), Some("rebooting" | "reboot_started")), "{task}");
    assert_eq!(who.status(&id).await, "REBOOT");
    for action in ["os-stop", "pause", "suspend", "createImage", "rebuild", "soft"] {
        let word = ADMITTED.iter().find(|a| a.0 == action).unwrap().1;
        let sentence = format!("Cannot '{word}' instance {id} while it is in task_state reboot");
        who.act(&id, body(action, &image)).await.refused(409, &sentence);
    }
    // A hard reboot takes a soft one over, as in the original.
    who.act(&id, body("hard", &image)).await.expect(202);
    c.idle().await;
    assert_eq!(who.status(&id).await, "ACTIVE");
    who.act(&id, body("os-stop", &image)).await.expect(202);
    tokio::time::sleep(Duration::from_secs(1)).await;
    who.act(&id, body("os-start", &image)).await.refused(409, "Cannot 'start' instance");
    c.gone(&who, &id).await;
    let words: Vec<String> = who.at("2.96").get(&format!("/compute/v2.1/servers/{id}/os-instance-actions")).await.expect(200)
        ["instanceActions"].as_array().unwrap().iter().map(|a| a["action"].as_str().unwrap().to_owned()).collect();
    assert_eq!(words, ["delete", "stop", "reboot", "reboot", "create"]);
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_keeps_the_owner_from_everything_and_an_administrators_lock_from_its_removal() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let image = c.image().await;
    let id = c.boot(&who, "locked").await;
    let path = format!("/compute/v2.1/servers/{id}");
    let locked = format!("Instance {id} is locked");
    let hold = async || {
        for (action, _, from) in ADMITTED.iter().filter(|a| a.2.contains(&"active")) {
            who.act(&id, body(action, &image)).await.refused(409, &locked);
            assert!(!from.is_empty());
        }
        who.delete(&path).await.refused(409, &locked);
        who.put(&format!("{path}/metadata/a"), json!({"meta": {"a": "b"}})).await.refused(409, &locked);
    };
    who.act(&id, json!({"lock": {"locked_reason": "holidays"}})).await.expect(202);
    let shown = who.server(&id).await;
    assert_eq!((&shown["locked"], &shown["locked_reason"]), (&json!(true), &json!("holidays")));
    hold().await;
    // An administrator is not kept out.
    assert_eq!(c.done(&c.admin(), &id, json!({"os-stop": null})).await, "SHUTOFF");
    assert_eq!(c.done(&c.admin(), &id, json!({"os-start": null})).await, "ACTIVE");
    who.act(&id, json!({"unlock": null})).await.expect(202);
    assert_eq!(who.server(&id).await["locked_reason"], Value::Null);
    c.admin().act(&id, json!({"lock": null})).await.expect(202);
    hold().await;
    who.act(&id, json!({"unlock": null})).await.refused(403, "unlock_override");
    who.act(&id, json!({"lock": null})).await.expect(202);
    who.act(&id, json!({"unlock": null})).await.refused(403, "unlock_override");
    c.admin().act(&id, json!({"unlock": null})).await.expect(202);
    c.gone(&who, &id).await;
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_driver_cannot_is_said_before_anything_begins() {
    let c = TestCluster::start(Shape::of([Options { facets: Some(vec!["console_log".into()]), ..Options::default() }])).await;
    let who = c.member("alice", "wonderland").await;
    let id = c.boot(&who, "bare").await;
    let before = c.store().commits();
    for (body, facet) in [
        (json!({"pause": null}), "pause"),
        (json!({"suspend": null}), "suspend"),
        (json!({"createImage": {"name": "x"}}), "snapshot"),
    ] {
        who.act(&id, body).await.refused(501, facet);
    }
    assert_eq!(c.store().commits(), before);
    assert_eq!(who.status(&id).await, "ACTIVE");
    c.end().await;
}
