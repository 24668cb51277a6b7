//! A thousand at once against a quota of ten: ten servers, and never was there a row of an eleventh.

use crate::support::{delete_all, ids, rows, storm};
use api_conformance::{Database, Shape, TestCluster};

async fn exact(database: Database) {
    let c = TestCluster::start(Shape { database, ..Shape::default() }).await;
    let who = c.member("alice", "wonderland").await;
    let body = c.body("racer").await;
    for round in 1..=2 {
        let answers = storm(std::slice::from_ref(&who), 1000, &body).await;
        let accepted = answers.iter().filter(|a| a.status == 202).count();
        assert_eq!(accepted, 10, "round {round}");
        for answer in answers.into_iter().filter(|a| a.status != 202) {
            answer.refused(403, "Quota exceeded for instances");
        }
        c.idle().await;
        assert_eq!(who.used().await, [10, 10, 5120]);
        // Nothing was made and removed again: no record, living or deleted, and no flow beyond those accepted.
        assert_eq!(rows(c.store(), "servers", "1 = 1").await, round * 10);
        assert_eq!(rows(c.store(), "servers", "deleted_at IS NULL AND vm_state = 'active'").await, 10);
        assert_eq!(rows(c.store(), "flows", "action = 'build'").await, round * 10);
        assert_eq!(rows(c.store(), "flows", "action = 'build' AND state <> 'done'").await, 0);
        delete_all(std::slice::from_ref(&who), &ids(&who, "").await).await;
        c.idle().await;
        assert_eq!(who.used().await, [0, 0, 0]);
    }
    c.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_the_quota_of_a_thousand_on_sqlite() {
    exact(Database::Threaded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_the_quota_of_a_thousand_on_postgresql() {
    exact(Database::Postgres).await;
}
