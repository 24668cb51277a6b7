//! The log of changes: what controllers that share a database tell one another through it.
//!
//! A row says *that* something changed, never how: a reader reads the thing itself again. Rows are written by the unit
//! that makes the change ([`Tx::note`]), all of a unit's in one statement, so the log has exactly what was committed.
//!
//! **No gaps.** Sequence numbers are given before COMMIT, so a lower number can become visible after a higher one, and
//! a reader that remembered "the last number" would pass it over. Each row therefore carries the id of its transaction,
//! and a reader remembers a *floor*: every transaction below `pg_snapshot_xmin` of a snapshot had ended when the
//! snapshot was taken, so all their rows were seen with it and none can come. What lies at or above the floor is read
//! again next time, and told once. The other way, a lock from number to COMMIT, would have one commit wait for another's
//! flush. For the same reason nobody says NOTIFY inside a unit: PostgreSQL lets transactions that notify commit one by one.
//! [`crate::Store::listen`] says when to look; who only looks now and then sees the same.
//!
//! SQLite has one controller: there [`Tx::note`] does nothing and costs nothing.

use crate::{Dialect, Error, Result, Tx, params};
use std::collections::BTreeSet;

/// What kind of thing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// A resource provider: inventory, use, traits, aggregates. Key: its id.
    Provider,
    /// Host aggregates.
    Aggregates,
    /// A compute service: registered, switched, up or down. Key: its host.
    Service,
    /// A controller came, left or was lost. Key: its name.
    Controller,
    /// Users, projects, roles, revoked tokens, keys.
    Identity,
    /// What a server's host knows of it. Key: its id.
    Server,
    /// A flow was given to another controller. Key: its id.
    Flow,
}

impl Topic {
    const ALL: [Topic; 7] = [
        Topic::Provider,
        Topic::Aggregates,
        Topic::Service,
        Topic::Controller,
        Topic::Identity,
        Topic::Server,
        Topic::Flow,
    ];
    fn as_str(self) -> &'static str {
        match self {
            Topic::Provider => "provider",
            Topic::Aggregates => "aggregates",
            Topic::Service => "service",
            Topic::Controller => "controller",
            Topic::Identity => "identity",
            Topic::Server => "server",
            Topic::Flow => "flow",
        }
    }
    fn parse(word: &str) -> Option<Topic> {
        Topic::ALL.into_iter().find(|t| t.as_str() == word)
    }
}

/// Which rows a reader has seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Every transaction below it had ended, and its rows were told.
    floor: i64,
    /// Rows at or above the floor that were told.
    told: BTreeSet<i64>,
}

/// Changes, each once.
pub type News = BTreeSet<(Topic, String)>;

const XMIN: &str = "CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS TEXT) AS BIGINT)";
const NOW: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

/// A cursor at what is committed now. To be taken before the first reading of what the log tells about.
pub fn here(tx: &mut Tx) -> Result<Cursor> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(Cursor::default());
    }
    let floor = xmin(tx)?;
    let told = rows(tx, floor)?.into_iter().map(|(seq, _, _)| seq).collect();
    Ok(Cursor { floor, told })
}

/// What changed since `cursor`, and where the reader stands then.
pub fn since(tx: &mut Tx, cursor: &Cursor) -> Result<(News, Cursor)> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok((News::new(), cursor.clone()));
    }
    let floor = xmin(tx)?;
    let (mut news, mut told) = (News::new(), BTreeSet::new());
    for (seq, xid, change) in rows(tx, cursor.floor)? {
        // A topic of a later release is not ours to follow.
        if let Some(change) = change.filter(|_| !cursor.told.contains(&seq)) {
            news.insert(change);
        }
        if xid >= floor {
            told.insert(seq);
        }
    }
    Ok((news, Cursor { floor, told }))
}

fn xmin(tx: &mut Tx) -> Result<i64> {
    let row = tx.query_one(&format!("SELECT {XMIN} AS floor"), &[])?;
    row.ok_or_else(|| Error::Sql("no snapshot".into()))?.get("floor")
}

type Row = (i64, i64, Option<(Topic, String)>);

fn rows(tx: &mut Tx, floor: i64) -> Result<Vec<Row>> {
    let rows = tx.query("SELECT seq, xid, topic, key FROM changes WHERE xid >= $1 ORDER BY seq", params![floor])?;
    rows.iter()
        .map(|r| {
            let key: String = r.get("key")?;
            Ok((r.get("seq")?, r.get("xid")?, Topic::parse(r.text("topic")?).map(|t| (t, key))))
        })
        .collect()
}

/// Writes what a unit noted; part of its transaction, just before COMMIT.
pub(crate) fn write(tx: &mut Tx, noted: &News) -> Result<()> {
    let lines: Vec<String> = noted.iter().map(|(topic, key)| format!("{} {}", topic.as_str(), key.replace('\n', " "))).collect();
    tx.execute(
        &format!(
            "INSERT INTO changes (xid, topic, key, created_at) \
             SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT), split_part(l, ' ', 1), substr(l, strpos(l, ' ') + 1), \
             {NOW} FROM unnest(string_to_array($1, chr(10))) AS l"
        ),
        params![lines.join("\n")],
    )?;
    Ok(())
}

/// Forgets what is older than `seconds` by the database's clock. A reader that did not look for so long reads everything.
pub fn forget(tx: &mut Tx, seconds: i64) -> Result<u64> {
    if tx.dialect() == Dialect::Sqlite {
        return Ok(0);
    }
    tx.execute(&format!("DELETE FROM changes WHERE created_at < {NOW} - $1"), params![seconds.saturating_mul(1_000_000)])
}
