//! `os-server-password`: what a guest posts is kept once, for its own host's word only, until its owner clears it.

use api_conformance::TestCluster;
use messaging::{HostReport, in_process};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

/// Posts as the guest of `id` on a host of that name would, and returns when the conductor has taken it.
async fn post(c: &TestCluster, host: &str, id: &str, text: &str) {
    let (client, reports, server) = in_process(host);
    c.conductor().attach(client, reports);
    let report = HostReport::Password { instance: Uuid::parse_str(id).unwrap(), password: guestdata::Secret::new(text.as_bytes()) };
    server.reports.send(report).await.unwrap();
    drop(server);
    // Its end is the last thing that the conductor hears of it.
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_posted_password_is_kept_once_until_its_owner_clears_it() {
    let mut c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let id = c.boot(&who, "guest").await;
    let host = c.admin().server(&id).await["OS-EXT-SRV-ATTR:host"].as_str().unwrap().to_owned();
    let path = format!("/compute/v2.1/servers/{id}/os-server-password");
    assert_eq!(who.get(&path).await.expect(200), json!({"password": ""}));

    post(&c, "another", &id, "forged").await;
    assert_eq!(who.get(&path).await.expect(200), json!({"password": ""}), "a host may speak for its own guests only");
    post(&c, &host, &id, "first==").await;
    post(&c, &host, &id, "second").await;
    assert_eq!(who.get(&path).await.expect(200), json!({"password": "first=="}));
    post(&c, &host, &Uuid::from_u128(7).to_string(), "nobody's").await;

    // Not everybody's business.
    let other = c.member("bob", "elsewhere").await;
    other.get(&path).await.refused(404, &id);
    other.delete(&path).await.refused(404, &id);
    let reader = c.user("carol", "wonderland", &["reader"]).await;
    assert_eq!(reader.get(&path).await.expect(200), json!({"password": "first=="}));
    reader.delete(&path).await.expect(403);

    who.delete(&path).await.expect(204);
    assert_eq!(who.get(&path).await.expect(200), json!({"password": ""}));
    post(&c, &host, &id, "third").await;
    assert_eq!(who.get(&path).await.expect(200), json!({"password": "third"}));

    c.restart_agent(&host).await;
    c.gone(&who, &id).await;
    c.end().await;
}
