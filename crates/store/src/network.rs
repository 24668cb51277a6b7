//! The network service's rows.
//!
//! A record is stored whole in `body`; the columns beside it are written from the same value by the same function,
//! and are what is searched, unique or guarded. Changes are compare-and-set on the revision. Which addresses are
//! fit to be given out is the service's rule; that none is given out twice is decided here.

pub mod groups;
pub mod networks;
pub mod ports;
pub mod subnets;

use crate::damage::{same, time, word};
use crate::{Result, Row, Tx, Value, placeholders};
use driver_api::Timestamp;
use model::network::{Network, Port, SecurityGroup, SecurityGroupRule, Subnet};
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The records of a query that answers `id` and `body`; one that is damaged is left out.
fn bodies<T: DeserializeOwned>(tx: &mut Tx, table: &'static str, sql: &str, params: &[Value]) -> Result<Vec<T>> {
    tx.records(table, sql, params, |r| r.json("body"))
}

fn common(row: &Row, id: Uuid, project: &str, created_at: Timestamp) -> Result<()> {
    same(row, "id", id)?;
    same(row, "project_id", project)?;
    same(row, "created_at", created_at)?;
    word(row, &["project_id"])?;
    time(row, "created_at")
}

/// For [`crate::damage`].
pub(crate) fn check_network(row: &Row) -> Result<()> {
    let n: Network = row.json("body")?;
    common(row, n.id, &n.project_id, n.created_at)?;
    same(row, "name", &n.name)?;
    same(row, "shared", n.shared)?;
    same(row, "external", n.external)?;
    same(row, "revision", n.revision)
}

/// For [`crate::damage`].
pub(crate) fn check_subnet(row: &Row) -> Result<()> {
    let s: Subnet = row.json("body")?;
    common(row, s.id, &s.project_id, s.created_at)?;
    same(row, "network_id", s.network_id)?;
    same(row, "name", &s.name)?;
    same(row, "revision", s.revision)
}

/// For [`crate::damage`].
pub(crate) fn check_port(row: &Row) -> Result<()> {
    let p: Port = row.json("body")?;
    common(row, p.id, &p.project_id, p.created_at)?;
    same(row, "network_id", p.network_id)?;
    same(row, "name", &p.name)?;
    same(row, "mac", &p.mac)?;
    same(row, "device_id", &p.device_id)?;
    same(row, "device_owner", &p.device_owner)?;
    same(row, "host", &p.host)?;
    same(row, "revision", p.revision)
}

/// For [`crate::damage`].
pub(crate) fn check_group(row: &Row) -> Result<()> {
    let g: SecurityGroup = row.json("body")?;
    common(row, g.id, &g.project_id, g.created_at)?;
    same(row, "name", &g.name)?;
    same(row, "default_of", g.is_default.then_some(&g.project_id))?;
    same(row, "revision", g.revision)
}

/// For [`crate::damage`].
pub(crate) fn check_rule(row: &Row) -> Result<()> {
    let r: SecurityGroupRule = row.json("body")?;
    common(row, r.id, &r.project_id, r.created_at)?;
    same(row, "group_id", r.security_group_id)?;
    same(row, "remote_group_id", r.remote_group_id)?;
    same(row, "mark", r.mark())
}

/// For [`crate::damage`].
pub(crate) fn check_address(row: &Row) -> Result<()> {
    crate::damage::uuid(row, "subnet_id")?;
    crate::damage::uuid(row, "port_id")?;
    crate::damage::address(row, "ip")
}

/// A WHERE clause that grows: each condition numbers its own parameters.
#[derive(Default)]
struct Where {
    text: Vec<String>,
    params: Vec<Value>,
}

impl Where {
    /// `column` is one of `values`; no values means no condition.
    fn among<V: Into<Value> + Clone>(&mut self, column: &str, values: &[V]) {
        if values.is_empty() {
            return;
        }
        let list = placeholders(self.params.len() + 1, values.len());
        self.text.push(format!("{column} IN ({list})"));
        self.params.extend(values.iter().cloned().map(Into::into));
    }
    /// A condition with one parameter, written `?`.
    fn with(&mut self, condition: &str, value: impl Into<Value>) {
        self.params.push(value.into());
        self.text.push(condition.replace('?', &format!("${}", self.params.len())));
    }
    fn sql(&self) -> String {
        if self.text.is_empty() { String::new() } else { format!(" WHERE {}", self.text.join(" AND ")) }
    }
}

/// Projects that have limits of their own on any of these resources.
pub fn projects_with_limits(tx: &mut Tx, resources: &[String]) -> Result<Vec<String>> {
    let mut w = Where::default();
    w.among("resource", resources);
    let sql = format!(
        "SELECT DISTINCT project_id FROM quotas{} AND hard_limit IS NOT NULL ORDER BY project_id",
        w.sql()
    );
    tx.query(&sql, &w.params)?.iter().map(|r| r.get("project_id")).collect()
}
