//! Subnets and the addresses given out of them.

use super::{Where, bodies};
use crate::{Error, Result, Tx, Value, params};
use model::network::Subnet;
use std::net::IpAddr;
use uuid::Uuid;

/// Adds a subnet.
pub fn insert(tx: &mut Tx, s: &Subnet) -> Result<()> {
    tx.execute(
        "INSERT INTO subnets (id, network_id, project_id, name, revision, created_at, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        params![s.id, s.network_id, &s.project_id, &s.name, s.revision, s.created_at, Value::json(s)?],
    )?;
    Ok(())
}

/// One subnet.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<Option<Subnet>> {
    tx.query_one("SELECT id, body FROM subnets WHERE id = $1", params![id])?.map(|r| r.json("body")).transpose()
}

/// The subnets of networks, by age.
pub fn of_networks(tx: &mut Tx, networks: &[Uuid]) -> Result<Vec<Subnet>> {
    if networks.is_empty() {
        return Ok(Vec::new());
    }
    let mut w = Where::default();
    w.among("network_id", networks);
    let sql = format!("SELECT id, body FROM subnets{} ORDER BY created_at, id", w.sql());
    bodies(tx, "subnets", &sql, &w.params)
}

/// What to look for; an empty list is no condition.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only what this project sees: its own, and those of shared networks.
    pub visible_to: Option<String>,
    /// Ids.
    pub ids: Vec<Uuid>,
    /// Names.
    pub names: Vec<String>,
    /// Networks.
    pub networks: Vec<Uuid>,
}

/// Subnets by age.
pub fn list(tx: &mut Tx, f: &Filter) -> Result<Vec<Subnet>> {
    let mut w = Where::default();
    if let Some(p) = &f.visible_to {
        w.with("(project_id = ? OR network_id IN (SELECT id FROM networks WHERE shared = 1))", p);
    }
    w.among("id", &f.ids);
    w.among("name", &f.names);
    w.among("network_id", &f.networks);
    let sql = format!("SELECT id, body FROM subnets{} ORDER BY created_at, id", w.sql());
    bodies(tx, "subnets", &sql, &w.params)
}

/// Writes a changed subnet whose revision was `s.revision`; the stored one is one higher.
pub fn update(tx: &mut Tx, s: &mut Subnet) -> Result<()> {
    let seen = s.revision;
    s.revision += 1;
    let rows = tx.execute(
        "UPDATE subnets SET name = $3, revision = $4, body = $5 WHERE id = $1 AND revision = $2",
        params![s.id, seen, &s.name, s.revision, Value::json(s)?],
    )?;
    if rows == 1 { Ok(()) } else { Err(Error::Busy) }
}

/// Removes a subnet; its addresses must be free.
pub fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    Ok(tx.execute("DELETE FROM subnets WHERE id = $1", params![id])? == 1)
}

/// Gives an address to a port; false if it is somebody's.
pub fn take_ip(tx: &mut Tx, subnet: Uuid, ip: IpAddr, port: Uuid) -> Result<bool> {
    let rows = tx.execute(
        "INSERT INTO ip_allocations (subnet_id, ip, port_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        params![subnet, ip.to_string(), port],
    )?;
    Ok(rows == 1)
}

/// Takes an address back from a port.
pub fn free_ip(tx: &mut Tx, subnet: Uuid, ip: IpAddr, port: Uuid) -> Result<()> {
    tx.execute(
        "DELETE FROM ip_allocations WHERE subnet_id = $1 AND ip = $2 AND port_id = $3",
        params![subnet, ip.to_string(), port],
    )?;
    Ok(())
}

/// Every address given out of a subnet.
pub fn taken(tx: &mut Tx, subnet: Uuid) -> Result<Vec<IpAddr>> {
    let sql = "SELECT subnet_id, ip FROM ip_allocations WHERE subnet_id = $1";
    tx.records("ip_allocations", sql, params![subnet], |r| r.text("ip")?.parse().map_err(|e| Error::corrupt("column ip", e)))
}

/// Ports (with their owners) that hold an address of a subnet.
pub fn holders(tx: &mut Tx, subnet: Uuid) -> Result<Vec<(Uuid, String)>> {
    tx.records(
        "ports",
        "SELECT p.id AS id, p.device_owner AS device_owner FROM ip_allocations a JOIN ports p ON p.id = a.port_id \
         WHERE a.subnet_id = $1 ORDER BY p.id",
        params![subnet],
        |r| Ok((r.get("id")?, r.get("device_owner")?)),
    )
}

/// Addresses given to ports that are not there: subnet, address, port, as they are stored. For audits.
pub fn adrift(tx: &mut Tx) -> Result<Vec<(String, String, String)>> {
    let sql = "SELECT subnet_id, ip, port_id FROM ip_allocations a \
               WHERE NOT EXISTS (SELECT 1 FROM ports p WHERE p.id = a.port_id) ORDER BY subnet_id, ip";
    tx.records("ip_allocations", sql, &[], |r| Ok((r.get("subnet_id")?, r.get("ip")?, r.get("port_id")?)))
}

/// Gives such an address back; false if the port is there. For repairs.
pub fn drop_adrift(tx: &mut Tx, subnet: &str, ip: &str, port: &str) -> Result<bool> {
    let rows = tx.execute(
        "DELETE FROM ip_allocations WHERE subnet_id = $1 AND ip = $2 AND port_id = $3 \
         AND NOT EXISTS (SELECT 1 FROM ports p WHERE p.id = $3)",
        params![subnet, ip, port],
    )?;
    Ok(rows == 1)
}
