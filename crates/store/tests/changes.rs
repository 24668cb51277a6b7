//! The log of changes: nothing is passed over, everything is told once, and where there is one controller there is no log.
#![allow(clippy::unwrap_used)]

use std::sync::mpsc::channel;
use std::time::Duration;
use store::changes::{self, Cursor, News, Topic};
use store::testing::{engines, postgres};
use store::{Store, Tx};

async fn look(store: &Store, cursor: &mut Cursor) -> Vec<String> {
    let at = cursor.clone();
    let (news, next): (News, Cursor) = store.read(move |tx| changes::since(tx, &at)).await.unwrap();
    *cursor = next;
    news.into_iter().map(|(_, key)| key).collect()
}

async fn note(store: &Store, key: &'static str) {
    store
        .write(move |tx| {
            tx.note(Topic::Server, key);
            Ok(())
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lower_number_that_is_committed_later_is_not_passed_over() {
    let engine = postgres(4);
    let store = &engine.store;
    note(store, "before").await;
    let mut cursor = store.read(changes::here).await.unwrap();
    // A unit that has its number and does not commit yet.
    let ((numbered, told), (go, wait)) = (channel(), channel::<()>());
    let (slow, wait) = (store.clone(), std::sync::Mutex::new(wait));
    let slow = tokio::spawn(async move {
        let unit = move |tx: &mut Tx| {
            tx.execute(
                "INSERT INTO changes (xid, topic, key, created_at) \
                 VALUES (CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT), 'server', 'slow', 0)",
                &[],
            )?;
            numbered.send(()).unwrap();
            wait.lock().unwrap().recv().unwrap();
            Ok(())
        };
        slow.write(unit).await.unwrap();
    });
    tokio::task::spawn_blocking(move || told.recv().unwrap()).await.unwrap();
    note(store, "quick").await;
    assert_eq!(look(store, &mut cursor).await, ["quick"]);
    note(store, "next").await;
    assert_eq!(look(store, &mut cursor).await, ["next"], "what was told is not told again while the slow unit keeps the floor low");
    go.send(()).unwrap();
    slow.await.unwrap();
    assert_eq!(look(store, &mut cursor).await, ["slow"]);
    note(store, "last").await;
    assert_eq!(look(store, &mut cursor).await, ["last"]);
    assert!(look(store, &mut cursor).await.is_empty());
}

#[tokio::test]
async fn a_unit_that_did_not_happen_says_nothing_and_one_controller_has_no_log() {
    for engine in engines() {
        let store = &engine.store;
        let mut cursor = store.read(changes::here).await.unwrap();
        let failed = store.write(|tx| {
            tx.note(Topic::Server, "never");
            Err::<(), _>(store::Error::abort("given up"))
        });
        assert!(failed.await.is_err());
        let before = store.commits();
        note(store, "x").await;
        let log = store.read(|tx| tx.query_one("SELECT COUNT(*) AS n FROM changes", &[])?.unwrap().get::<i64>("n")).await.unwrap();
        if engine.name == "postgres" {
            assert_eq!((look(store, &mut cursor).await, log), (vec!["x".to_owned()], 1));
            assert_eq!(store.write(|tx| changes::forget(tx, -1)).await.unwrap(), 1);
        } else {
            assert_eq!((look(store, &mut cursor).await.len(), log, store.commits()), (0, 0, before), "{}", engine.name);
            assert!(store.listen().unwrap().is_none());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_is_told_when_to_look() {
    let engine = postgres(2);
    let url = engine.url.clone().unwrap();
    let other = tokio::task::spawn_blocking(move || Store::open_postgres(&url, 1).unwrap()).await.unwrap();
    let mut heard = other.listen().unwrap().unwrap();
    // Its own units give hints once it listens itself.
    let own = engine.store.listen().unwrap().unwrap();
    drop(own);
    let wait = Duration::from_secs(60);
    tokio::time::timeout(wait, heard.changed()).await.expect("it listens").unwrap();
    let mut cursor = other.read(changes::here).await.unwrap();
    note(&engine.store, "x").await;
    tokio::time::timeout(wait, heard.changed()).await.expect("it hears").unwrap();
    assert_eq!(look(&other, &mut cursor).await, ["x"]);
}
