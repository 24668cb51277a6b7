//! The whole cycle with PostgreSQL in place of SQLite.

use crate::place::Place;
use ::postgres::{Client, NoTls};
use client::Method;

/// A database of this test's own; dropped with it.
struct Database {
    server: String,
    name: String,
}

impl Database {
    fn new() -> Database {
        let server = std::env::var("KILONOVA_TEST_POSTGRES")
            .expect("KILONOVA_TEST_POSTGRES is not set; run lab/postgresql/up, then: set -a; . lab/state/postgresql/env; set +a");
        let stamp = tempfile::Builder::new().prefix("").tempdir().unwrap();
        let stamp = stamp.path().file_name().unwrap().to_str().unwrap().to_lowercase();
        let name = format!("kilonova_process_{}_{stamp}", std::process::id()).replace('.', "_");
        let database = Database { server, name };
        database.sql(&format!("CREATE DATABASE \"{}\"", database.name));
        database
    }
    fn sql(&self, text: &str) {
        Client::connect(&self.server, NoTls).unwrap().batch_execute(text).unwrap();
    }
    fn url(&self) -> String {
        format!("{}/{}", self.server.rsplit_once('/').unwrap().0, self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.sql(&format!("DROP DATABASE \"{}\" WITH (FORCE)", self.name));
    }
}

#[test]
fn create_list_restart_delete() {
    let database = Database::new();
    let place = Place::new();
    place.file("tiny.raw", vec![0; 1 << 20]);
    let config = format!("database = '{}'\n{}", database.url(), crate::place::PERSISTENT);
    let up = place.up_with(&config);
    assert!(!place.data().join("kilonova.db").exists());
    for name in ["one", "two"] {
        place.run(&["launch", "tiny.raw", "--name", name, "--wait", "active"]).good();
    }
    let active = |name: &str| (name.to_owned(), "ACTIVE".to_owned());
    assert_eq!(up.api().statuses(), [active("one"), active("two")]);
    assert_eq!(up.stop(), Some(0));

    let up = place.up_with(&config);
    assert_eq!(up.api().statuses(), [active("one"), active("two")]);
    up.kill();

    let up = place.up_with(&config);
    let api = up.api();
    place.run(&["launch", "tiny", "--name", "three", "--wait", "active"]).good();
    let one = api.runtime.block_on(api.cloud.find_server("one")).unwrap();
    api.call(Method::DELETE, "compute", &format!("/servers/{}", one.id), None);
    crate::place::until("one to be gone", || (api.statuses().len() == 2).then_some(()));
    place.run(&["audit"]).good();
    assert_eq!(place.run(&["down"]).good().out, "2 servers deleted\n");
    place.run(&["audit"]).good();
    assert!(!place.read("up.err").contains(&database.url()), "the URL has a password");
    assert_eq!(up.stop(), Some(0));
}
