//! Keys that the platform makes for itself at its first start (such as the one that signs metadata requests).
//! Never a user's secret, and never logged: the type does not print.

use crate::{Error, Result, Tx, params};
use driver_api::Timestamp;
use model::Secret;

/// The secret of that name: `fresh` if there was none. Two controllers that start at once get the same.
pub fn get_or_put(tx: &mut Tx, name: &str, fresh: &Secret<Vec<u8>>, now: Timestamp) -> Result<Secret<Vec<u8>>> {
    tx.execute(
        "INSERT INTO secrets (name, value, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        params![name, fresh.reveal(), now],
    )?;
    let row = tx.query_one("SELECT value FROM secrets WHERE name = $1", params![name])?;
    row.ok_or_else(|| Error::not_found("secret", name))?.get("value").map(Secret::new)
}
