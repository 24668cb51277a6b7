//! The load whose every prefix can be recognised: each writer's unit `n` changes four tables, and after `m` of its
//! units exactly one state is right.

use crate::make;
use power_cut::{Dice, Event};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use store::{Error, Result, SqliteMode, Store, Tx, params};

pub const FILE: &str = "kilonova.db";
pub const WRITERS: usize = 4;

/// What the recorded program tells its caller.
pub enum Spoken {
    /// Writer and unit: asked for from here on.
    Tried((usize, u64)),
    /// Acknowledged.
    Acked((usize, u64)),
}

impl Spoken {
    pub fn read(line: &str) -> Option<Spoken> {
        // The harness writes its own words on the same lines.
        let pair = |text: &str| {
            let (writer, n) = text.split_once(' ')?;
            Some((writer.parse().ok()?, n.parse().ok()?))
        };
        match (line.split_once("tried "), line.split_once("acked ")) {
            (Some((_, rest)), _) => pair(rest).map(Spoken::Tried),
            (_, Some((_, rest))) => pair(rest).map(Spoken::Acked),
            _ => None,
        }
    }
}

/// What a caller may rely on at a moment.
#[derive(Default)]
pub struct Promise {
    pub tried: [u64; WRITERS],
    pub acked: [u64; WRITERS],
}

impl Promise {
    pub fn hear(&mut self, events: &[Event]) {
        for event in events {
            let Event::Said(bytes) = event else { continue };
            for line in String::from_utf8_lossy(bytes).lines() {
                match Spoken::read(line) {
                    Some(Spoken::Tried((writer, n))) => self.tried[writer] = self.tried[writer].max(n),
                    Some(Spoken::Acked((writer, n))) => self.acked[writer] = n,
                    None => {}
                }
            }
        }
    }
}

fn project(writer: usize) -> String {
    format!("w{writer}")
}

fn server_id(writer: usize, n: u64) -> u128 {
    ((writer as u128 + 1) << 40) | u128::from(n)
}

fn flow_id(writer: usize, n: u64) -> u128 {
    (1 << 60) | server_id(writer, n)
}

/// Unit `n`: a server, its flow, its quota and a counter; every third removes the one before.
pub fn unit(tx: &mut Tx, writer: usize, n: u64) -> Result<()> {
    let mut server = make::server(server_id(writer, n));
    server.created_at = driver_api::Timestamp(i64::try_from(n).unwrap());
    server.project_id = project(writer);
    // Some rows take more than a page, so that a torn one cannot hide.
    server.body.description = Some("x".repeat(usize::try_from(n % 5 * 1500).unwrap()));
    store::servers::insert(tx, &server)?;
    let mut flow = make::flow(flow_id(writer, n), server_id(writer, n), "controller");
    (flow.project_id, flow.message) = (project(writer), Some(n.to_string()));
    (flow.created_at, flow.updated_at) = (server.created_at, server.created_at);
    store::flows::insert(tx, &flow)?;
    store::quotas::claim(tx, &project(writer), &[(&resource(), 1)])?;
    if n.is_multiple_of(3) {
        let before = server_id(writer, n - 1);
        tx.execute("DELETE FROM servers WHERE id = $1", params![make::id(before)])?;
        tx.execute("DELETE FROM flows WHERE server_id = $1", params![make::id(before)])?;
        store::quotas::release(tx, &project(writer), &[(&resource(), 1)])?;
    }
    match store::counters::next(tx, &project(writer))? {
        next if next == i64::try_from(n).unwrap() => Ok(()),
        other => Err(Error::abort(format!("unit {n} would be number {other}"))),
    }
}

fn resource() -> model::quota::Resource {
    model::quota::Resource { default: -1, ..model::quota::COMPUTE[0] }
}

/// Which units' servers are there after `m` units.
fn present(m: u64) -> BTreeSet<u64> {
    (1..=m).filter(|n| n + 1 > m || !(n + 1).is_multiple_of(3)).collect()
}

fn count(tx: &mut Tx, writer: usize) -> Result<u64> {
    let row = tx.query_one("SELECT value FROM counters WHERE name = $1", params![project(writer)])?;
    Ok(row.map_or(Ok(0), |row| row.get::<i64>("value"))?.try_into().unwrap())
}

/// All writers at once, each going on where the last life of the database left it.
pub async fn load(store: &Store, units: u64) {
    // Small, so that the log is copied into the database again and again while others write.
    store.write(|tx| tx.query("PRAGMA wal_autocheckpoint = 24", &[])).await.unwrap();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = store.clone();
            tokio::spawn(async move {
                let done = store.read(move |tx| count(tx, writer)).await.unwrap();
                for n in done + 1..=done + units {
                    say(&format!("tried {writer} {n}"));
                    store.write(move |tx| unit(tx, writer, n)).await.unwrap();
                    say(&format!("acked {writer} {n}"));
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
}

fn say(line: &str) {
    std::io::stdout().write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// SQLite's shared memory after a cut: not there, or anything.
pub fn shared_memory(dir: &Path, dice: &mut Dice) {
    if dice.coin() && dir.join(FILE).exists() {
        let words = std::iter::repeat_with(|| dice.roll().to_ne_bytes()).take(4096);
        std::fs::write(dir.join(format!("{FILE}-shm")), words.flatten().collect::<Vec<u8>>()).unwrap();
    }
}

/// Opens what is left as a start would, and holds it against the promise.
pub async fn check(dir: &Path, promise: &Promise) -> std::result::Result<(), String> {
    let store = Store::open_sqlite(&dir.join(FILE), SqliteMode::Threaded).map_err(|e| format!("does not open: {e}"))?;
    let damaged = store.read(|tx| {
        let mut words = Vec::new();
        for row in tx.query("PRAGMA integrity_check", &[])? {
            words.push(row.text("integrity_check")?.to_owned());
        }
        Ok((words, tx.query("PRAGMA foreign_key_check", &[])?.len()))
    });
    match damaged.await {
        Ok((words, 0)) if words == ["ok"] => {}
        other => return Err(format!("damaged: {other:?}")),
    }
    let mut next = 0;
    for writer in 0..WRITERS {
        let state = store.read(move |tx| state(tx, writer)).await.map_err(|e| format!("cannot be read: {e}"))?;
        let (m, half) = state;
        if let Some(half) = half {
            return Err(format!("half a unit of writer {writer} after {m}: {half}"));
        }
        if m < promise.acked[writer] {
            return Err(format!("lost: writer {writer} has {m}, acknowledged were {}", promise.acked[writer]));
        }
        if m > promise.tried[writer] {
            return Err(format!("writer {writer} has {m}, which nobody asked for"));
        }
        if writer == 0 {
            next = m + 1;
        }
    }
    // It can be written as before; taken back, so that the check may run again.
    let write = store.write(move |tx| unit(tx, 0, next).and_then(|()| Err::<(), _>(Error::abort("enough"))));
    match write.await {
        Err(Error::Aborted(_)) => Ok(()),
        other => Err(format!("cannot be written: {other:?}")),
    }
}

/// How many units of a writer are there, and what does not fit to that.
fn state(tx: &mut Tx, writer: usize) -> Result<(u64, Option<String>)> {
    let m = count(tx, writer)?;
    let ids = |tx: &mut Tx, sql: &str| -> Result<BTreeSet<uuid::Uuid>> {
        tx.query(sql, params![project(writer)])?.iter().map(|row| row.get("id")).collect()
    };
    let servers = ids(tx, "SELECT id FROM servers WHERE project_id = $1")?;
    let flows = ids(tx, "SELECT id FROM flows WHERE project_id = $1")?;
    let used = store::quotas::usage(tx, &project(writer), &resource())?.used;
    let right = present(m);
    let wanted = |id: fn(usize, u64) -> u128| right.iter().map(|n| make::id(id(writer, *n))).collect::<BTreeSet<_>>();
    let half = if servers != wanted(server_id) {
        Some(format!("{} servers, {} expected", servers.len(), right.len()))
    } else if flows != wanted(flow_id) {
        Some(format!("{} flows, {} expected", flows.len(), right.len()))
    } else if used != i64::try_from(right.len()).unwrap() {
        Some(format!("use of {used}, {} expected", right.len()))
    } else {
        None
    };
    Ok((m, half))
}
