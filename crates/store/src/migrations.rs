//! Brings a database up to the schema of this binary. One numbered file per area and dialect; a file that
//! was applied never changes (its checksum is kept). Never goes down: expand first, contract a release later.

use crate::{Dialect, Error, Result, Tx, params};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// One step of the schema.
struct Migration {
    version: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migration {
    ($version:literal, $name:literal) => {
        Migration {
            version: $version,
            name: $name,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }
    };
}

/// All of them, oldest first.
static MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_core"),
    migration!(2, "0002_identity"),
    migration!(3, "0003_image"),
    migration!(4, "0004_network"),
    migration!(5, "0005_placement"),
    migration!(6, "0006_server_groups"),
    migration!(7, "0007_controllers"),
];

/// Any number does, as long as all our processes use the same: two that start at once take turns.
const ADVISORY_LOCK: i64 = 0x6b69_6c6f_6e6f_7661;

/// Applies what is missing, each migration in a transaction of its own, other processes excluded.
pub(crate) fn run(tx: &mut Tx) -> Result<()> {
    let dialect = tx.dialect();
    if dialect == Dialect::Postgres {
        tx.batch(&format!("SELECT pg_advisory_lock({ADVISORY_LOCK})"))?;
    }
    let result = apply_all(tx, dialect);
    if dialect == Dialect::Postgres {
        tx.start_unit();
        tx.batch(&format!("SELECT pg_advisory_unlock({ADVISORY_LOCK})"))?;
    }
    result
}

fn apply_all(tx: &mut Tx, dialect: Dialect) -> Result<()> {
    tx.batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations \
         (version BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)",
    )?;
    for migration in MIGRATIONS {
        let begin = if dialect == Dialect::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" };
        tx.start_unit();
        tx.batch(begin)?;
        match apply(tx, migration, dialect) {
            Ok(()) => tx.batch("COMMIT")?,
            Err(e) => {
                tx.start_unit();
                tx.batch("ROLLBACK")?;
                return Err(e);
            }
        }
    }
    tx.start_unit();
    refuse_newer(tx)
}

fn apply(tx: &mut Tx, migration: &Migration, dialect: Dialect) -> Result<()> {
    let sql = match dialect {
        Dialect::Sqlite => migration.sqlite,
        Dialect::Postgres => migration.postgres,
    };
    // An area that has no tables yet is not recorded, so that its first tables still arrive.
    if sql.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with("--")) {
        return Ok(());
    }
    let checksum = hex::encode(Sha256::digest(sql.as_bytes()));
    let known = tx.query_one("SELECT checksum FROM schema_migrations WHERE version = $1", params![migration.version])?;
    if let Some(row) = known {
        if row.text("checksum")? == checksum {
            return Ok(());
        }
        return Err(Error::Unavailable(format!(
            "migration {} was applied to this database in another form; it was made by a different build",
            migration.name
        )));
    }
    tx.batch(sql).map_err(|e| Error::Sql(format!("migration {}: {e}", migration.name)))?;
    tx.execute(
        "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
        params![migration.version, migration.name, checksum],
    )?;
    tracing::debug!(migration = migration.name, "migrated");
    Ok(())
}

/// A database that a later release has migrated may mean other things by the same columns.
fn refuse_newer(tx: &mut Tx) -> Result<()> {
    let ours: BTreeMap<i64, &str> = MIGRATIONS.iter().map(|m| (m.version, m.name)).collect();
    for row in tx.query("SELECT version, name FROM schema_migrations ORDER BY version", &[])? {
        if !ours.contains_key(&row.get::<i64>("version")?) {
            let name = row.text("name")?;
            return Err(Error::Unavailable(format!("the database has migration {name} of a newer release")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::MIGRATIONS;

    #[test]
    fn migrations_are_numbered_in_pairs_and_keep_to_what_units_rely_on() {
        for (at, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, at);
            assert!(migration.name.starts_with(&format!("{at:04}_")));
            for sql in [migration.sqlite, migration.postgres] {
                let sql = sql.to_uppercase();
                // A violation found at COMMIT would fail every unit of a batch, not only the one that made it.
                assert!(!sql.contains("DEFERRABLE") && !sql.contains("DEFERRED"), "{}", migration.name);
            }
        }
    }
}
