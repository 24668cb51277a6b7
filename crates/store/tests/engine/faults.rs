//! What the database does to us: no space in the middle of a batch, a connection cut exactly at COMMIT.

use super::{batched, ids, make_table, put};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use store::testing::{self, TestEngine};
use store::{Error, SqliteMode, Store, params};

/// Whatever SQLite takes back with a full disk: what was acknowledged is there, the rest is not, and the
/// writer goes on.
#[tokio::test]
async fn a_full_disk_in_a_batch_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_sqlite(&dir.path().join("a.db"), SqliteMode::Threaded).unwrap();
    make_table(&store).await;
    let limit = |pages: i64| {
        let sql = format!("PRAGMA max_page_count = {pages}");
        store.write(move |tx| tx.query(&sql, &[]))
    };
    let used = store.read(|tx| tx.query_one("PRAGMA page_count", &[])).await.unwrap().unwrap();
    limit(used.get::<i64>("page_count").unwrap() + 2).await.unwrap();
    let huge: &'static str = "x".repeat(1 << 20).leak();
    let units = vec![(1, "one"), (2, huge), (3, "three"), (4, huge), (5, "five")];
    let done = batched(&store, units).await;
    let acknowledged: Vec<i64> = (1..).zip(&done).filter(|(_, d)| d.is_ok()).map(|(id, _)| id).collect();
    assert!(matches!(done[1], Err(Error::Unavailable(_))), "{:?}", done[1]);
    let stored: Vec<i64> = ids(&store).await.into_iter().filter(|id| *id > 0).collect();
    assert_eq!(stored, acknowledged);
    limit(1 << 30).await.unwrap();
    store.write(move |tx| put(tx, 9, huge)).await.unwrap();
    assert!(ids(&store).await.contains(&9));
}

/// Where the wire is cut.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    /// COMMIT never reaches the server.
    BeforeCommit,
    /// COMMIT reaches it; the answer does not come back.
    AfterCommit,
}

/// A wire to `server` that is cut once, at the first COMMIT after `armed`.
fn wire(server: String, cut: Cut, armed: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(upstream) = TcpStream::connect(&server) else { return };
            let (from, to) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
            std::thread::spawn(move || pump(upstream, client, |_| None));
            let armed = armed.clone();
            std::thread::spawn(move || {
                pump(from, to, |bytes| {
                    let commit = bytes.windows(7).any(|word| word == b"COMMIT\0");
                    (commit && armed.swap(false, SeqCst)).then_some(cut)
                });
            });
        }
    });
    port
}

fn pump(mut from: TcpStream, mut to: TcpStream, cut: impl Fn(&[u8]) -> Option<Cut>) {
    let mut buffer = [0; 65536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let cut = cut(&buffer[..read]);
        if cut != Some(Cut::BeforeCommit) && to.write_all(&buffer[..read]).is_err() {
            break;
        }
        if cut.is_some() {
            // The client's side goes at once; the server still reads what was sent.
            let _gone = from.shutdown(Shutdown::Both);
            let _sent = to.shutdown(Shutdown::Write);
            return;
        }
    }
    let _gone = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[tokio::test]
async fn a_connection_lost_at_commit_neither_loses_nor_repeats_the_unit() {
    for (cut, expected_runs) in [(Cut::BeforeCommit, 2), (Cut::AfterCommit, 1)] {
        let TestEngine { store: direct, url, .. } = testing::postgres(1);
        make_table(&direct).await;
        direct.write(|tx| put(tx, 1, "counter")).await.unwrap();
        let url = url.unwrap();
        let (head, rest) = url.split_once('@').unwrap();
        let (server, path) = rest.split_once('/').unwrap();
        let armed = Arc::new(AtomicBool::new(false));
        let port = wire(server.to_owned(), cut, armed.clone());
        // In clear: the wire has to read what passes.
        let mark = if path.contains('?') { '&' } else { '?' };
        let store = Store::open_postgres(&format!("{head}@127.0.0.1:{port}/{path}{mark}sslmode=disable"), 1).unwrap();
        let runs = Arc::new(AtomicU32::new(0));
        let seen = runs.clone();
        armed.store(true, SeqCst);
        let unit = store.write(move |tx| {
            seen.fetch_add(1, SeqCst);
            tx.execute("UPDATE probe SET used = used + 1 WHERE id = $1", params![1])
        });
        unit.await.unwrap();
        assert!(!armed.load(SeqCst), "the wire was cut");
        assert_eq!(runs.load(SeqCst), expected_runs);
        let used = direct.read(|tx| tx.query_one("SELECT used FROM probe", &[])).await.unwrap().unwrap();
        assert_eq!(used.get::<i64>("used").unwrap(), 1, "exactly once");
        assert_eq!(store.commits(), 1);
    }
}
