//! Ports with their memberships.

use super::{Where, bodies};
use crate::{Error, Result, Tx, Value, params};
use model::network::Port;
use std::collections::BTreeMap;
use uuid::Uuid;

/// Adds a port with its security groups; false if its MAC is taken in the network. Addresses are taken apart.
pub fn insert(tx: &mut Tx, p: &Port) -> Result<bool> {
    let rows = tx.execute(
        "INSERT INTO ports (id, network_id, project_id, name, mac, device_id, device_owner, host, revision, \
         created_at, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING",
        params![
            p.id,
            p.network_id,
            &p.project_id,
            &p.name,
            &p.mac,
            &p.device_id,
            &p.device_owner,
            &p.host,
            p.revision,
            p.created_at,
            Value::json(p)?
        ],
    )?;
    if rows == 1 {
        join(tx, p)?;
    }
    Ok(rows == 1)
}

fn join(tx: &mut Tx, p: &Port) -> Result<()> {
    for g in &p.security_groups {
        tx.execute(
            "INSERT INTO port_security_groups (port_id, group_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            params![p.id, g],
        )?;
    }
    Ok(())
}

/// One port.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<Option<Port>> {
    tx.query_one("SELECT id, body FROM ports WHERE id = $1", params![id])?.map(|r| r.json("body")).transpose()
}

/// What to look for; an empty list is no condition.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only what this project sees: its own, and those on its networks.
    pub visible_to: Option<String>,
    /// Ids.
    pub ids: Vec<Uuid>,
    /// Names.
    pub names: Vec<String>,
    /// Networks.
    pub networks: Vec<Uuid>,
    /// Devices.
    pub devices: Vec<String>,
    /// Owners.
    pub projects: Vec<String>,
    /// MAC addresses.
    pub macs: Vec<String>,
}

/// Ports by age.
pub fn list(tx: &mut Tx, f: &Filter) -> Result<Vec<Port>> {
    let mut w = Where::default();
    if let Some(p) = &f.visible_to {
        w.with("(project_id = ? OR network_id IN (SELECT id FROM networks WHERE project_id = ?))", p);
    }
    w.among("id", &f.ids);
    w.among("name", &f.names);
    w.among("network_id", &f.networks);
    w.among("device_id", &f.devices);
    w.among("project_id", &f.projects);
    w.among("mac", &f.macs);
    let sql = format!("SELECT id, body FROM ports{} ORDER BY created_at, id", w.sql());
    bodies(tx, "ports", &sql, &w.params)
}

/// The ports of a server, in the order of its interfaces.
pub fn of_server(tx: &mut Tx, server: Uuid) -> Result<Vec<Port>> {
    let mut all: Vec<Port> = bodies(tx, "ports", "SELECT id, body FROM ports WHERE device_id = $1", params![server])?;
    all.retain(|p| p.server() == Some(server));
    all.sort_by_key(|p| (p.position, p.created_at, p.id));
    Ok(all)
}

/// Ports of a network on other hosts than `host`.
pub fn elsewhere(tx: &mut Tx, network: Uuid, host: &str) -> Result<Vec<Port>> {
    bodies(
        tx,
        "ports",
        "SELECT id, body FROM ports WHERE network_id = $1 AND host IS NOT NULL AND host <> $2 ORDER BY host, id",
        params![network, host],
    )
}

/// Writes a changed port whose revision was `p.revision`; the stored one is one higher.
pub fn update(tx: &mut Tx, p: &mut Port) -> Result<()> {
    let seen = p.revision;
    p.revision += 1;
    let rows = tx.execute(
        "UPDATE ports SET name = $3, mac = $4, device_id = $5, device_owner = $6, host = $7, revision = $8, body = $9 \
         WHERE id = $1 AND revision = $2",
        params![
            p.id,
            seen,
            &p.name,
            &p.mac,
            &p.device_id,
            &p.device_owner,
            &p.host,
            p.revision,
            Value::json(p)?
        ],
    )?;
    if rows == 1 { Ok(()) } else { Err(Error::Busy) }
}

/// Replaces the security groups of a port by those of the record.
pub fn set_groups(tx: &mut Tx, p: &Port) -> Result<()> {
    tx.execute("DELETE FROM port_security_groups WHERE port_id = $1", params![p.id])?;
    join(tx, p)
}

/// Is the MAC some port's in this network?
pub fn mac_taken(tx: &mut Tx, network: Uuid, mac: &str) -> Result<bool> {
    let row = tx.query_one("SELECT id FROM ports WHERE network_id = $1 AND mac = $2", params![network, mac])?;
    Ok(row.is_some())
}

/// Removes a port with its addresses and memberships.
pub fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    tx.execute("DELETE FROM ip_allocations WHERE port_id = $1", params![id])?;
    Ok(tx.execute("DELETE FROM ports WHERE id = $1", params![id])? == 1)
}

/// Ports that are members of any of the groups, with the group: for resolving remote groups.
pub fn members(tx: &mut Tx, groups: &[Uuid]) -> Result<BTreeMap<Uuid, Vec<Port>>> {
    let mut out: BTreeMap<Uuid, Vec<Port>> = BTreeMap::new();
    if groups.is_empty() {
        return Ok(out);
    }
    let mut w = Where::default();
    w.among("m.group_id", groups);
    let sql = format!(
        "SELECT m.group_id AS group_id, p.id AS id, p.body AS body FROM port_security_groups m JOIN ports p ON p.id = m.port_id{} \
         ORDER BY m.group_id, p.id",
        w.sql()
    );
    for (group, port) in tx.records("ports", &sql, &w.params, |row| Ok((row.get("group_id")?, row.json("body")?)))? {
        out.entry(group).or_default().push(port);
    }
    Ok(out)
}

/// Servers with a port in any of the groups.
pub fn servers_in_groups(tx: &mut Tx, groups: &[Uuid]) -> Result<Vec<String>> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT DISTINCT p.device_id AS device_id FROM ports p JOIN port_security_groups m ON m.port_id = p.id \
         WHERE p.device_owner LIKE 'compute:%' AND m.group_id IN ({}) ORDER BY device_id",
        crate::placeholders(1, groups.len())
    );
    let params: Vec<Value> = groups.iter().map(Value::from).collect();
    tx.query(&sql, &params)?.iter().map(|r| r.get("device_id")).collect()
}

/// Groups with a rule that names any of these as remote.
pub fn groups_trusting(tx: &mut Tx, groups: &[Uuid]) -> Result<Vec<Uuid>> {
    if groups.is_empty() {
        return Ok(Vec::new());
    }
    let mut w = Where::default();
    w.among("remote_group_id", groups);
    let sql = format!("SELECT DISTINCT group_id FROM security_group_rules{} ORDER BY group_id", w.sql());
    tx.records("security_group_rules", &sql, &w.params, |r| r.get("group_id"))
}

/// Servers with a port on any of the networks.
pub fn servers_on_networks(tx: &mut Tx, networks: &[Uuid]) -> Result<Vec<String>> {
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let mut w = Where::default();
    w.among("network_id", networks);
    let sql = format!(
        "SELECT DISTINCT device_id FROM ports{} AND device_owner LIKE 'compute:%' ORDER BY device_id",
        w.sql()
    );
    tx.query(&sql, &w.params)?.iter().map(|r| r.get("device_id")).collect()
}

/// The networks that have ports on a host.
pub fn networks_of_host(tx: &mut Tx, host: &str) -> Result<Vec<Uuid>> {
    let sql = "SELECT DISTINCT network_id FROM ports WHERE host = $1 ORDER BY network_id";
    tx.records("ports", sql, params![host], |r| r.get("network_id"))
}
