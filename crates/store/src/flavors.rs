//! Flavors: few, read whole. Never judges who may see one: `Flavor::usable_by` does.

use crate::damage::{time, whole, word};
use crate::{Error, Result, Row, Tx, Value, params};
use model::flavor::Flavor;

const WHAT: &str = "flavor";
const COLUMNS: &str = "id, name, vcpus, memory_mib, root_gib, ephemeral_gib, swap_mib, rxtx_factor, is_public, disabled, \
    description, access, extra_specs, created_at";

/// Stores a new flavor; conflict if its id or name is taken.
pub fn insert(tx: &mut Tx, flavor: &Flavor) -> Result<()> {
    tx.execute(
        "INSERT INTO flavors (id, name, vcpus, memory_mib, root_gib, ephemeral_gib, swap_mib, rxtx_factor, is_public, \
         disabled, description, access, extra_specs, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        params![
            &flavor.id,
            &flavor.name,
            flavor.vcpus,
            flavor.memory_mib,
            flavor.root_gib,
            flavor.ephemeral_gib,
            flavor.swap_mib,
            flavor.rxtx_factor,
            flavor.is_public,
            flavor.disabled,
            &flavor.description,
            Value::json(&flavor.access)?,
            Value::json(&flavor.extra_specs)?,
            flavor.created_at,
        ],
    )?;
    Ok(())
}

/// The flavor of that id.
pub fn get(tx: &mut Tx, id: &str) -> Result<Flavor> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} FROM flavors WHERE id = $1"), params![id])?;
    read(&row.ok_or_else(|| Error::not_found(WHAT, id))?)
}

/// All flavors, by id.
pub fn list(tx: &mut Tx) -> Result<Vec<Flavor>> {
    tx.records("flavors", &format!("SELECT {COLUMNS} FROM flavors ORDER BY id"), &[], read)
}

/// Reads, changes and writes a flavor in one piece: extra specs, access, description. What servers copied
/// (name and sizes) stays.
pub fn change(tx: &mut Tx, id: &str, edit: impl FnOnce(&mut Flavor) -> Result<()>) -> Result<Flavor> {
    let sql = format!("SELECT {COLUMNS} FROM flavors WHERE id = $1{}", tx.for_update());
    let row = tx.query_one(&sql, params![id])?;
    let mut flavor = read(&row.ok_or_else(|| Error::not_found(WHAT, id))?)?;
    edit(&mut flavor)?;
    flavor.access.sort();
    flavor.access.dedup();
    tx.execute(
        "UPDATE flavors SET description = $2, access = $3, extra_specs = $4, disabled = $5 WHERE id = $1",
        params![
            id,
            &flavor.description,
            Value::json(&flavor.access)?,
            Value::json(&flavor.extra_specs)?,
            flavor.disabled
        ],
    )?;
    Ok(flavor)
}

/// Removes a flavor; servers keep their copies.
pub fn delete(tx: &mut Tx, id: &str) -> Result<()> {
    let rows = tx.execute("DELETE FROM flavors WHERE id = $1", params![id])?;
    if rows == 0 { Err(Error::not_found(WHAT, id)) } else { Ok(()) }
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    let rxtx = read(row)?.rxtx_factor;
    if !(rxtx.is_finite() && rxtx > 0.0) {
        return Err(Error::corrupt("column rxtx_factor", "no factor"));
    }
    word(row, &["id", "name"])?;
    whole(row, &["vcpus", "memory_mib", "root_gib", "ephemeral_gib", "swap_mib"])?;
    time(row, "created_at")
}

fn read(row: &Row) -> Result<Flavor> {
    Ok(Flavor {
        id: row.get("id")?,
        name: row.get("name")?,
        vcpus: row.get("vcpus")?,
        memory_mib: row.get("memory_mib")?,
        root_gib: row.get("root_gib")?,
        ephemeral_gib: row.get("ephemeral_gib")?,
        swap_mib: row.get("swap_mib")?,
        rxtx_factor: row.get("rxtx_factor")?,
        is_public: row.get("is_public")?,
        access: row.json("access")?,
        disabled: row.get("disabled")?,
        description: row.get("description")?,
        extra_specs: row.json("extra_specs")?,
        created_at: row.get("created_at")?,
    })
}
