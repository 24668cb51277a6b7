//! Inventories. `used` moves only by [`take`] and [`give`].

use crate::changes::Topic;
use crate::{Result, Row, Tx, params};
use model::placement::Inventory;
use uuid::Uuid;

const COLUMNS: &str = "class, total, reserved, min_unit, max_unit, step_size, allocation_ratio, used";

fn read(row: &Row) -> Result<Inventory> {
    Ok(Inventory {
        class: row.get("class")?,
        total: row.get("total")?,
        reserved: row.get("reserved")?,
        min_unit: row.get("min_unit")?,
        max_unit: row.get("max_unit")?,
        step_size: row.get("step_size")?,
        allocation_ratio: row.get("allocation_ratio")?,
        used: row.get("used")?,
    })
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    let i = read(row)?;
    crate::damage::uuid(row, "provider")?;
    crate::damage::word(row, &["class"])?;
    crate::damage::whole(row, &["total", "reserved", "used"])?;
    if !(i.allocation_ratio.is_finite() && i.allocation_ratio > 0.0) {
        return Err(crate::Error::corrupt("column allocation_ratio", "no ratio"));
    }
    if i.min_unit < 1 || i.max_unit < 1 || i.step_size < 1 {
        return Err(crate::Error::corrupt("columns min_unit, max_unit, step_size", "not above 0"));
    }
    crate::damage::same(row, "capacity", i.capacity())
}

/// Inventories of a provider, by class.
pub fn of(tx: &mut Tx, provider: Uuid) -> Result<Vec<Inventory>> {
    let sql = format!("SELECT provider, {COLUMNS} FROM inventories WHERE provider = $1 ORDER BY class");
    tx.records("inventories", &sql, params![provider], read)
}

/// Every inventory with its provider.
pub fn all(tx: &mut Tx) -> Result<Vec<(Uuid, Inventory)>> {
    let sql = format!("SELECT provider, {COLUMNS} FROM inventories ORDER BY provider, class");
    tx.records("inventories", &sql, &[], |r| Ok((r.get("provider")?, read(r)?)))
}

/// Adds or changes one inventory; what is used of it stays.
pub fn put(tx: &mut Tx, provider: Uuid, i: &Inventory) -> Result<()> {
    tx.execute(
        "INSERT INTO inventories (provider, class, total, reserved, min_unit, max_unit, step_size, allocation_ratio, \
         capacity, used) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0) ON CONFLICT (provider, class) DO UPDATE SET \
         total = excluded.total, reserved = excluded.reserved, min_unit = excluded.min_unit, \
         max_unit = excluded.max_unit, step_size = excluded.step_size, \
         allocation_ratio = excluded.allocation_ratio, capacity = excluded.capacity",
        params![
            provider,
            &i.class,
            i.total,
            i.reserved,
            i.min_unit,
            i.max_unit,
            i.step_size,
            i.allocation_ratio,
            i.capacity()
        ],
    )?;
    tx.note(Topic::Provider, provider);
    Ok(())
}

/// Removes an inventory of which nothing is used; false if it is not there or in use.
pub fn remove_unused(tx: &mut Tx, provider: Uuid, class: &str) -> Result<bool> {
    let n = tx.execute(
        "DELETE FROM inventories WHERE provider = $1 AND class = $2 AND used = 0",
        params![provider, class],
    )?;
    tx.note(Topic::Provider, provider);
    Ok(n == 1)
}

/// Takes `amount`, if so much is free; false changes nothing.
pub fn take(tx: &mut Tx, provider: Uuid, class: &str, amount: i64) -> Result<bool> {
    let n = tx.execute(
        "UPDATE inventories SET used = used + $3 WHERE provider = $1 AND class = $2 AND used + $3 <= capacity",
        params![provider, class, amount],
    )?;
    if n == 1 {
        tx.note(Topic::Provider, provider);
    }
    Ok(n == 1)
}

/// Gives `amount` back. Never below nothing: a count that was damaged stops no release, and the audit finds it.
pub fn give(tx: &mut Tx, provider: Uuid, class: &str, amount: i64) -> Result<()> {
    tx.execute(
        "UPDATE inventories SET used = CASE WHEN used > $3 THEN used - $3 ELSE 0 END WHERE provider = $1 AND class = $2",
        params![provider, class, amount],
    )?;
    tx.note(Topic::Provider, provider);
    Ok(())
}

/// Is any inventory of this class anywhere?
pub fn class_in_use(tx: &mut Tx, class: &str) -> Result<bool> {
    Ok(!tx.query("SELECT provider FROM inventories WHERE class = $1 LIMIT 1", params![class])?.is_empty())
}

/// Makes what is counted as used what is allocated; the new count, if it was another. For repairs.
pub fn recount(tx: &mut Tx, provider: Uuid, class: &str) -> Result<Option<i64>> {
    let row = tx.query_one(
        "UPDATE inventories SET used = (SELECT CAST(COALESCE(SUM(a.used), 0) AS BIGINT) FROM allocations a \
         WHERE a.provider = $1 AND a.class = $2) WHERE provider = $1 AND class = $2 \
         AND used <> (SELECT CAST(COALESCE(SUM(a.used), 0) AS BIGINT) FROM allocations a \
         WHERE a.provider = $1 AND a.class = $2) RETURNING used",
        params![provider, class],
    )?;
    tx.note(Topic::Provider, provider);
    row.map(|r| r.get("used")).transpose()
}
