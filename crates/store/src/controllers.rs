//! Controllers that share a database: who lives, by a beat that each keeps up. Never decides that one is lost: a reader
//! holds the beat against its own clock, so no two clocks are compared.

use crate::changes::Topic;
use crate::{Result, Row, Tx, params};
use driver_api::Timestamp;

/// A controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controller {
    /// Its name, which stays.
    pub name: String,
    /// The life that has the name now: owner of its flows.
    pub owner: String,
    /// Grows while it lives.
    pub beat: i64,
    /// It left in order.
    pub ended: bool,
}

/// A life takes the name; an earlier one that still has it loses it.
pub fn enter(tx: &mut Tx, name: &str, owner: &str, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO controllers (name, owner, beat, ended, created_at) VALUES ($1, $2, 1, 0, $3) \
         ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, beat = controllers.beat + 1, ended = 0, \
         created_at = excluded.created_at",
        params![name, owner, now],
    )?;
    tx.note(Topic::Controller, name);
    Ok(())
}

/// Keeps the beat up; false if another life has the name.
pub fn beat(tx: &mut Tx, name: &str, owner: &str) -> Result<bool> {
    let rows = tx.execute("UPDATE controllers SET beat = beat + 1 WHERE name = $1 AND owner = $2", params![name, owner])?;
    Ok(rows == 1)
}

/// Leaves in order.
pub fn leave(tx: &mut Tx, name: &str, owner: &str) -> Result<()> {
    let rows = tx.execute("UPDATE controllers SET ended = 1 WHERE name = $1 AND owner = $2", params![name, owner])?;
    if rows == 1 {
        tx.note(Topic::Controller, name);
    }
    Ok(())
}

/// All of them, by name.
pub fn list(tx: &mut Tx) -> Result<Vec<Controller>> {
    tx.query("SELECT name, owner, beat, ended FROM controllers ORDER BY name", &[])?.iter().map(read).collect()
}

pub(crate) fn read(row: &Row) -> Result<Controller> {
    Ok(Controller { name: row.get("name")?, owner: row.get("owner")?, beat: row.get("beat")?, ended: row.get("ended")? })
}
