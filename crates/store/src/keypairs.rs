//! Keypairs of users. Never holds a private key.

use crate::damage::{time, word};
use crate::{Error, Result, Row, Tx, params};
use model::keypair::Keypair;

const WHAT: &str = "keypair";
const COLUMNS: &str = "user_id, name, kind, fingerprint, public_key, created_at";

/// Stores a new keypair; conflict if the user has one of that name.
pub fn insert(tx: &mut Tx, key: &Keypair) -> Result<()> {
    tx.execute(
        "INSERT INTO keypairs (user_id, name, kind, fingerprint, public_key, created_at) VALUES ($1, $2, $3, $4, $5, $6)",
        params![&key.user_id, &key.name, &key.kind, &key.fingerprint, &key.public_key, key.created_at],
    )?;
    Ok(())
}

/// The user's keypair of that name.
pub fn get(tx: &mut Tx, user: &str, name: &str) -> Result<Keypair> {
    let sql = format!("SELECT {COLUMNS} FROM keypairs WHERE user_id = $1 AND name = $2");
    read(&tx.query_one(&sql, params![user, name])?.ok_or_else(|| Error::not_found(WHAT, name))?)
}

/// The user's keypairs by name, at most `limit`, those after `marker` (a name, which must exist).
pub fn list(tx: &mut Tx, user: &str, marker: Option<&str>, limit: Option<usize>) -> Result<Vec<Keypair>> {
    if let Some(name) = marker {
        get(tx, user, name).map_err(|e| match e {
            Error::NotFound { id, .. } => Error::NotFound { what: "marker", id },
            other => other,
        })?;
    }
    let sql = format!("SELECT {COLUMNS} FROM keypairs WHERE user_id = $1 AND name > $2 ORDER BY name");
    tx.page("keypairs", &sql, params![user, marker.unwrap_or_default()], limit.unwrap_or(usize::MAX), read)
}

/// How many keypairs the user has.
pub fn count(tx: &mut Tx, user: &str) -> Result<i64> {
    let row = tx.query_one("SELECT COUNT(*) AS n FROM keypairs WHERE user_id = $1", params![user])?;
    row.map_or(Ok(0), |row| row.get("n"))
}

/// Removes the user's keypair; servers keep their copies.
pub fn delete(tx: &mut Tx, user: &str, name: &str) -> Result<()> {
    let rows = tx.execute("DELETE FROM keypairs WHERE user_id = $1 AND name = $2", params![user, name])?;
    if rows == 0 { Err(Error::not_found(WHAT, name)) } else { Ok(()) }
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    read(row)?;
    word(row, &["user_id", "name", "kind", "fingerprint"])?;
    time(row, "created_at")
}

fn read(row: &Row) -> Result<Keypair> {
    Ok(Keypair {
        user_id: row.get("user_id")?,
        name: row.get("name")?,
        kind: row.get("kind")?,
        fingerprint: row.get("fingerprint")?,
        public_key: row.get("public_key")?,
        created_at: row.get("created_at")?,
    })
}
