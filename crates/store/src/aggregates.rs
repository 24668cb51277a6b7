//! Host aggregates: few, read whole. Never checks that a host exists or that zones do not overlap.

use crate::damage::{time, whole, word};
use crate::changes::Topic;
use crate::{Error, Result, Row, Tx, Value, counters, params};
use driver_api::Timestamp;
use model::aggregate::Aggregate;

const WHAT: &str = "aggregate";
const COLUMNS: &str = "id, uuid, name, hosts, metadata, created_at, updated_at";

/// Stores a new aggregate under the next number, whatever number it carries; as stored. Conflict if its
/// name is taken.
pub fn insert(tx: &mut Tx, aggregate: &Aggregate) -> Result<Aggregate> {
    let stored = Aggregate { id: counters::next(tx, "aggregates")?, ..aggregate.clone() };
    tx.execute(
        "INSERT INTO aggregates (id, uuid, name, hosts, metadata, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        params![
            stored.id,
            stored.uuid,
            &stored.name,
            Value::json(&stored.hosts)?,
            Value::json(&stored.metadata)?,
            stored.created_at,
            stored.updated_at
        ],
    )?;
    tx.note(Topic::Aggregates, stored.id);
    Ok(stored)
}

/// The aggregate of that number.
pub fn get(tx: &mut Tx, id: i64) -> Result<Aggregate> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} FROM aggregates WHERE id = $1"), params![id])?;
    read(&row.ok_or_else(|| Error::not_found(WHAT, id))?)
}

/// All aggregates, by number.
pub fn list(tx: &mut Tx) -> Result<Vec<Aggregate>> {
    tx.records("aggregates", &format!("SELECT {COLUMNS} FROM aggregates ORDER BY id"), &[], read)
}

/// Reads, changes and writes an aggregate in one piece: name, hosts, metadata. Conflict if its new name is
/// taken.
pub fn change(
    tx: &mut Tx,
    id: i64,
    now: Timestamp,
    edit: impl FnOnce(&mut Aggregate) -> Result<()>,
) -> Result<Aggregate> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} FROM aggregates WHERE id = $1{}", tx.for_update()), params![id])?;
    let mut aggregate = read(&row.ok_or_else(|| Error::not_found(WHAT, id))?)?;
    edit(&mut aggregate)?;
    aggregate.hosts.sort();
    aggregate.hosts.dedup();
    aggregate.updated_at = Some(now);
    tx.execute(
        "UPDATE aggregates SET name = $2, hosts = $3, metadata = $4, updated_at = $5 WHERE id = $1",
        params![id, &aggregate.name, Value::json(&aggregate.hosts)?, Value::json(&aggregate.metadata)?, now],
    )?;
    tx.note(Topic::Aggregates, id);
    Ok(aggregate)
}

/// Removes an aggregate that has no hosts; conflict if it has some.
pub fn delete(tx: &mut Tx, id: i64) -> Result<()> {
    if tx.execute("DELETE FROM aggregates WHERE id = $1 AND hosts = '[]'", params![id])? == 1 {
        tx.note(Topic::Aggregates, id);
        return Ok(());
    }
    get(tx, id)?;
    Err(Error::Conflict(format!("aggregate {id} is not empty")))
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    read(row)?;
    word(row, &["name"])?;
    whole(row, &["id"])?;
    time(row, "created_at")?;
    time(row, "updated_at")
}

fn read(row: &Row) -> Result<Aggregate> {
    Ok(Aggregate {
        id: row.get("id")?,
        uuid: row.get("uuid")?,
        name: row.get("name")?,
        hosts: row.json("hosts")?,
        metadata: row.json("metadata")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
