//! Every engine for a test, each with a fresh schema. For tests of this and other crates only: nothing here
//! runs in a served process.

use crate::{SqliteMode, Store};
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

/// The PostgreSQL client may not be entered from an async test.
fn on_thread<T: Send + 'static>(body: impl FnOnce() -> Result<T, postgres::Error> + Send + 'static) -> T {
    let done = std::thread::spawn(body).join().expect("the PostgreSQL helper does not panic");
    done.expect("the test PostgreSQL answers")
}

impl Schema {
    fn create(url: String) -> Result<Schema, postgres::Error> {
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
