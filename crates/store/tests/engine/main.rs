//! The engine's promises, each on every engine that makes it: isolation of units, group commit, guarded
//! updates under concurrency, retries, snapshots.
#![allow(clippy::unwrap_used)]

mod faults;

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use store::testing::{self, TestEngine, engines};
use store::{Dialect, Error, Result, SqliteMode, Store, Tx, Value, params};
use uuid::Uuid;

async fn make_table(store: &Store) {
    let made = store.write(|tx| {
        let blob = if tx.dialect() == Dialect::Sqlite { "BLOB" } else { "BYTEA" };
        tx.execute(
            &format!(
                "CREATE TABLE probe (id BIGINT NOT NULL PRIMARY KEY, name TEXT UNIQUE, used BIGINT, \
                 ratio DOUBLE PRECISION, raw {blob})"
            ),
            &[],
        )
    });
    made.await.unwrap();
}

fn put(tx: &mut Tx, id: i64, name: &str) -> Result<u64> {
    tx.execute("INSERT INTO probe (id, name, used) VALUES ($1, $2, 0)", params![id, name])
}

async fn ids(store: &Store) -> Vec<i64> {
    let rows = store.read(|tx| tx.query("SELECT id FROM probe ORDER BY id", &[])).await.unwrap();
    rows.iter().map(|row| row.get("id").unwrap()).collect()
}

async fn each() -> Vec<TestEngine> {
    let all = engines();
    for engine in &all {
        make_table(&engine.store).await;
    }
    all
}

#[tokio::test]
async fn values_come_back_as_they_went_in() {
    for TestEngine { name, store, .. } in &each().await {
        let id = Uuid::from_u128(7);
        store
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO probe (id, name, used, ratio, raw) VALUES ($1, $2, $3, $4, $5)",
                    params![i64::MIN, id, true, 0.1, vec![0_u8, 255]],
                )?;
                tx.execute(
                    "INSERT INTO probe (id, name, used, ratio, raw) VALUES ($1, $2, $3, $4, $5)",
                    params![i64::MAX, None::<String>, None::<i64>, None::<f64>, None::<Vec<u8>>],
                )
            })
            .await
            .unwrap();
        let rows = store
            .read(|tx| tx.query("SELECT id, name, used, ratio, raw, '$1 ''x''' AS quoted FROM probe ORDER BY id", &[]))
            .await
            .unwrap();
        let first = &rows[0];
        assert_eq!(first.get::<i64>("id").unwrap(), i64::MIN, "{name}");
        assert_eq!(first.get::<Uuid>("name").unwrap(), id);
        assert!(first.get::<bool>("used").unwrap());
        assert_eq!(first.get::<f64>("ratio").unwrap().to_bits(), 0.1_f64.to_bits());
        assert_eq!(first.get::<Vec<u8>>("raw").unwrap(), [0, 255]);
        assert_eq!(first.text("quoted").unwrap(), "$1 'x'");
        let empty = &rows[1];
        assert_eq!(empty.get::<Option<Uuid>>("name").unwrap(), None);
        assert_eq!(empty.value("raw").unwrap(), &Value::Null);
        assert!(matches!(empty.get::<String>("name"), Err(Error::Corrupt { .. })), "{name}");
        assert!(matches!(first.get::<u64>("id"), Err(Error::Corrupt { .. })), "a negative number is no u64");
        assert!(matches!(first.get::<i64>("absent"), Err(Error::Sql(_))));
    }
}

#[tokio::test]
async fn portable_expressions_mean_the_same() {
    for TestEngine { name, store, .. } in &each().await {
        let row = store
            .write(|tx| {
                put(tx, 1, "b")?;
                put(tx, 2, "B")?;
                put(tx, 3, "a")?;
                tx.execute("UPDATE probe SET used = $1 WHERE name IS NOT DISTINCT FROM $2", params![5, "a"])?;
                tx.query_one(
                    "SELECT SUM(used) AS total, COUNT(*) AS n, MAX(name) AS last, SUM(used) > 4 AS many FROM probe \
                     WHERE used <= $1 AND CAST($2 AS TEXT) IS NULL",
                    params![9, None::<&str>],
                )
            })
            .await
            .unwrap()
            .unwrap();
        assert_eq!(row.get::<i64>("total").unwrap(), 5, "{name}");
        assert_eq!(row.get::<i64>("n").unwrap(), 3, "{name}");
        assert_eq!(row.get::<String>("last").unwrap(), "b", "{name}: text sorts by bytes");
        assert!(row.get::<bool>("many").unwrap(), "{name}");
        let returned = store
            .write(|tx| {
                tx.query(
                    "INSERT INTO probe (id, name) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET used = 9 RETURNING id",
                    params![4, "a"],
                )
            })
            .await
            .unwrap();
        assert_eq!(returned[0].get::<i64>("id").unwrap(), 3, "{name}");
    }
}

#[tokio::test]
async fn a_failing_unit_leaves_nothing_and_the_others_alone() {
    for TestEngine { name, store, .. } in &each().await {
        let refused = store.write(|tx| {
            put(tx, 1, "one")?;
            put(tx, 2, "one")
        });
        assert!(matches!(refused.await, Err(Error::Conflict(_))), "{name}");
        let looked_away = store.write(|tx| {
            put(tx, 1, "one")?;
            let _ignored = put(tx, 1, "two");
            Ok(())
        });
        assert!(looked_away.await.is_err(), "{name}: a failed statement dooms its unit");
        let panicked = store.write(|tx| -> Result<()> {
            put(tx, 1, "one")?;
            panic!("on purpose");
        });
        assert!(matches!(panicked.await, Err(Error::Aborted(_))), "{name}");
        let gave_up = store.write(|tx| -> Result<()> {
            put(tx, 1, "one")?;
            Err(Error::abort(std::io::Error::other("mine")))
        });
        let own: std::io::Error = gave_up.await.unwrap_err().aborted_as().unwrap();
        assert_eq!(own.to_string(), "mine");
        assert!(ids(store).await.is_empty(), "{name}");
        store.write(|tx| put(tx, 1, "one")).await.unwrap();
        assert_eq!(ids(store).await, [1], "{name}: the engine goes on");
    }
}

#[tokio::test]
async fn an_attempt_fails_alone() {
    for TestEngine { name, store, .. } in &each().await {
        store
            .write(|tx| {
                put(tx, 1, "one")?;
                let inner = tx.attempt(|tx| {
                    put(tx, 2, "two")?;
                    tx.attempt(|tx| put(tx, 3, "three"))?;
                    put(tx, 4, "one")
                });
                assert!(matches!(inner, Err(Error::Conflict(_))));
                tx.attempt(|tx| put(tx, 5, "five"))
            })
            .await
            .unwrap();
        assert_eq!(ids(store).await, [1, 5], "{name}");
    }
}

#[tokio::test]
async fn a_read_changes_nothing() {
    for TestEngine { name, store, .. } in &each().await {
        assert!(store.read(|tx| put(tx, 1, "one")).await.is_err(), "{name}");
        assert!(ids(store).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn commits_count_units_that_changed_rows() {
    for TestEngine { name, store, .. } in &each().await {
        let before = store.commits();
        store.write(|tx| put(tx, 1, "one")).await.unwrap();
        store.write(|tx| tx.query("UPDATE probe SET used = 1 WHERE id = 1 RETURNING id", &[])).await.unwrap();
        store.write(|tx| tx.execute("UPDATE probe SET used = 1 WHERE id = 99", &[])).await.unwrap();
        store.write(|tx| tx.query("SELECT id FROM probe", &[])).await.unwrap();
        assert!(store.write(|tx| put(tx, 1, "again")).await.is_err());
        assert_eq!(store.commits() - before, 2, "{name}");
    }
}

/// Holds the writer inside a unit while `waiting` units queue up behind it, then lets go.
async fn batched(store: &Store, waiting: Vec<(i64, &'static str)>) -> Vec<Result<u64>> {
    let (open, gate) = channel::<()>();
    let (inside, entered) = tokio::sync::oneshot::channel();
    let (inside, gate) = (Mutex::new(Some(inside)), Mutex::new(gate));
    let holder = tokio::spawn({
        let store = store.clone();
        async move {
            let hold = store.write(move |tx| {
                // It holds the writer once, should it be run again.
                if let Some(inside) = inside.lock().unwrap().take() {
                    inside.send(()).unwrap();
                    gate.lock().unwrap().recv().unwrap();
                }
                put(tx, 0, "holder")
            });
            hold.await
        }
    });
    entered.await.unwrap();
    let mut answers: Vec<_> =
        waiting.into_iter().map(|(id, name)| Box::pin(store.write(move |tx| put(tx, id, name)))).collect();
    // A unit is queued at the first poll.
    for answer in &mut answers {
        assert!(futures_poll(answer.as_mut()).is_none(), "nothing is answered before the flush");
    }
    open.send(()).unwrap();
    holder.await.unwrap().unwrap();
    let mut done = Vec::new();
    for answer in answers {
        done.push(answer.await);
    }
    done
}

fn futures_poll<T>(future: std::pin::Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
    match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
        std::task::Poll::Ready(done) => Some(done),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test]
async fn waiting_units_share_one_flush_and_fail_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_sqlite(&dir.path().join("a.db"), SqliteMode::Threaded).unwrap();
    make_table(&store).await;
    let (commits, flushes) = (store.commits(), store.flushes());
    let units = vec![(1, "one"), (2, "holder"), (3, "three"), (1, "again"), (4, "four")];
    let done = batched(&store, units).await;
    let well: Vec<bool> = done.iter().map(Result::is_ok).collect();
    assert_eq!(well, [true, false, true, false, true]);
    assert!(matches!(done[1], Err(Error::Conflict(_))));
    assert_eq!(ids(&store).await, [0, 1, 3, 4]);
    assert_eq!(store.commits() - commits, 4);
    assert_eq!(store.flushes() - flushes, 1, "one flush for all who waited");
}

#[tokio::test]
async fn a_file_is_private_and_keeps_what_was_written() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    for (round, mode) in [SqliteMode::Threaded, SqliteMode::Inline, SqliteMode::Threaded].into_iter().enumerate() {
        let store = Store::open_sqlite(&path, mode).unwrap();
        if round == 0 {
            make_table(&store).await;
        }
        let id = i64::try_from(round).unwrap();
        store.write(move |tx| put(tx, id, &id.to_string())).await.unwrap();
        assert_eq!(ids(&store).await.len(), round + 1);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_sees_one_snapshot() {
    for TestEngine { name, store, .. } in &each().await {
        if *name == "sqlite-inline" {
            continue; // One unit at a time: nothing can come between.
        }
        let (inside, entered) = tokio::sync::oneshot::channel();
        let (open, gate) = channel::<()>();
        let (inside, gate) = (Mutex::new(Some(inside)), Mutex::new(gate));
        let reading = tokio::spawn({
            let store = store.clone();
            async move {
                let read = store.read(move |tx| {
                    let before = tx.query("SELECT id FROM probe", &[])?.len();
                    inside.lock().unwrap().take().unwrap().send(()).unwrap();
                    gate.lock().unwrap().recv().unwrap();
                    Ok((before, tx.query("SELECT id FROM probe", &[])?.len()))
                });
                read.await
            }
        });
        entered.await.unwrap();
        store.write(|tx| put(tx, 1, "one")).await.unwrap();
        open.send(()).unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), (0, 0), "{name}");
        assert_eq!(ids(store).await, [1], "{name}: a later read sees it");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guarded_update_admits_exactly_ten_of_a_thousand() {
    let mut all = each().await;
    let wide = testing::postgres(32);
    make_table(&wide.store).await;
    all.push(wide);
    for TestEngine { name, store, .. } in &all {
        store.write(|tx| put(tx, 1, "host")).await.unwrap();
        let claims: Vec<_> = (0..1000)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let claim = store.write(|tx| {
                        tx.execute("UPDATE probe SET used = used + $1 WHERE id = $2 AND used + $1 <= 10", params![1, 1])
                    });
                    claim.await.unwrap()
                })
            })
            .collect();
        let mut won = 0;
        for claim in claims {
            won += claim.await.unwrap();
        }
        assert_eq!(won, 10, "{name}");
        let used = store.read(|tx| tx.query_one("SELECT used FROM probe WHERE id = 1", &[])).await.unwrap().unwrap();
        assert_eq!(used.get::<i64>("used").unwrap(), 10, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deadlocked_units_are_run_again() {
    let TestEngine { store, .. } = testing::postgres(2);
    make_table(&store).await;
    store.write(|tx| put(tx, 1, "one").and(put(tx, 2, "two"))).await.unwrap();
    let meet = Arc::new(std::sync::Barrier::new(2));
    let runs = Arc::new(AtomicU32::new(0));
    let both: Vec<_> = [(1, 2), (2, 1)]
        .into_iter()
        .map(|(first, second)| {
            let (store, meet, runs) = (store.clone(), meet.clone(), runs.clone());
            tokio::spawn(async move {
                let mut met = false;
                let add = "UPDATE probe SET used = used + 1 WHERE id = $1";
                let unit = store.write(move |tx| {
                    runs.fetch_add(1, SeqCst);
                    tx.execute(add, params![first])?;
                    if !met {
                        met = true;
                        meet.wait();
                    }
                    tx.execute(add, params![second])
                });
                unit.await
            })
        })
        .collect();
    for unit in both {
        unit.await.unwrap().unwrap();
    }
    assert_eq!(runs.load(SeqCst), 3, "one lost and ran again");
    let rows = store.read(|tx| tx.query("SELECT used FROM probe", &[])).await.unwrap();
    assert!(rows.iter().all(|row| row.get::<i64>("used").unwrap() == 2));
}

#[tokio::test]
async fn a_lost_connection_is_made_again_and_the_unit_run_again() {
    let TestEngine { store, .. } = testing::postgres(1);
    make_table(&store).await;
    let runs = Arc::new(AtomicU32::new(0));
    let seen = runs.clone();
    let unit = store.write(move |tx| {
        put(tx, 1, "one")?;
        if seen.fetch_add(1, SeqCst) == 0 {
            tx.query("SELECT pg_terminate_backend(pg_backend_pid()) AS gone", &[])?;
        }
        put(tx, 2, "two")
    });
    unit.await.unwrap();
    assert_eq!(runs.load(SeqCst), 2);
    assert_eq!(ids(&store).await, [1, 2]);
}

#[tokio::test]
async fn an_absent_server_is_said_without_its_password() {
    let error = Store::open_postgres("postgres://me:hidden@127.0.0.1:1/db", 1).unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)));
    assert!(!error.to_string().contains("hidden"));
    let error = Store::open_postgres("postgres://me:hidden@:x:y", 1).unwrap_err();
    assert!(!error.to_string().contains("hidden"));
}
