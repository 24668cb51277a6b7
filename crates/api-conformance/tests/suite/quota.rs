//! Thirty at once against a quota of ten: exactly ten. On PostgreSQL too, where writers do not wait for one another.

use api_conformance::{Database, Shape, TestCluster};
use futures_util::future::join_all;

async fn race(database: Database) {
    let c = TestCluster::start(Shape { database, ..Shape::default() }).await;
    let who = c.member("alice", "wonderland").await;
    let body = c.body("racer").await;
    let asked = (0..30).map(|_| {
        let (who, body) = (who.clone(), body.clone());
        tokio::spawn(async move { who.post("/compute/v2.1/servers", body).await })
    });
    let mut statuses: Vec<u16> = Vec::new();
    for answer in join_all(asked).await {
        let answer = answer.unwrap();
        statuses.push(answer.status);
        if answer.status != 202 {
            answer.refused(403, "Quota exceeded for instances");
        }
    }
    assert_eq!(statuses.iter().filter(|s| **s == 202).count(), 10, "{statuses:?}");
    c.idle().await;
    assert_eq!(who.used().await, [10, 10, 5120]);
    let list = who.get("/compute/v2.1/servers/detail?status=ACTIVE").await.expect(200);
    let ids: Vec<String> =
        list["servers"].as_array().unwrap().iter().map(|s| s["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 10);
    // What is given back at once is counted once.
    let gone = ids.iter().map(|id| {
        let (who, path) = (who.clone(), format!("/compute/v2.1/servers/{id}"));
        tokio::spawn(async move { who.delete(&path).await.status })
    });
    for status in join_all(gone).await {
        assert_eq!(status.unwrap(), 204);
    }
    c.idle().await;
    assert_eq!(who.used().await, [0, 0, 0]);
    c.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_the_quota_on_sqlite() {
    race(Database::Threaded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_the_quota_on_postgresql() {
    race(Database::Postgres).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_for_several_gets_what_fits_and_never_less_than_its_minimum() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let mut body = c.body("several").await;
    body["server"]["min_count"] = 4.into();
    body["server"]["max_count"] = 30.into();
    who.post("/compute/v2.1/servers", body.clone()).await.expect(202);
    c.idle().await;
    assert_eq!(who.used().await[0], 10);
    who.post("/compute/v2.1/servers", body).await.refused(403, "Quota exceeded for instances");
    assert_eq!(who.used().await[0], 10);
    c.end().await;
}
