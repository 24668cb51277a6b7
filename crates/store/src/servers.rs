//! Servers: rows that are never lost to a race. Whoever changes one holds its row for the rest of the unit
//! and says which flow it expects to own it; deleted rows stay until they are purged, because listings of
//! changes and instance actions still show them. Never decides what may happen: that is `model::ACTIONS`.

mod action;
mod list;

pub use action::{Begun, Refused, begin_action, finish_action, finish_held, mark_deleted};
pub use list::{Deleted, Filter, Page, SortKey, list};

use crate::damage::{same, time, whole, word};
use crate::{Error, FromValue, Result, Row, Tx, Value, params};
use driver_api::{PowerState, Timestamp};
use model::Action;
use model::server::{LockedBy, Server, ServerBody, VmState};
use uuid::Uuid;

const WHAT: &str = "server";

/// The columns of a record; the others are copies for filters.
const COLUMNS: &str = "id, project_id, user_id, name, vm_state, power_state, action, flow_id, host, node, zone, \
    generation, created_at, updated_at, launched_at, deleted_at, locked_by, body";

/// Stores a new server.
pub fn insert(tx: &mut Tx, server: &Server) -> Result<()> {
    let body = &server.body;
    tx.execute(
        "INSERT INTO servers (id, project_id, user_id, name, vm_state, power_state, action, flow_id, host, node, zone, \
         generation, created_at, updated_at, launched_at, deleted_at, locked_by, flavor_id, image_id, key_name, vcpus, \
         memory_mib, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)",
        params![
            server.id,
            &server.project_id,
            &server.user_id,
            &server.name,
            server.vm_state,
            server.power_state,
            server.action,
            server.flow_id,
            &server.host,
            &server.node,
            &server.zone,
            server.generation,
            server.created_at,
            server.updated_at,
            server.launched_at,
            server.deleted_at,
            server.locked_by,
            &body.flavor.id,
            body.image,
            body.key.as_ref().map(|(name, _)| name),
            body.flavor.vcpus,
            body.flavor.memory_mib,
            Value::json(body)?,
        ],
    )?;
    Ok(())
}

/// A server that lives.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<Server> {
    find(tx, id)?.filter(|server| !server.is_deleted()).ok_or_else(|| Error::not_found(WHAT, id))
}

/// A server that lives and belongs to `project`; a foreign one is as absent as one that never was.
pub fn get_owned(tx: &mut Tx, id: Uuid, project: &str) -> Result<Server> {
    find(tx, id)?
        .filter(|server| !server.is_deleted() && server.project_id == project)
        .ok_or_else(|| Error::not_found(WHAT, id))
}

/// The server, gone ones included.
pub fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Server>> {
    let sql = format!("SELECT {COLUMNS} FROM servers WHERE id = $1");
    tx.query_one(&sql, params![id])?.as_ref().map(read).transpose()
}

/// A server that lives, held until the unit ends: nobody else changes it meanwhile.
pub fn lock(tx: &mut Tx, id: Uuid) -> Result<Server> {
    let sql = format!("SELECT {COLUMNS} FROM servers WHERE id = $1 AND deleted_at IS NULL{}", tx.for_update());
    let row = tx.query_one(&sql, params![id])?;
    read(&row.ok_or_else(|| Error::not_found(WHAT, id))?)
}

/// Writes the whole record if `flow` still owns the server (`None`: if none does); conflict otherwise.
/// A record that was read without [`lock`] may overwrite what others changed since: see [`change`].
pub fn update(tx: &mut Tx, server: &Server, flow: Option<Uuid>) -> Result<()> {
    let body = &server.body;
    let rows = tx.execute(
        "UPDATE servers SET name = $3, vm_state = $4, power_state = $5, action = $6, flow_id = $7, host = $8, node = $9, \
         zone = $10, generation = $11, updated_at = $12, launched_at = $13, deleted_at = $14, locked_by = $15, \
         flavor_id = $16, image_id = $17, key_name = $18, vcpus = $19, memory_mib = $20, body = $21, project_id = $22, \
         user_id = $23 \
         WHERE id = $1 AND deleted_at IS NULL AND flow_id IS NOT DISTINCT FROM $2",
        params![
            server.id,
            flow,
            &server.name,
            server.vm_state,
            server.power_state,
            server.action,
            server.flow_id,
            &server.host,
            &server.node,
            &server.zone,
            server.generation,
            server.updated_at,
            server.launched_at,
            server.deleted_at,
            server.locked_by,
            &body.flavor.id,
            body.image,
            body.key.as_ref().map(|(name, _)| name),
            body.flavor.vcpus,
            body.flavor.memory_mib,
            Value::json(body)?,
            &server.project_id,
            &server.user_id,
        ],
    )?;
    if rows == 0 { Err(why_not(tx, server.id)?) } else { Ok(()) }
}

/// Reads, changes and writes a server in one piece, whoever owns it: for what is no action (names,
/// metadata, tags, lock, observed power). The closure leaves the states and the flow alone.
pub fn change(
    tx: &mut Tx,
    id: Uuid,
    now: Timestamp,
    edit: impl FnOnce(&mut Server) -> Result<()>,
) -> Result<Server> {
    let mut server = lock(tx, id)?;
    let flow = server.flow_id;
    edit(&mut server)?;
    server.updated_at = now;
    update(tx, &server, flow)?;
    Ok(server)
}

/// Whether the server is gone or has another owner.
fn why_not(tx: &mut Tx, id: Uuid) -> Result<Error> {
    Ok(match find(tx, id)? {
        Some(server) if !server.is_deleted() => Error::Conflict(format!("server {id} is owned by another flow")),
        _ => Error::not_found(WHAT, id),
    })
}

/// Living servers in an action, with the flow that owns them.
pub fn in_action(tx: &mut Tx) -> Result<Vec<(Uuid, Uuid)>> {
    let sql = "SELECT id, flow_id FROM servers WHERE deleted_at IS NULL AND flow_id IS NOT NULL ORDER BY id";
    tx.records("servers", sql, &[], |row| Ok((row.get("id")?, row.get("flow_id")?)))
}

/// What the live servers of a project are and take: what its quota must show as used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Servers.
    pub instances: i64,
    /// Virtual CPUs.
    pub cores: i64,
    /// Memory, MiB.
    pub memory_mib: i64,
}

/// Counts the live servers of `project`.
pub fn totals(tx: &mut Tx, project: &str) -> Result<Totals> {
    let row = tx.query_one(
        "SELECT COUNT(*) AS instances, COALESCE(SUM(vcpus), 0) AS cores, COALESCE(SUM(memory_mib), 0) AS memory \
         FROM servers WHERE project_id = $1 AND deleted_at IS NULL",
        params![project],
    )?;
    let row = row.ok_or_else(|| Error::Sql("an aggregate without a row".into()))?;
    Ok(Totals { instances: row.get("instances")?, cores: row.get("cores")?, memory_mib: row.get("memory")? })
}

/// How many servers of `project` live.
pub fn count(tx: &mut Tx, project: &str) -> Result<i64> {
    Ok(totals(tx, project)?.instances)
}

/// Forgets at most `limit` servers that went before `before`, with their flows; how many.
pub fn purge(tx: &mut Tx, before: Timestamp, limit: u32) -> Result<u64> {
    let gone = tx.query(
        "SELECT id FROM servers WHERE deleted_at IS NOT NULL AND deleted_at < $1 ORDER BY deleted_at, id LIMIT $2",
        params![before, limit],
    )?;
    let mut purged = 0;
    for id in tx.readable("servers", &gone, |row| row.get::<Uuid>("id"))? {
        tx.execute("DELETE FROM flows WHERE server_id = $1", params![id])?;
        purged += tx.execute("DELETE FROM servers WHERE id = $1", params![id])?;
    }
    Ok(purged)
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    let server = read(row)?;
    let body = &server.body;
    word(row, &["project_id", "user_id", "name"])?;
    for column in ["created_at", "updated_at", "launched_at", "deleted_at"] {
        time(row, column)?;
    }
    whole(row, &["generation"])?;
    same(row, "flavor_id", &body.flavor.id)?;
    same(row, "image_id", body.image)?;
    same(row, "key_name", body.key.as_ref().map(|(name, _)| name))?;
    same(row, "vcpus", body.flavor.vcpus)?;
    same(row, "memory_mib", body.flavor.memory_mib)?;
    if server.action.is_some() != server.flow_id.is_some() {
        return Err(Error::corrupt("columns action, flow_id", "one without the other"));
    }
    if server.is_deleted() != (server.vm_state == VmState::Deleted) {
        return Err(Error::corrupt("columns vm_state, deleted_at", "one without the other"));
    }
    if server.host.is_some() != server.node.is_some() {
        return Err(Error::corrupt("columns host, node", "one without the other"));
    }
    Ok(())
}

fn read(row: &Row) -> Result<Server> {
    Ok(Server {
        id: row.get("id")?,
        project_id: row.get("project_id")?,
        user_id: row.get("user_id")?,
        name: row.get("name")?,
        vm_state: row.get("vm_state")?,
        power_state: row.get("power_state")?,
        action: row.get("action")?,
        flow_id: row.get("flow_id")?,
        host: row.get("host")?,
        node: row.get("node")?,
        zone: row.get("zone")?,
        generation: row.get("generation")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        launched_at: row.get("launched_at")?,
        deleted_at: row.get("deleted_at")?,
        locked_by: row.get("locked_by")?,
        body: row.json::<ServerBody>("body")?,
    })
}

impl From<VmState> for Value {
    fn from(state: VmState) -> Value {
        Value::Text(state.as_str().to_owned())
    }
}
impl FromValue for VmState {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        VmState::parse(&String::from_value(value)?).ok_or("a state of a server")
    }
}
impl From<Action> for Value {
    fn from(action: Action) -> Value {
        Value::Text(action.as_str().to_owned())
    }
}
impl FromValue for Action {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        Action::parse(&String::from_value(value)?).ok_or("an action")
    }
}
impl From<PowerState> for Value {
    fn from(state: PowerState) -> Value {
        Value::Int(state.code())
    }
}
impl FromValue for PowerState {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        i64::from_value(value).map(PowerState::from_code)
    }
}
impl From<LockedBy> for Value {
    fn from(by: LockedBy) -> Value {
        Value::from(match by {
            LockedBy::Owner => "owner",
            LockedBy::Admin => "admin",
        })
    }
}
impl FromValue for LockedBy {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        match value {
            Value::Text(by) if by == "owner" => Ok(LockedBy::Owner),
            Value::Text(by) if by == "admin" => Ok(LockedBy::Admin),
            _ => Err("who locked it"),
        }
    }
}
