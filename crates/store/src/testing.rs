//! Every engine for a test, each with a fresh schema. For tests of this and other crates only: nothing here
//! runs in a served process.

use crate::{Dialect, Result, SqliteMode, Store, Tx, params};
use postgres::NoTls;

/// The variable that names a PostgreSQL for tests: `postgres://…`, a user who may create schemas.
pub const POSTGRES: &str = "KILONOVA_TEST_POSTGRES";

/// A store for a test; its database goes with the last clone of the store.
pub struct TestEngine {
    /// `sqlite-threaded`, `sqlite-inline` or `postgres`.
    pub name: &'static str,
    /// The store, migrated and empty.
    pub store: Store,
    /// How another process or a second `Store` would open the same database; only for PostgreSQL.
    pub url: Option<String>,
}

/// A private database in memory that begins as a copy of `store`, which must be SQLite inline: ten thousand simulations
/// begin with one that was made once.
/// # Errors
/// The database's.
pub fn copy(store: &Store) -> Result<Store> {
    store.copy()
}

/// Runs statements as a damaged disk would: no reference and no check is held against them. Types are, where a table is
/// strict. `store` must be SQLite inline.
/// # Errors
/// What the database refuses even so.
pub fn damage(store: &Store, sql: &str) -> Result<()> {
    store.damage(sql)
}

/// A schema of one test.
struct Schema {
    url: String,
    name: String,
}

/// All engines: SQLite threaded, SQLite inline, PostgreSQL in a schema of its own. Panics with the remedy if
/// PostgreSQL is not there: a test that runs on one engine only has not been run.
pub fn engines() -> Vec<TestEngine> {
    let sqlite = |name, mode| TestEngine {
        name,
        store: Store::open_memory(mode).expect("a private SQLite database opens"),
        url: None,
    };
    vec![
        sqlite("sqlite-threaded", SqliteMode::Threaded),
        sqlite("sqlite-inline", SqliteMode::Inline),
        postgres(8),
    ]
}

/// PostgreSQL alone, with that many sessions: for what SQLite's single writer would hide.
pub fn postgres(connections: usize) -> TestEngine {
    let base = std::env::var(POSTGRES).unwrap_or_else(|_| {
        panic!("{POSTGRES} is not set: run lab/postgresql/up, then `. lab/state/postgresql/env`")
    });
    let schema = on_thread(move || Schema::create(base));
    let url = schema.url_inside();
    let store = Store::postgres(&url, connections, Some(Box::new(schema))).expect("the test PostgreSQL opens");
    TestEngine { name: "postgres", store, url: Some(url) }
}

/// A file that is opened without ever being flushed: the control of tests that a power cut is survived.
pub fn open_unflushed(path: &std::path::Path) -> Result<Store> {
    Store::sqlite_unflushed(path)
}

/// The PostgreSQL client may not be entered from an async test.
fn on_thread<T: Send + 'static>(body: impl FnOnce() -> std::result::Result<T, postgres::Error> + Send + 'static) -> T {
    let done = std::thread::spawn(body).join().expect("the PostgreSQL helper does not panic");
    done.expect("the test PostgreSQL answers")
}

impl Schema {
    fn create(url: String) -> std::result::Result<Schema, postgres::Error> {
        let mut client = postgres::Client::connect(&url, NoTls)?;
        // The server makes the name: tests of several processes share it.
        let row = client.query_one("SELECT 'test_' || replace(CAST(gen_random_uuid() AS TEXT), '-', '')", &[])?;
        let name: String = row.get(0);
        client.batch_execute(&format!("CREATE SCHEMA {name}"))?;
        Ok(Schema { url, name })
    }

    fn url_inside(&self) -> String {
        let joint = if self.url.contains('?') { '&' } else { '?' };
        format!("{}{joint}options=-csearch_path%3D{}", self.url, self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let (url, name) = (self.url.clone(), self.name.clone());
        let dropped = std::thread::spawn(move || {
            let mut client = postgres::Client::connect(&url, NoTls)?;
            client.batch_execute(&format!("SET lock_timeout = '5s'; DROP SCHEMA {name} CASCADE"))
        });
        if let Ok(Err(e)) = dropped.join() {
            tracing::warn!(error = %e, "a test schema stays behind");
        }
    }
}

/// Runs `work` and tells, for each of its statements, its text and how the engine goes about it. PostgreSQL is asked
/// to read a whole table only where it cannot do otherwise, for a test's tables are too small to say what it would
/// do with large ones.
pub fn plans(tx: &mut Tx, work: impl FnOnce(&mut Tx) -> Result<()>) -> Result<Vec<(String, String)>> {
    if tx.dialect() == Dialect::Postgres {
        tx.query("SELECT set_config('enable_seqscan', 'off', true)", &[])?;
    }
    tx.planned(work)
}

/// The schema as text: what the migrations made of an empty database, in an order of its own. The same
/// schema gives the same text whatever its migrations were.
pub async fn dump_schema(store: &Store) -> Result<String> {
    store
        .read(|tx| match tx.dialect() {
            Dialect::Sqlite => dump_sqlite(tx),
            Dialect::Postgres => dump_postgres(tx),
        })
        .await
}

fn dump_sqlite(tx: &mut Tx) -> Result<String> {
    let rows = tx.query(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' \
         ORDER BY tbl_name, CASE type WHEN 'table' THEN 0 ELSE 1 END, name",
        &[],
    )?;
    rows.iter().map(|row| Ok(format!("{};\n", row.text("sql")?))).collect()
}

/// Tables with their columns and constraints, then indexes, as the server spells them.
fn dump_postgres(tx: &mut Tx) -> Result<String> {
    let tables = tx.query(
        "SELECT c.relname AS name FROM pg_class c WHERE c.relnamespace = CAST(current_schema() AS regnamespace) \
         AND c.relkind = 'r' ORDER BY c.relname",
        &[],
    )?;
    let mut out = String::new();
    for table in &tables {
        let name: String = table.get("name")?;
        let mut lines = Vec::new();
        for row in tx.query(
            "SELECT a.attname || ' ' || format_type(a.atttypid, a.atttypmod) \
             || CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE \"' || l.collname || '\"' ELSE '' END \
             || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END \
             || COALESCE(' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid), '') AS line \
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
             LEFT JOIN pg_collation l ON l.oid = a.attcollation \
             LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
             WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relname = $1 \
             AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
            params![&name],
        )? {
            lines.push(row.get::<String>("line")?);
        }
        for row in tx.query(
            "SELECT pg_get_constraintdef(k.oid) AS line FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid \
             WHERE c.relnamespace = CAST(current_schema() AS regnamespace) AND c.relname = $1 ORDER BY k.contype, k.conname",
            params![&name],
        )? {
            lines.push(row.get::<String>("line")?);
        }
        out.push_str(&format!("CREATE TABLE {name} (\n    {}\n);\n", lines.join(",\n    ")));
    }
    let schema = tx.query_one("SELECT CAST(current_schema() AS TEXT) AS name", &[])?;
    let schema = schema.map(|row| row.get::<String>("name")).transpose()?.unwrap_or_default();
    for row in tx.query(
        "SELECT i.indexdef AS line FROM pg_indexes i WHERE i.schemaname = current_schema() AND NOT EXISTS \
         (SELECT 1 FROM pg_constraint k WHERE k.conname = i.indexname \
          AND k.connamespace = CAST(current_schema() AS regnamespace)) \
         ORDER BY i.tablename, i.indexname",
        &[],
    )? {
        // The name of the schema is the test's own.
        out.push_str(&row.get::<String>("line")?.replace(&format!(" ON {schema}."), " ON "));
        out.push_str(";\n");
    }
    Ok(out)
}
