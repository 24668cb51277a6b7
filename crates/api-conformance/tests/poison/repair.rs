//! Every class of finding: the damage is planted, the audit names it, `repair` mends it or says why it does not, and what
//! was mended is not found again.

use api_conformance::{Client, Shape, TestCluster};
use driver_fake::Options;
use serde_json::{Value, json};

const GHOST: &str = "11111111-2222-4333-8444-555555555555";

struct Case {
    /// What is planted; `SERVER` stands for the server's id.
    sql: &'static str,
    /// Kinds that are found, sorted.
    kinds: &'static [&'static str],
    /// The words of the repair for the first of them.
    words: &'static str,
    /// Nothing is found afterwards.
    clean: bool,
}

const CASES: &[Case] = &[
    Case { sql: "UPDATE quotas SET used = used + 3 WHERE resource = 'instances'", kinds: &["quota"], words: "counted again: 1", clean: true },
    Case { sql: "DELETE FROM quotas", kinds: &["quota"], words: "counted again", clean: true },
    Case { sql: "UPDATE quotas SET used = 7 WHERE resource = 'port'", kinds: &["quota"], words: "counted again: 1", clean: true },
    Case { sql: "UPDATE inventories SET used = used + 1 WHERE class = 'VCPU'", kinds: &["allocation"], words: "counted again: 1", clean: true },
    Case {
        sql: "INSERT INTO consumers SELECT '11111111-2222-4333-8444-555555555555', 1, project_id, user_id, 'INSTANCE', created_at, updated_at \
              FROM consumers WHERE id = 'SERVER'; \
              INSERT INTO allocations SELECT '11111111-2222-4333-8444-555555555555', provider, class, used FROM allocations \
              WHERE consumer = 'SERVER'; UPDATE inventories SET used = used * 2;",
        kinds: &["allocation"],
        words: "given back",
        clean: true,
    },
    Case {
        sql: "DELETE FROM allocations; DELETE FROM consumers; UPDATE inventories SET used = 0;",
        kinds: &["allocation"],
        words: "claimed what its flavor says",
        clean: true,
    },
    Case {
        sql: "UPDATE ports SET device_id = '11111111-2222-4333-8444-555555555555', \
              body = json_set(body, '$.device_id', '11111111-2222-4333-8444-555555555555') WHERE device_id = 'SERVER'; \
              UPDATE servers SET body = json_set(body, '$.ports', json('[]'));",
        kinds: &["port"],
        words: "the ports made for the server are deleted",
        clean: true,
    },
    Case {
        sql: "DELETE FROM ip_allocations WHERE port_id IN (SELECT id FROM ports WHERE device_id = 'SERVER'); \
              DELETE FROM port_security_groups; DELETE FROM ports WHERE device_id = 'SERVER'; \
              UPDATE quotas SET used = 0 WHERE resource = 'port';",
        kinds: &["port"],
        words: "taken out of the server's record",
        clean: true,
    },
    Case {
        sql: "INSERT INTO ip_allocations SELECT subnet_id, '10.42.3.77', '11111111-2222-4333-8444-555555555555' FROM ip_allocations LIMIT 1",
        kinds: &["address"],
        words: "given back",
        clean: true,
    },
    Case {
        sql: "UPDATE servers SET action = 'stop', flow_id = '11111111-2222-4333-8444-555555555555'",
        kinds: &["flow"],
        words: "ended in ERROR",
        clean: true,
    },
    Case {
        sql: "UPDATE flows SET state = 'running', lease_until = 9000000000000000",
        kinds: &["flow"],
        words: "ended as superseded",
        clean: true,
    },
    Case {
        sql: "UPDATE images SET status = 'queued', size = NULL, writer = 'flow:11111111-2222-4333-8444-555555555555'",
        kinds: &["image"],
        words: "its snapshot was given up",
        clean: true,
    },
    Case { sql: "UPDATE servers SET host = 'gone'", kinds: &["guest", "server"], words: "a record may still mean it", clean: false },
    Case { sql: "UPDATE servers SET vcpus = 99", kinds: &["damage", "quota"], words: "what the row meant is not known", clean: false },
];

async fn cluster() -> (TestCluster, Client, String) {
    let cluster = TestCluster::start(Shape::of([Options { persist: true, ..Options::default() }])).await;
    let who = cluster.member("ann", "ann").await;
    let id = cluster.boot(&who, "one").await;
    // What a start does once is behind it: what is planted now only the audit sees.
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!(cluster.audit().await, Vec::<Value>::new());
    (cluster, who, id)
}

async fn repair(cluster: &TestCluster) -> Value {
    cluster.admin().post("/kilonova/audit/repair", Value::Null).await.expect(200)
}

fn kinds(findings: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = findings.iter().map(|f| f["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[tokio::test(start_paused = true)]
async fn every_class_of_record_is_found_and_mended_or_left_with_a_reason() {
    for case in CASES {
        let (mut cluster, _, id) = cluster().await;
        store::testing::damage(cluster.store(), &case.sql.replace("SERVER", &id)).unwrap();
        let found = cluster.audit().await;
        assert_eq!(kinds(&found), case.kinds, "{}: {found:?}", case.sql);
        let done = repair(&cluster).await;
        let list = if case.clean { "mended" } else { "left" };
        let says = |d: &Value| d["kind"] == case.kinds[0] && d["how"].as_str().unwrap().contains(case.words);
        assert!(done[list].as_array().unwrap().iter().any(says), "{}: {done}", case.sql);
        if case.clean {
            assert_eq!(done["findings"], json!([]), "{}: {done}", case.sql);
            assert_eq!(cluster.audit().await, Vec::<Value>::new(), "{}", case.sql);
        } else {
            assert_ne!(done["findings"], json!([]), "{}: {done}", case.sql);
        }
        // Nothing that anybody may need was thrown away.
        assert_eq!(cluster.machine("h1").remains().len(), 1, "{}", case.sql);
        cluster.leave().await;
    }
}

#[tokio::test(start_paused = true)]
async fn guests_without_a_record_are_destroyed_and_records_follow_lost_guests() {
    let (cluster, who, id) = cluster().await;
    let ghost = uuid::Uuid::parse_str(GHOST).unwrap();
    cluster.machine("h1").plant(ghost);
    let found = cluster.audit().await;
    assert_eq!((found[0]["kind"].as_str(), found[0]["subject"].as_str()), (Some("guest"), Some(GHOST)), "{found:?}");
    let done = repair(&cluster).await;
    assert!(done["mended"][0]["how"].as_str().unwrap().contains("destroyed on h1"), "{done}");
    assert!(cluster.machine("h1").remains().iter().all(|g| g.id != ghost));
    cluster.machine("h1").lose(id.parse().unwrap());
    cluster.until_status(&who, &id, "SHUTOFF").await;
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_without_an_image_are_removed_and_an_image_without_bytes_is_left() {
    let (mut cluster, who, _) = cluster().await;
    let dir = cluster.world().dir().join("images/images");
    std::fs::write(dir.join(GHOST), b"whose").unwrap();
    let found = cluster.audit().await;
    assert_eq!((found[0]["kind"].as_str(), found[0]["subject"].as_str()), (Some("image"), Some(GHOST)), "{found:?}");
    let done = repair(&cluster).await;
    assert_eq!((done["mended"][0]["how"].as_str(), &done["findings"]), (Some("removed"), &json!([])), "{done}");
    assert!(!dir.join(GHOST).exists());
    for (bytes, words) in [(Some(b"x".as_slice()), "which of the two is right"), (None, "the bytes are gone")] {
        let (image, answer) = who.upload("lost", "raw", vec![1; 64], json!({})).await;
        answer.expect(204);
        match bytes {
            Some(b) => std::fs::write(dir.join(&image), b).unwrap(),
            None => std::fs::remove_file(dir.join(&image)).unwrap(),
        }
        let done = repair(&cluster).await;
        let left = done["left"].as_array().unwrap();
        assert!(left.iter().any(|l| l["subject"] == image.as_str() && l["how"].as_str().unwrap().contains(words)), "{done}");
        who.delete(&format!("/image/v2/images/{image}")).await.expect(204);
    }
    assert_eq!(cluster.audit().await, Vec::<Value>::new());
    cluster.leave().await;
}

#[tokio::test(start_paused = true)]
async fn only_an_administrator_audits_and_what_cannot_be_seen_is_said() {
    let (cluster, who, _) = cluster().await;
    who.get("/kilonova/audit").await.refused(403, "kilonova:audit");
    who.post("/kilonova/audit/repair", Value::Null).await.refused(403, "kilonova:audit:repair");
    cluster.machine("h1").set_reachable(false);
    cluster.until("h1 is down", async || cluster.conductor().host("h1").is_some_and(|h| !h.up)).await;
    let report = cluster.admin().get("/kilonova/audit").await.expect(200);
    assert_eq!((&report["findings"], report["unseen"][0]["what"].as_str()), (&json!([]), Some("h1")), "{report}");
    cluster.machine("h1").set_reachable(true);
    cluster.until("h1 is up", async || cluster.conductor().host("h1").is_some_and(|h| h.up)).await;
    cluster.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_repair_leaves_running_actions_alone() {
    let slow = Options { default_latency_ms: 20_000, ..Options::default() };
    let cluster = TestCluster::start(Shape::of([slow])).await;
    let who = cluster.member("ann", "ann").await;
    let id = cluster.launch(&who, "one").await;
    let done = repair(&cluster).await;
    assert_eq!((&done["mended"], &done["left"], &done["findings"]), (&json!([]), &json!([]), &json!([])), "{done}");
    cluster.idle().await;
    assert_eq!(who.status(&id).await, "ACTIVE");
    cluster.end().await;
}
