//! Numbers that only grow: ids that an API shows as integers. Numbers of units that failed are given again;
//! numbers of removed things are not.

use crate::{Error, Result, Tx, params};

/// The next number of that name, from 1. Holds the counter until the unit ends.
pub fn next(tx: &mut Tx, name: &str) -> Result<i64> {
    let row = tx.query_one(
        "INSERT INTO counters (name, value) VALUES ($1, 1) ON CONFLICT (name) DO UPDATE SET value = counters.value + 1 \
         RETURNING value",
        params![name],
    )?;
    row.ok_or_else(|| Error::Sql("a counter without a value".into()))?.get("value")
}
