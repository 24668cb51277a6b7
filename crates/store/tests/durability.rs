//! An acknowledged write survives kill -9. The child is this test run again: it reports each row after the
//! store has acknowledged it, until it is killed in the middle of its work.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use store::{SqliteMode, Store, params};

const FILE: &str = "KILONOVA_DURABILITY_FILE";
const URL: &str = "KILONOVA_DURABILITY_URL";

fn open() -> Store {
    match (std::env::var(FILE), std::env::var(URL)) {
        (Ok(path), _) => Store::open_sqlite(Path::new(&path), SqliteMode::Threaded).unwrap(),
        (_, Ok(url)) => Store::open_postgres(&url, 4).unwrap(),
        _ => panic!("the parent says what to open"),
    }
}

/// Eight writers, without end.
async fn write_until_killed(store: Store) {
    let create = store.write(|tx| tx.execute("CREATE TABLE IF NOT EXISTS acked (id BIGINT NOT NULL PRIMARY KEY)", &[]));
    create.await.unwrap();
    let writers: Vec<_> = (0..8_i64)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                for n in 0_i64.. {
                    let id = n * 8 + writer;
                    store.write(move |tx| tx.execute("INSERT INTO acked VALUES ($1)", params![id])).await.unwrap();
                    let mut out = std::io::stdout();
                    writeln!(out, "acked {id}").unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

/// Starts the child, kills it after 200 acknowledgements; all that it reported.
fn killed_child(test: &str, variable: &str, value: &str) -> Vec<i64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(variable, value)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acked = Vec::new();
    for line in lines {
        // The harness writes its own words on the same lines.
        if let Some((_, id)) = line.split_once("acked ")
            && let Ok(id) = id.parse()
        {
            acked.push(id);
        }
        if acked.len() == 200 {
            // SIGKILL; what the pipe still holds was acknowledged too.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(acked.len() >= 200);
    acked
}

async fn all_there(store: Store, acked: &[i64]) {
    let rows = store.read(|tx| tx.query("SELECT id FROM acked", &[])).await.unwrap();
    let stored: std::collections::BTreeSet<i64> = rows.iter().map(|row| row.get("id").unwrap()).collect();
    let lost: Vec<_> = acked.iter().filter(|id| !stored.contains(id)).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_what_it_acknowledged() {
    if std::env::var(FILE).is_ok() {
        return write_until_killed(open()).await;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("durable.db");
    let acked = killed_child("sqlite_keeps_what_it_acknowledged", FILE, path.to_str().unwrap());
    all_there(Store::open_sqlite(&path, SqliteMode::Threaded).unwrap(), &acked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_what_it_acknowledged() {
    if std::env::var(URL).is_ok() {
        return write_until_killed(open()).await;
    }
    let engine = store::testing::postgres(2);
    let url = engine.url.clone().unwrap();
    let acked = killed_child("postgres_keeps_what_it_acknowledged", URL, &url);
    all_there(engine.store.clone(), &acked).await;
}
