//! Names of custom traits and custom resource classes.

use crate::{Result, Row, Tx, params};
use driver_api::Timestamp;

/// Which list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Traits.
    Traits,
    /// Resource classes.
    Classes,
}

impl Names {
    fn table(self) -> &'static str {
        match self {
            Names::Traits => "custom_traits",
            Names::Classes => "custom_classes",
        }
    }
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    if !row.text("name")?.starts_with("CUSTOM_") {
        return Err(crate::Error::corrupt("column name", "no custom name"));
    }
    crate::damage::time(row, "created_at")
}

/// Every name.
pub fn all(tx: &mut Tx, names: Names) -> Result<Vec<String>> {
    let sql = format!("SELECT name FROM {} ORDER BY name", names.table());
    tx.records(names.table(), &sql, &[], |r| r.get("name"))
}

/// Is it known?
pub fn exists(tx: &mut Tx, names: Names, name: &str) -> Result<bool> {
    let sql = format!("SELECT name FROM {} WHERE name = $1", names.table());
    Ok(tx.query_one(&sql, params![name])?.is_some())
}

/// Adds one; false if it was there.
pub fn add(tx: &mut Tx, names: Names, name: &str, now: Timestamp) -> Result<bool> {
    let sql = format!("INSERT INTO {} (name, created_at) VALUES ($1, $2) ON CONFLICT DO NOTHING", names.table());
    Ok(tx.execute(&sql, params![name, now])? == 1)
}

/// Removes one; false if it was not there.
pub fn remove(tx: &mut Tx, names: Names, name: &str) -> Result<bool> {
    let sql = format!("DELETE FROM {} WHERE name = $1", names.table());
    Ok(tx.execute(&sql, params![name])? == 1)
}
