//! Migrating from zero gives exactly the checked-in `schema/*.sql`, on both engines. After a new migration:
//! `KILONOVA_WRITE_SCHEMA=1 cargo test -p store --test schema` writes them anew.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use store::testing::{self, TestEngine, dump_schema, engines};
use store::{Error, SqliteMode, Store, params};

const HEAD: &str = "-- Generated from the migrations; see crates/store/tests/schema.rs. Not run by anything.\n\n";

fn file(engine: &str) -> PathBuf {
    let name = if engine == "postgres" { "postgres.sql" } else { "sqlite.sql" };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema").join(name)
}

#[tokio::test]
async fn migrating_from_zero_gives_the_checked_in_schema() {
    for TestEngine { name, store, .. } in &engines() {
        let (made, path) = (format!("{HEAD}{}", dump_schema(store).await.unwrap()), file(name));
        if std::env::var("KILONOVA_WRITE_SCHEMA").is_ok() {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            made == kept,
            "{name}: {} is not what the migrations make; see the head of this test. Made:\n{made}",
            path.display()
        );
    }
}

/// What a portable statement may rely on, read off the real schema.
#[tokio::test]
async fn both_engines_have_the_same_tables_and_columns() {
    let mut seen: Vec<Vec<String>> = Vec::new();
    for TestEngine { store, .. } in &engines() {
        let columns = store.read(|tx| {
            let sql = match tx.dialect() {
                store::Dialect::Sqlite => {
                    "SELECT m.name || '.' || c.name || ' ' || CASE c.type WHEN 'TEXT' THEN 'text' WHEN 'BLOB' THEN 'bytea' \
                     WHEN 'REAL' THEN 'double precision' WHEN 'DOUBLE PRECISION' THEN 'double precision' \
                     WHEN 'INTEGER' THEN 'bigint' WHEN 'BIGINT' THEN 'bigint' ELSE c.type END \
                     || CASE WHEN c.\"notnull\" = 1 THEN ' NOT NULL' ELSE '' END AS line \
                     FROM sqlite_schema m, pragma_table_info(m.name) c \
                     WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'"
                }
                store::Dialect::Postgres => {
                    "SELECT table_name || '.' || column_name || ' ' || data_type \
                     || CASE WHEN is_nullable = 'NO' THEN ' NOT NULL' ELSE '' END AS line \
                     FROM information_schema.columns WHERE table_schema = current_schema()"
                }
            };
            tx.query(sql, &[])?.iter().map(|row| row.get::<String>("line")).collect::<Result<Vec<_>, _>>()
        });
        let mut columns = columns.await.unwrap();
        columns.sort();
        seen.push(columns);
    }
    assert!(seen[0].len() > 50);
    assert_eq!(seen[0], seen[2], "SQLite and PostgreSQL");
}

#[tokio::test]
async fn a_migrated_database_opens_again_and_a_foreign_one_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.db");
    let postgres = testing::postgres(1);
    let url = postgres.url.clone().unwrap();
    let open = |sqlite: bool| match sqlite {
        true => Store::open_sqlite(&path, SqliteMode::Threaded),
        false => Store::open_postgres(&url, 1),
    };
    for sqlite in [true, false] {
        let first = open(sqlite).unwrap();
        let before = dump_schema(&first).await.unwrap();
        let again = open(sqlite).unwrap();
        assert_eq!(dump_schema(&again).await.unwrap(), before);
        let newer = params![9999, "9999_later", "x"].to_vec();
        first
            .write(move |tx| tx.execute("INSERT INTO schema_migrations VALUES ($1, $2, $3)", &newer))
            .await
            .unwrap();
        let error = open(sqlite).unwrap_err();
        assert!(matches!(&error, Error::Unavailable(why) if why.contains("9999_later")), "{error}");
        let edited = "UPDATE schema_migrations SET checksum = 'other' WHERE version = 1";
        first
            .write(move |tx| {
                tx.execute("DELETE FROM schema_migrations WHERE version = 9999", &[])?;
                tx.execute(edited, &[])
            })
            .await
            .unwrap();
        let error = open(sqlite).unwrap_err();
        assert!(matches!(&error, Error::Unavailable(why) if why.contains("0001_core")), "{error}");
    }
}

#[tokio::test]
async fn two_processes_may_migrate_at_once() {
    let postgres = testing::postgres(1);
    let url = postgres.url.clone().unwrap();
    // A second, empty schema: both arrive before there is a table.
    let fresh = url.replace("search_path%3D", "search_path%3Dtwice_");
    let name = fresh.split("search_path%3D").nth(1).unwrap().to_owned();
    let (create, remove) = (format!("CREATE SCHEMA {name}"), format!("DROP SCHEMA {name} CASCADE"));
    postgres.store.write(move |tx| tx.execute(&create, &[])).await.unwrap();
    let both: Vec<_> = (0..4)
        .map(|_| {
            let fresh = fresh.clone();
            std::thread::spawn(move || Store::open_postgres(&fresh, 1).map(drop))
        })
        .collect();
    let opened: Vec<_> = both.into_iter().map(|thread| thread.join().unwrap()).collect();
    postgres.store.write(move |tx| tx.execute(&remove, &[])).await.unwrap();
    for result in opened {
        result.unwrap();
    }
}
