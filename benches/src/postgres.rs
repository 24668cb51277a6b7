//! How much of what a PostgreSQL server gives reaches a client of ours: commits per second of a cloud on it, against
//! `pgbench` that writes the same rows on the same server, with nothing in between.

use postgres::{Client, NoTls};
use std::path::Path;
use std::process::Command;

/// A database of its own on the server.
pub struct Database {
    server: String,
    name: String,
    /// Its URL.
    pub url: String,
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

/// The URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (base, options) = url.split_once('?').map_or((url, None), |(b, o)| (b, Some(o)));
    let host = base.rsplit_once('/').map_or(base, |(h, _)| h);
    options.map_or_else(|| format!("{host}/{name}"), |o| format!("{host}/{name}?{o}"))
}

/// Runs statements on a thread of its own: the client has a small runtime inside.
fn run(url: &str, sql: &str) -> Result<(), String> {
    let (url, sql) = (url.to_owned(), sql.to_owned());
    let done = std::thread::spawn(move || Client::connect(&url, NoTls).and_then(|mut c| c.batch_execute(&sql)));
    let said = |e: postgres::Error| e.as_db_error().map_or_else(|| e.to_string(), ToString::to_string);
    done.join().map_err(|_| "the PostgreSQL client panicked".to_owned())?.map_err(said)
}

impl Database {
    /// Makes it.
    /// # Errors
    /// The server's.
    pub fn make(server: &str) -> Result<Database, String> {
        let name = format!("kilonova_bench_{}", std::process::id());
        run(server, &format!("DROP DATABASE IF EXISTS {name}"))?;
        run(server, &format!("CREATE DATABASE {name}"))?;
        Ok(Database { server: server.to_owned(), url: with_database(server, &name), name })
    }

    /// Removes it.
    pub fn remove(&self) {
        if let Err(e) = run(&self.server, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name)) {
            eprintln!("database {} stays: {e}", self.name);
        }
    }

    /// Commits per second of `pgbench` with the rows of a build: two transactions a server, as many of them as
    /// `clients` at once. One server must be stored already: its rows are the pattern. With `spread` each client has a
    /// project of its own, so that none waits for another's quota row.
    /// # Errors
    /// `pgbench` is missing or fails.
    pub fn pgbench(&self, dir: &Path, clients: usize, seconds: u64, spread: bool) -> Result<f64, String> {
        run(&self.url, PREPARE)?;
        let script = dir.join("pgbench.sql");
        std::fs::write(&script, SCRIPT).map_err(text)?;
        let out = Command::new("pgbench")
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2", &format!("--client={clients}"), &format!("--time={seconds}")])
            .arg(format!("--define=spread={}", u8::from(spread)))
            .arg(format!("--file={}", script.display()))
            .arg(&self.url)
            .output()
            .map_err(|e| format!("pgbench: {e}"))?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let rate = said.lines().find_map(|l| l.strip_prefix("tps = ")?.split(' ').next()?.parse::<f64>().ok());
        // Each run of the script is two commits.
        rate.map(|r| r * 2.0).ok_or_else(|| format!("pgbench: {said}{}", String::from_utf8_lossy(&out.stderr)))
    }
}

/// Patterns: a server and its flow as they are stored, and hosts by number.
const PREPARE: &str = "\
DROP TABLE IF EXISTS bench_server, bench_flow, bench_host;
CREATE TABLE bench_server AS SELECT * FROM servers LIMIT 1;
CREATE TABLE bench_flow AS SELECT * FROM flows LIMIT 1;
CREATE TABLE bench_host AS SELECT row_number() OVER () - 1 AS n, id FROM resource_providers WHERE host IS NOT NULL LIMIT 1000;
ALTER TABLE bench_host ADD PRIMARY KEY (n);
INSERT INTO quotas SELECT 'bench-' || p, r, -1, 0 FROM generate_series(0, 255) p, (VALUES ('cores'), ('instances'), ('ram')) AS t(r)
  ON CONFLICT DO NOTHING;
ANALYZE bench_host;";

/// What a build writes, in its two units.
const SCRIPT: &str = r"\set a random(0, 4294967295)
\set b random(0, 281474976710655)
\set h random(0, 999)
\set p :client_id * :spread
BEGIN;
UPDATE quotas SET used = used + 1 WHERE project_id = 'bench-' || :p AND resource = 'cores' AND (COALESCE(hard_limit, 20) < 0 OR used + 1 <= COALESCE(hard_limit, 20));
UPDATE quotas SET used = used + 1 WHERE project_id = 'bench-' || :p AND resource = 'instances' AND (COALESCE(hard_limit, 10) < 0 OR used + 1 <= COALESCE(hard_limit, 10));
UPDATE quotas SET used = used + 128 WHERE project_id = 'bench-' || :p AND resource = 'ram' AND (COALESCE(hard_limit, 51200) < 0 OR used + 128 <= COALESCE(hard_limit, 51200));
UPDATE inventories SET used = used + 1 WHERE provider = (SELECT id FROM bench_host WHERE n = :h) AND class = 'DISK_GB' AND used + 1 <= capacity;
UPDATE inventories SET used = used + 128 WHERE provider = (SELECT id FROM bench_host WHERE n = :h) AND class = 'MEMORY_MB' AND used + 128 <= capacity;
UPDATE inventories SET used = used + 1 WHERE provider = (SELECT id FROM bench_host WHERE n = :h) AND class = 'VCPU' AND used + 1 <= capacity;
INSERT INTO consumers (id, generation, project_id, user_id, kind, created_at, updated_at) VALUES (lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(:b::bigint), 12, '0'), 1, 'bench-' || :p, 'user', 'INSTANCE', 1, 1);
INSERT INTO allocations (consumer, provider, class, used) VALUES (lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(:b::bigint), 12, '0'), (SELECT id FROM bench_host WHERE n = :h), 'DISK_GB', 1);
INSERT INTO allocations (consumer, provider, class, used) VALUES (lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(:b::bigint), 12, '0'), (SELECT id FROM bench_host WHERE n = :h), 'MEMORY_MB', 128);
INSERT INTO allocations (consumer, provider, class, used) VALUES (lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(:b::bigint), 12, '0'), (SELECT id FROM bench_host WHERE n = :h), 'VCPU', 1);
INSERT INTO servers (id, project_id, user_id, name, vm_state, power_state, action, flow_id, host, node, zone, generation, created_at, updated_at, launched_at, deleted_at, locked_by, flavor_id, image_id, key_name, vcpus, memory_mib, body) SELECT lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(:b::bigint), 12, '0'), project_id, user_id, name, 'building', 0, 'build', lpad(to_hex(:b::bigint), 12, '0') || lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000', host, node, zone, 1, created_at, updated_at, NULL, NULL, NULL, flavor_id, image_id, key_name, vcpus, memory_mib, body FROM bench_server;
INSERT INTO flows (id, action, version, server_id, project_id, user_id, request_id, state, input, steps, journal, message, owner, lease_until, cancel, created_at, updated_at) SELECT lpad(to_hex(:b::bigint), 12, '0') || lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000', action, version, lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(:b::bigint), 12, '0'), project_id, user_id, request_id, 'running', input, '[]', journal, NULL, owner, lease_until, 0, created_at, updated_at FROM bench_flow;
END;
BEGIN;
SELECT * FROM servers WHERE id = lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(:b::bigint), 12, '0') AND deleted_at IS NULL FOR UPDATE;
UPDATE servers SET vm_state = 'active', power_state = 1, action = NULL, flow_id = NULL, updated_at = updated_at + 1, launched_at = 1, body = (SELECT body FROM bench_server) WHERE id = lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000-' || lpad(to_hex(:b::bigint), 12, '0');
UPDATE flows SET state = 'done', steps = (SELECT steps FROM bench_flow), updated_at = updated_at + 1 WHERE id = lpad(to_hex(:b::bigint), 12, '0') || lpad(to_hex(:a::bigint), 8, '0') || '-0000-4000-8000' AND state IN ('running', 'unwinding');
END;
";

#[cfg(test)]
mod tests {
    use super::with_database;

    #[test]
    fn only_the_database_changes() {
        assert_eq!(with_database("postgres://u:p@h:1/a", "b"), "postgres://u:p@h:1/b");
        assert_eq!(with_database("postgres://u:p@h:1/a?sslmode=disable", "b"), "postgres://u:p@h:1/b?sslmode=disable");
    }
}
