//! Two runs of one seed leave the same journal, another seed leaves another.

use api_conformance::{Shape, TestCluster, World, journal};
use driver_fake::{FaultRule, Operation, Options, When};
use model::Random;
use serde_json::{Value, json};
use std::time::Duration;

/// Hosts that take their time and sometimes fail.
fn shape(seed: u64) -> Shape {
    let options = |n: u64| Options {
        default_latency_ms: 20 + n,
        latency_ms: [(Operation::Spawn, 700 * n), (Operation::Snapshot, 300), (Operation::Destroy, 90 * n)].into(),
        fetch_images: true,
        faults: vec![FaultRule {
            operation: Operation::Spawn,
            nth: None,
            probability: Some(0.2),
            seed,
            when: When::AfterEffect,
            kind: None,
        }],
        ..Options::default()
    };
    let quota = [("instances".to_owned(), 40), ("cores".to_owned(), 80)].into();
    Shape { seed, quota, ..Shape::of((1..=3).map(options)) }
}

/// One operation of the sequence; refusals are a part of it.
async fn operation(c: &TestCluster, who: &api_conformance::Client, servers: &mut Vec<String>, dice: &Random, image: &str) {
    if servers.len() < 20 && (servers.is_empty() || dice.below(4) == 0) {
        return servers.push(c.launch(who, &format!("server-{}", servers.len())).await);
    }
    let id = servers[usize::try_from(dice.below(servers.len() as u64)).unwrap()].clone();
    let action = match dice.below(16) {
        0 => json!({"os-stop": null}),
        1 | 2 => json!({"os-start": null}),
        3 => json!({"pause": null}),
        4 => json!({"unpause": null}),
        5 => json!({"suspend": null}),
        6 => json!({"resume": null}),
        7 => json!({"reboot": {"type": "SOFT"}}),
        8 => json!({"reboot": {"type": "HARD"}}),
        9 => json!({"createImage": {"name": "copy"}}),
        10 => json!({"rebuild": {"imageRef": image}}),
        11 => json!({"lock": null}),
        12 => json!({"unlock": null}),
        13 => {
            who.delete(&format!("/compute/v2.1/servers/{id}")).await;
            return;
        }
        14 => {
            for host in ["h1", "h2", "h3"] {
                drop(c.machine(host).crash(id.parse().unwrap()));
            }
            return;
        }
        _ => return tokio::time::sleep(Duration::from_millis(dice.below(2000))).await,
    };
    who.act(&id, action).await;
}

/// The journal of a seed's run, and the statuses at its end, for a look at what it did.
fn run(seed: u64) -> (String, Vec<Value>) {
    World::new(shape(seed)).life(async |c| {
        let who = c.member("alice", "wonderland").await;
        let image = c.image().await;
        let dice = Random::seeded(seed ^ 0xd1ce);
        let mut servers = Vec::new();
        for step in 0..200 {
            if step == 120 {
                c.machine("h2").set_reachable(false);
            }
            if step == 140 {
                c.machine("h2").set_reachable(true);
            }
            operation(&c, &who, &mut servers, &dice, &image).await;
            tokio::time::sleep(Duration::from_millis(dice.below(150))).await;
        }
        c.idle().await;
        // A host that was away is looked at again.
        tokio::time::sleep(Duration::from_secs(120)).await;
        let list = who.get("/compute/v2.1/servers/detail?changes-since=2000-01-01T00:00:00Z").await.expect(200);
        let states = list["servers"].as_array().unwrap().iter().map(|s| s["status"].clone()).collect();
        let hash = journal(c.store()).await.unwrap();
        c.end().await;
        (hash, states)
    })
}

#[test]
fn one_seed_one_journal() {
    let (first, states) = run(7);
    assert_eq!(states.len(), 20, "{states:?}");
    let different: std::collections::BTreeSet<String> = states.iter().map(Value::to_string).collect();
    assert!(different.len() >= 3, "the sequence did little: {states:?}");
    let (again, _) = run(7);
    assert_eq!(first, again, "the same seed left another journal");
    let (other, _) = run(8);
    assert_ne!(first, other, "another seed left the same journal");
}
