//! Server groups and where their members are.
//!
//! The guard of a policy is the group's row: whoever gives a member a host holds it ([`lock`]) and sets the host by an
//! update that counts the others on it ([`place`]), so two units cannot both take the last room on a host. Giving up a
//! host or a member needs no lock: it only makes room. Decides nothing about what a policy means.

use crate::{Error, FromValue, Result, Row, Tx, Value, params};
use driver_api::Timestamp;
use model::server_group::{Policy, ServerGroup};
use std::collections::BTreeMap;
use uuid::Uuid;

const WHAT: &str = "server group";
const COLUMNS: &str = "id, project_id, user_id, name, policy, max_per_host, created_at";

/// Stores a new group.
pub fn insert(tx: &mut Tx, group: &ServerGroup) -> Result<()> {
    tx.execute(
        "INSERT INTO server_groups (id, project_id, user_id, name, policy, max_per_host, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        params![
            group.id,
            &group.project_id,
            &group.user_id,
            &group.name,
            group.policy,
            group.max_per_host,
            group.created_at
        ],
    )?;
    Ok(())
}

/// A group.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<ServerGroup> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} FROM server_groups WHERE id = $1"), params![id])?;
    read(&row.ok_or_else(|| Error::not_found(WHAT, id))?)
}

/// A group, held until the unit ends: nobody else gives a member of it a host meanwhile, and it is not removed.
pub fn lock(tx: &mut Tx, id: Uuid) -> Result<ServerGroup> {
    let sql = format!("SELECT {COLUMNS} FROM server_groups WHERE id = $1{}", tx.for_update());
    read(&tx.query_one(&sql, params![id])?.ok_or_else(|| Error::not_found(WHAT, id))?)
}

/// Groups, oldest first: of one project, or all.
pub fn list(tx: &mut Tx, project: Option<&str>) -> Result<Vec<ServerGroup>> {
    let rows = match project {
        Some(p) => {
            let sql = format!("SELECT {COLUMNS} FROM server_groups WHERE project_id = $1 ORDER BY created_at, id");
            tx.query(&sql, params![p])?
        }
        None => tx.query(&format!("SELECT {COLUMNS} FROM server_groups ORDER BY created_at, id"), &[])?,
    };
    tx.readable("server_groups", &rows, read)
}

/// Removes a group; its servers stay and belong to none.
pub fn delete(tx: &mut Tx, id: Uuid) -> Result<()> {
    let rows = tx.execute("DELETE FROM server_groups WHERE id = $1", params![id])?;
    if rows == 0 { Err(Error::not_found(WHAT, id)) } else { Ok(()) }
}

/// A member and the host of its claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The server.
    pub server: Uuid,
    /// Its group.
    pub group: Uuid,
    /// Where it has a claim.
    pub host: Option<String>,
}

fn member(row: &Row) -> Result<Member> {
    Ok(Member { server: row.get("server_id")?, group: row.get("group_id")?, host: row.get("host")? })
}

/// Members of a group, oldest first.
pub fn members(tx: &mut Tx, group: Uuid) -> Result<Vec<Member>> {
    let sql = "SELECT server_id, group_id, host FROM server_group_members WHERE group_id = $1 ORDER BY created_at, server_id";
    tx.records("server_group_members", sql, params![group], member)
}

/// Every member of every group, oldest first.
pub fn all_members(tx: &mut Tx) -> Result<Vec<Member>> {
    let sql = "SELECT server_id, group_id, host FROM server_group_members ORDER BY created_at, server_id";
    tx.records("server_group_members", sql, &[], member)
}

/// How many members a group has.
pub fn count(tx: &mut Tx, group: Uuid) -> Result<i64> {
    let row = tx.query_one("SELECT COUNT(*) AS n FROM server_group_members WHERE group_id = $1", params![group])?;
    row.map_or(Ok(0), |row| row.get("n"))
}

/// The group of a server.
pub fn of_server(tx: &mut Tx, server: Uuid) -> Result<Option<Uuid>> {
    let row = tx.query_one("SELECT group_id FROM server_group_members WHERE server_id = $1", params![server])?;
    row.map(|r| r.get("group_id")).transpose()
}

/// How many members of a group have their claim on each host.
pub fn hosts(tx: &mut Tx, group: Uuid) -> Result<BTreeMap<String, i64>> {
    let sql = "SELECT host, COUNT(*) AS n FROM server_group_members WHERE group_id = $1 AND host IS NOT NULL GROUP BY host";
    tx.query(sql, params![group])?.iter().map(|r| Ok((r.get("host")?, r.get("n")?))).collect()
}

/// Makes a server a member, without a host yet. The caller holds the group.
pub fn join(tx: &mut Tx, group: Uuid, server: Uuid, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO server_group_members (server_id, group_id, host, created_at) VALUES ($1, $2, NULL, $3)",
        params![server, group, now],
    )?;
    Ok(())
}

/// Gives a member a host if the policy admits it beside the others; false changes nothing. The caller holds the group.
pub fn place(tx: &mut Tx, group: &ServerGroup, server: Uuid, host: &str) -> Result<bool> {
    const SET: &str = "UPDATE server_group_members SET host = $3 WHERE server_id = $2 AND group_id = $1";
    let (id, max) = (group.id, group.max_per_host.unwrap_or(1));
    let rows = match group.policy {
        Policy::AntiAffinity => tx.execute(
            &format!(
                "{SET} AND (SELECT COUNT(*) FROM server_group_members o WHERE o.group_id = $1 AND o.host = $3 \
                 AND o.server_id <> $2) < $4"
            ),
            params![id, server, host, max],
        )?,
        Policy::Affinity => tx.execute(
            &format!(
                "{SET} AND NOT EXISTS (SELECT 1 FROM server_group_members o WHERE o.group_id = $1 AND o.host <> $3 \
                 AND o.server_id <> $2)"
            ),
            params![id, server, host],
        )?,
        Policy::SoftAffinity | Policy::SoftAntiAffinity => tx.execute(SET, params![id, server, host])?,
    };
    Ok(rows == 1)
}

/// A member gives its host up and stays a member.
pub fn unplace(tx: &mut Tx, server: Uuid) -> Result<()> {
    tx.execute("UPDATE server_group_members SET host = NULL WHERE server_id = $1", params![server])?;
    Ok(())
}

/// A server is no member any more; whether it was one.
pub fn leave(tx: &mut Tx, server: Uuid) -> Result<bool> {
    Ok(tx.execute("DELETE FROM server_group_members WHERE server_id = $1", params![server])? == 1)
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    if read(row)?.max_per_host.is_some_and(|n| n < 1) {
        return Err(Error::corrupt("column max_per_host", "not above 0"));
    }
    crate::damage::word(row, &["project_id", "user_id", "name"])?;
    crate::damage::time(row, "created_at")
}

/// For [`crate::damage`].
pub(crate) fn check_member(row: &Row) -> Result<()> {
    member(row)?;
    crate::damage::time(row, "created_at")
}

fn read(row: &Row) -> Result<ServerGroup> {
    Ok(ServerGroup {
        id: row.get("id")?,
        project_id: row.get("project_id")?,
        user_id: row.get("user_id")?,
        name: row.get("name")?,
        policy: row.get("policy")?,
        max_per_host: row.get("max_per_host")?,
        created_at: row.get("created_at")?,
    })
}

impl From<Policy> for Value {
    fn from(policy: Policy) -> Value {
        Value::Text(policy.as_str().to_owned())
    }
}
impl FromValue for Policy {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        Policy::parse(&String::from_value(value)?).ok_or("a policy of a server group")
    }
}
