//! Networks, their segments, and the hosts' tunnel endpoints.

use super::{Where, bodies};
use crate::{Error, Result, Tx, Value, params};
use model::network::{Network, Segment};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Adds a network with its segment; false if the segment is another network's.
pub fn insert(tx: &mut Tx, n: &Network) -> Result<bool> {
    tx.execute(
        "INSERT INTO networks (id, project_id, name, shared, external, revision, created_at, body) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![n.id, &n.project_id, &n.name, n.shared, n.external, n.revision, n.created_at, Value::json(n)?],
    )?;
    let rows = tx.execute(
        "INSERT INTO network_segments (kind, tag, network_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        params![n.segment.kind(), n.segment.key(), n.id],
    )?;
    if rows == 0 {
        tx.execute("DELETE FROM networks WHERE id = $1", params![n.id])?;
    }
    Ok(rows == 1)
}

/// Is the segment some network's?
pub fn segment_taken(tx: &mut Tx, segment: &Segment) -> Result<bool> {
    let row = tx.query_one(
        "SELECT network_id FROM network_segments WHERE kind = $1 AND tag = $2",
        params![segment.kind(), segment.key()],
    )?;
    Ok(row.is_some())
}

/// One network.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<Option<Network>> {
    tx.query_one("SELECT id, body FROM networks WHERE id = $1", params![id])?.map(|r| r.json("body")).transpose()
}

/// What to look for; an empty list is no condition.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only what this project sees: its own, shared and external ones.
    pub visible_to: Option<String>,
    /// Ids.
    pub ids: Vec<Uuid>,
    /// Names.
    pub names: Vec<String>,
    /// Owners.
    pub projects: Vec<String>,
}

/// Networks by age.
pub fn list(tx: &mut Tx, f: &Filter) -> Result<Vec<Network>> {
    let mut w = Where::default();
    if let Some(p) = &f.visible_to {
        w.with("(project_id = ? OR shared = 1 OR external = 1)", p);
    }
    w.among("id", &f.ids);
    w.among("name", &f.names);
    w.among("project_id", &f.projects);
    let sql = format!("SELECT id, body FROM networks{} ORDER BY created_at, id", w.sql());
    bodies(tx, "networks", &sql, &w.params)
}

/// Networks on which a project may put ports without saying which: its own and the shared ones, none external.
pub fn usable(tx: &mut Tx, project: &str) -> Result<Vec<Network>> {
    let sql = "SELECT id, body FROM networks WHERE (project_id = $1 OR shared = 1) AND external = 0 ORDER BY created_at, id";
    bodies(tx, "networks", sql, params![project])
}

/// Writes a changed network whose revision was `n.revision`; the stored one is one higher.
pub fn update(tx: &mut Tx, n: &mut Network) -> Result<()> {
    let seen = n.revision;
    n.revision += 1;
    let rows = tx.execute(
        "UPDATE networks SET name = $3, shared = $4, external = $5, revision = $6, body = $7 \
         WHERE id = $1 AND revision = $2",
        params![n.id, seen, &n.name, n.shared, n.external, n.revision, Value::json(n)?],
    )?;
    if rows == 1 { Ok(()) } else { Err(Error::Busy) }
}

/// Removes a network; subnets and ports must be gone.
pub fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    Ok(tx.execute("DELETE FROM networks WHERE id = $1", params![id])? == 1)
}

/// Notes a host's tunnel endpoint; true if it is news.
pub fn set_vtep(tx: &mut Tx, host: &str, vtep: &str) -> Result<bool> {
    let rows = tx.execute(
        "INSERT INTO host_vteps (host, vtep) VALUES ($1, $2) ON CONFLICT (host) DO UPDATE SET vtep = excluded.vtep \
         WHERE host_vteps.vtep <> excluded.vtep",
        params![host, vtep],
    )?;
    Ok(rows == 1)
}

/// The tunnel endpoints, by host.
pub fn vteps(tx: &mut Tx) -> Result<BTreeMap<String, String>> {
    tx.query("SELECT host, vtep FROM host_vteps ORDER BY host", &[])?
        .iter()
        .map(|r| Ok((r.get("host")?, r.get("vtep")?)))
        .collect()
}
