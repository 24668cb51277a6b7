//! Resource providers and the aggregates they are in.

use crate::changes::Topic;
use crate::{Error, Result, Row, Tx, params};
use driver_api::Timestamp;
use model::placement::Provider;
use uuid::Uuid;

const COLUMNS: &str = "id, name, generation, parent, root, host, node, created_at, updated_at";

fn read(row: &Row) -> Result<Provider> {
    Ok(Provider {
        id: row.get("id")?,
        name: row.get("name")?,
        generation: row.get("generation")?,
        parent: row.get("parent")?,
        root: row.get("root")?,
        host: row.get("host")?,
        node: row.get("node")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    read(row)?;
    crate::damage::word(row, &["name"])?;
    crate::damage::whole(row, &["generation"])?;
    crate::damage::time(row, "created_at")?;
    crate::damage::time(row, "updated_at")
}

/// Adds a provider; false if its id or its name is taken.
pub fn insert(tx: &mut Tx, p: &Provider) -> Result<bool> {
    tx.note(Topic::Provider, p.id);
    let n = tx.execute(
        "INSERT INTO resource_providers (id, name, generation, parent, root, host, node, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
        params![p.id, &p.name, p.generation, p.parent, p.root, &p.host, &p.node, p.created_at, p.updated_at],
    )?;
    Ok(n == 1)
}

/// One provider.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<Option<Provider>> {
    let sql = format!("SELECT {COLUMNS} FROM resource_providers WHERE id = $1");
    tx.query_one(&sql, params![id])?.as_ref().map(read).transpose()
}

/// One provider by its name.
pub fn by_name(tx: &mut Tx, name: &str) -> Result<Option<Provider>> {
    let sql = format!("SELECT {COLUMNS} FROM resource_providers WHERE name = $1");
    tx.query_one(&sql, params![name])?.as_ref().map(read).transpose()
}

/// Every provider, by name.
pub fn all(tx: &mut Tx) -> Result<Vec<Provider>> {
    let sql = format!("SELECT {COLUMNS} FROM resource_providers ORDER BY name");
    tx.records("resource_providers", &sql, &[], read)
}

/// The providers of a compute host.
pub fn of_host(tx: &mut Tx, host: &str) -> Result<Vec<Provider>> {
    let sql = format!("SELECT {COLUMNS} FROM resource_providers WHERE host = $1 ORDER BY name");
    tx.records("resource_providers", &sql, params![host], read)
}

/// The providers directly below one.
pub fn children(tx: &mut Tx, id: Uuid) -> Result<Vec<Provider>> {
    let sql = format!("SELECT {COLUMNS} FROM resource_providers WHERE parent = $1 ORDER BY name");
    tx.records("resource_providers", &sql, params![id], read)
}

/// Changes name, tree and host of a provider; false if the name is taken.
pub fn update(tx: &mut Tx, p: &Provider) -> Result<bool> {
    if by_name(tx, &p.name)?.is_some_and(|other| other.id != p.id) {
        return Ok(false);
    }
    let n = tx.execute(
        "UPDATE resource_providers SET name = $2, parent = $3, root = $4, host = $5, node = $6, updated_at = $7 \
         WHERE id = $1",
        params![p.id, &p.name, p.parent, p.root, &p.host, &p.node, p.updated_at],
    )?;
    tx.note(Topic::Provider, p.id);
    if n == 0 { Err(Error::not_found("resource provider", p.id)) } else { Ok(true) }
}

/// Puts the whole tree of `id` below another root.
pub fn move_tree(tx: &mut Tx, id: Uuid, root: Uuid) -> Result<()> {
    let mut todo = vec![id];
    while let Some(next) = todo.pop() {
        tx.execute("UPDATE resource_providers SET root = $2 WHERE id = $1", params![next, root])?;
        tx.note(Topic::Provider, next);
        todo.extend(children(tx, next)?.into_iter().map(|c| c.id));
    }
    Ok(())
}

/// Moves the generation on, if it is still `seen`; false if somebody was quicker.
pub fn bump(tx: &mut Tx, id: Uuid, seen: i64, now: Timestamp) -> Result<bool> {
    let n = tx.execute(
        "UPDATE resource_providers SET generation = generation + 1, updated_at = $3 WHERE id = $1 AND generation = $2",
        params![id, seen, now],
    )?;
    tx.note(Topic::Provider, id);
    Ok(n == 1)
}

/// Moves the generation on, whatever it is.
pub fn bump_any(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<()> {
    tx.execute(
        "UPDATE resource_providers SET generation = generation + 1, updated_at = $2 WHERE id = $1",
        params![id, now],
    )?;
    tx.note(Topic::Provider, id);
    Ok(())
}

/// Removes a provider with inventories, traits and aggregates; allocations and children must be gone.
pub fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    tx.note(Topic::Provider, id);
    Ok(tx.execute("DELETE FROM resource_providers WHERE id = $1", params![id])? == 1)
}

/// The aggregates of a provider, sorted.
pub fn aggregates(tx: &mut Tx, id: Uuid) -> Result<Vec<Uuid>> {
    let sql = "SELECT provider, aggregate FROM provider_aggregates WHERE provider = $1 ORDER BY aggregate";
    tx.records("provider_aggregates", sql, params![id], |r| r.get("aggregate"))
}

/// Every (provider, aggregate).
pub fn all_aggregates(tx: &mut Tx) -> Result<Vec<(Uuid, Uuid)>> {
    let sql = "SELECT provider, aggregate FROM provider_aggregates ORDER BY provider, aggregate";
    tx.records("provider_aggregates", sql, &[], |r| Ok((r.get("provider")?, r.get("aggregate")?)))
}

/// Replaces the aggregates of a provider.
pub fn set_aggregates(tx: &mut Tx, id: Uuid, aggregates: &[Uuid]) -> Result<()> {
    tx.execute("DELETE FROM provider_aggregates WHERE provider = $1", params![id])?;
    tx.note(Topic::Provider, id);
    for a in aggregates {
        tx.execute(
            "INSERT INTO provider_aggregates (provider, aggregate) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            params![id, a],
        )?;
    }
    Ok(())
}
