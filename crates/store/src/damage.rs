//! Damaged rows: what is stored and cannot be read as what it should be. A list leaves such a row out, says so, and goes
//! on with the others; [`scan`] names every one of them. Never mends or removes a row: what it meant is not known.

use crate::{Error, Result, Row, Tx, Value};
use crate::{aggregates, flavors, flows, identity, image, keypairs, network, placement, server_groups, servers, services};

/// One damaged row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Damage {
    /// Its table.
    pub table: &'static str,
    /// Its key.
    pub id: String,
    /// What is wrong with it: column and kind, never the value.
    pub detail: String,
}

/// How the rows of a table are read.
struct Table {
    name: &'static str,
    /// Its key, in order.
    key: &'static [&'static str],
    /// Fails for a row that its readers would leave out, or that contradicts itself.
    check: fn(&Row) -> Result<()>,
}

/// Every table; a test holds this list against the schema.
const TABLES: &[Table] = &[
    Table { name: "aggregates", key: &["id"], check: aggregates::check },
    Table { name: "allocations", key: &["consumer", "provider", "class"], check: placement::allocations::check },
    Table { name: "changes", key: &["seq"], check: |r| word(r, &["topic"]).and_then(|()| time(r, "created_at")) },
    Table { name: "consumers", key: &["id"], check: placement::allocations::check_consumer },
    Table { name: "controllers", key: &["name"], check: |r| word(r, &["name", "owner"]).and_then(|()| time(r, "created_at")) },
    Table { name: "counters", key: &["name"], check: |r| whole(r, &["value"]) },
    Table { name: "custom_classes", key: &["name"], check: placement::names::check },
    Table { name: "custom_traits", key: &["name"], check: placement::names::check },
    Table { name: "flavors", key: &["id"], check: flavors::check },
    Table { name: "flows", key: &["id"], check: flows::check },
    Table { name: "host_vteps", key: &["host"], check: |r| address(r, "vtep") },
    Table { name: "identity_app_credentials", key: &["id"], check: identity::check_app_credential },
    Table { name: "identity_catalog", key: &["kind", "id"], check: identity::check_catalog },
    Table { name: "identity_domains", key: &["id"], check: identity::check_domain },
    Table {
        name: "identity_grants",
        key: &["actor_kind", "actor_id", "target_kind", "target_id", "role_id", "inherited"],
        check: |r| identity::read_grant(r).map(drop),
    },
    Table { name: "identity_groups", key: &["id"], check: identity::check_group },
    Table { name: "identity_implied_roles", key: &["prior_id", "implied_id"], check: |r| identity::read_imply(r).map(drop) },
    Table { name: "identity_members", key: &["group_id", "user_id"], check: |r| identity::read_join(r).map(drop) },
    Table { name: "identity_projects", key: &["id"], check: identity::check_project },
    Table { name: "identity_revision", key: &["id"], check: identity::check_revision },
    Table { name: "identity_revoked_tokens", key: &["audit_id"], check: |r| identity::read_revoked(r).map(drop) },
    Table { name: "identity_roles", key: &["id"], check: identity::check_role },
    Table { name: "identity_signing_keys", key: &["id"], check: |r| identity::read_key(r).map(drop) },
    Table { name: "identity_users", key: &["id"], check: identity::check_user },
    Table { name: "image_members", key: &["image_id", "member"], check: image::check_member },
    Table { name: "image_properties", key: &["image_id", "name"], check: |r| r.text("value").and_then(|_| word(r, &["name"])) },
    Table { name: "image_tags", key: &["image_id", "tag"], check: |r| r.text("tag").map(drop) },
    Table { name: "image_tombstones", key: &["id"], check: |r| uuid(r, "id").and_then(|()| time(r, "deleted_at")) },
    Table { name: "images", key: &["id"], check: image::check },
    Table { name: "inventories", key: &["provider", "class"], check: placement::inventories::check },
    Table { name: "ip_allocations", key: &["subnet_id", "ip"], check: network::check_address },
    Table { name: "keypairs", key: &["user_id", "name"], check: keypairs::check },
    Table { name: "network_segments", key: &["kind", "tag"], check: |r| uuid(r, "network_id").and_then(|()| word(r, &["kind", "tag"])) },
    Table { name: "networks", key: &["id"], check: network::check_network },
    Table { name: "port_security_groups", key: &["port_id", "group_id"], check: |r| uuid(r, "port_id").and_then(|()| uuid(r, "group_id")) },
    Table { name: "ports", key: &["id"], check: network::check_port },
    Table { name: "provider_aggregates", key: &["provider", "aggregate"], check: |r| uuid(r, "provider").and_then(|()| uuid(r, "aggregate")) },
    Table { name: "provider_traits", key: &["provider", "trait"], check: placement::traits::check },
    Table { name: "quotas", key: &["project_id", "resource"], check: crate::quotas::check },
    Table { name: "resource_providers", key: &["id"], check: placement::providers::check },
    Table { name: "schema_migrations", key: &["version"], check: |r| r.text("name").and(r.text("checksum")).map(drop) },
    Table { name: "secrets", key: &["name"], check: |r| r.get::<Vec<u8>>("value").and_then(|_| time(r, "created_at")) },
    Table { name: "security_group_rules", key: &["id"], check: network::check_rule },
    Table { name: "security_groups", key: &["id"], check: network::check_group },
    Table { name: "server_group_members", key: &["server_id"], check: server_groups::check_member },
    Table { name: "server_groups", key: &["id"], check: server_groups::check },
    Table { name: "servers", key: &["id"], check: servers::check },
    Table { name: "services", key: &["id"], check: services::check },
    Table { name: "subnets", key: &["id"], check: network::check_subnet },
];

/// What refers to what where the database does not hold it: table, column, of which rows, and the table with that id.
const REFERS: &[(&str, &str, &str, &str)] = &[
    ("identity_grants", "role_id", "1 = 1", "identity_roles"),
    ("identity_grants", "actor_id", "actor_kind = 'user'", "identity_users"),
    ("identity_grants", "actor_id", "actor_kind = 'group'", "identity_groups"),
    ("identity_grants", "target_id", "target_kind = 'project'", "identity_projects"),
    ("identity_grants", "target_id", "target_kind = 'domain'", "identity_domains"),
    ("identity_implied_roles", "prior_id", "1 = 1", "identity_roles"),
    ("identity_implied_roles", "implied_id", "1 = 1", "identity_roles"),
    ("identity_members", "group_id", "1 = 1", "identity_groups"),
    ("identity_members", "user_id", "1 = 1", "identity_users"),
    ("image_properties", "image_id", "1 = 1", "images"),
    ("image_tags", "image_id", "1 = 1", "images"),
];

/// Rows read at a time by [`scan`].
const CHUNK: usize = 1000;
/// Rows told at most by one connection before it may tell one again.
const TOLD: usize = 1000;
/// Latest moment that can be shown (the end of the year 9999, µs).
const LAST: i64 = 253_402_300_799_999_999;

/// Every damaged row of every table.
pub fn scan(tx: &mut Tx) -> Result<Vec<Damage>> {
    let mut out = Vec::new();
    for table in TABLES {
        of_table(tx, table, &mut out)?;
    }
    for (table, column, when, to) in REFERS {
        let sql = format!("SELECT * FROM {table} WHERE {when} AND NOT EXISTS (SELECT 1 FROM {to} WHERE {to}.id = {table}.{column})");
        for row in tx.query(&sql, &[])? {
            out.push(Damage { table, id: id_of(table, &row), detail: format!("column {column}: refers to nothing") });
        }
    }
    Ok(out)
}

/// Whether a table has a damaged row: what decides from the absence of a record asks first.
pub fn any(tx: &mut Tx, table: &str) -> Result<bool> {
    let mut out = Vec::new();
    if let Some(table) = TABLES.iter().find(|t| t.name == table) {
        of_table(tx, table, &mut out)?;
    }
    Ok(!out.is_empty())
}

fn of_table(tx: &mut Tx, table: &Table, out: &mut Vec<Damage>) -> Result<()> {
    let key = table.key.join(", ");
    let mut after: Vec<Value> = Vec::new();
    loop {
        let from = if after.is_empty() {
            String::new()
        } else {
            format!(" WHERE ({key}) > ({})", crate::placeholders(1, after.len()))
        };
        let rows = tx.query(&format!("SELECT * FROM {}{from} ORDER BY {key} LIMIT {CHUNK}", table.name), &after)?;
        for row in &rows {
            match (table.check)(row) {
                Err(Error::Corrupt { what, detail }) => {
                    out.push(Damage { table: table.name, id: id_of(table.name, row), detail: format!("{what}: {detail}") });
                }
                other => other?,
            }
        }
        let Some(last) = rows.last().filter(|_| rows.len() == CHUNK) else { return Ok(()) };
        after = table.key.iter().map(|k| last.value(k).cloned()).collect::<Result<_>>()?;
        // A key that is NULL compares with nothing; there is no place after it.
        if after.contains(&Value::Null) {
            return Ok(());
        }
    }
}

/// A row's key as text, from the columns that are there.
fn id_of(table: &str, row: &Row) -> String {
    let key = TABLES.iter().find(|t| t.name == table).map_or(&[] as &[&str], |t| t.key);
    let parts: Vec<String> = key.iter().filter_map(|k| row.value(k).ok()).map(shown).collect();
    parts.join(" ")
}

/// A key for messages. Keys are ids and names, never secrets.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(t) if t.chars().count() > 64 => format!("{}…", t.chars().take(64).collect::<String>()),
        Value::Text(t) => t.clone(),
        Value::Int(n) => n.to_string(),
        Value::Real(n) => n.to_string(),
        Value::Null | Value::Blob(_) => format!("({})", value.kind()),
    }
}

impl Tx {
    /// The records of a query over `table`, without those that cannot be read. The query names the key of the table.
    pub(crate) fn records<T>(
        &mut self,
        table: &'static str,
        sql: &str,
        params: &[Value],
        read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let rows = self.query(sql, params)?;
        self.readable(table, &rows, read)
    }

    /// As [`Tx::records`], for a query that ends where a number can follow `LIMIT`: rows that are left out do not
    /// shorten the page, for a short page tells a client that the list has ended.
    pub(crate) fn page<T>(
        &mut self,
        table: &'static str,
        sql: &str,
        params: &[Value],
        limit: usize,
        mut read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut asked = limit;
        loop {
            let bound = i64::try_from(asked).unwrap_or(i64::MAX);
            let rows = self.query(&format!("{sql} LIMIT {bound}"), params)?;
            let mut out = self.readable(table, &rows, &mut read)?;
            if rows.len() < asked || out.len() >= limit {
                out.truncate(limit);
                return Ok(out);
            }
            asked = asked.saturating_add(rows.len() - out.len());
        }
    }

    /// The records of `rows` of `table`, without those that cannot be read: each of those is told once.
    pub(crate) fn readable<T>(
        &mut self,
        table: &'static str,
        rows: &[Row],
        mut read: impl FnMut(&Row) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut out = Vec::with_capacity(rows.len());
        for row in rows {
            match read(row) {
                Ok(record) => out.push(record),
                Err(Error::Corrupt { what, detail }) => self.tell(table, row, &what, &detail),
                Err(other) => return Err(other),
            }
        }
        Ok(out)
    }

    /// Says that a row is left out; the same row once.
    pub(crate) fn tell(&mut self, table: &'static str, row: &Row, what: &str, detail: &str) {
        let id = id_of(table, row);
        if self.told.len() >= TOLD {
            self.told.clear();
        }
        if self.told.insert((table, id.clone())) {
            tracing::error!(table, id, what, detail, "a damaged row is left out; `kilonova audit` names it");
        }
    }
}

/// The column is what the record beside it says: two places that differ are damage, whichever is right.
pub(crate) fn same(row: &Row, column: &str, value: impl Into<Value>) -> Result<()> {
    let (found, meant) = (row.value(column)?, value.into());
    let equal = match (found, &meant) {
        (Value::Int(a), Value::Int(b)) => a == b,
        (a, b) => a == b,
    };
    if equal { Ok(()) } else { Err(Error::corrupt(format!("column {column}"), "differs from the record in body")) }
}

/// A number that counts something.
pub(crate) fn whole(row: &Row, columns: &[&str]) -> Result<()> {
    for column in columns {
        // What is counted here never comes near 2^53.
        if !(0..1 << 53).contains(&row.get::<i64>(column)?) {
            return Err(Error::corrupt(format!("column {column}"), "no count"));
        }
    }
    Ok(())
}

/// A moment that can be shown.
pub(crate) fn time(row: &Row, column: &str) -> Result<()> {
    match row.get::<Option<i64>>(column)? {
        Some(at) if !(0..=LAST).contains(&at) => Err(Error::corrupt(format!("column {column}"), "no moment")),
        _ => Ok(()),
    }
}

/// A UUID.
pub(crate) fn uuid(row: &Row, column: &str) -> Result<()> {
    row.get::<uuid::Uuid>(column).map(drop)
}

/// An IP address.
pub(crate) fn address(row: &Row, column: &str) -> Result<()> {
    let parsed = row.text(column)?.parse::<std::net::IpAddr>();
    parsed.map(drop).map_err(|e| Error::corrupt(format!("column {column}"), e))
}

/// A text that says something.
pub(crate) fn word(row: &Row, columns: &[&str]) -> Result<()> {
    for column in columns {
        let text = row.text(column)?;
        if text.is_empty() || text.len() > 1024 || text.chars().any(char::is_control) {
            return Err(Error::corrupt(format!("column {column}"), "no name"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{SqliteMode, Store};

    #[tokio::test]
    async fn every_table_is_looked_at_by_its_key() {
        let store = Store::open_memory(SqliteMode::Inline).unwrap();
        let schema: Vec<(String, String)> = store
            .read(|tx| {
                let sql = "SELECT m.name AS name, COALESCE((SELECT group_concat(name, ' ') FROM \
                    (SELECT name FROM pragma_table_info(m.name) WHERE pk > 0 ORDER BY pk)), '') AS key \
                    FROM sqlite_schema m WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY m.name";
                tx.query(sql, &[])?.iter().map(|r| Ok((r.get("name")?, r.get("key")?))).collect()
            })
            .await
            .unwrap();
        let ours: Vec<(String, String)> = TABLES.iter().map(|t| (t.name.to_owned(), t.key.join(" "))).collect();
        assert_eq!(ours, schema);
        assert_eq!(store.read(scan).await.unwrap(), Vec::new());
    }

    #[tokio::test]
    async fn what_refers_to_nothing_is_found() {
        let store = Store::open_memory(SqliteMode::Inline).unwrap();
        for (table, column, ..) in REFERS {
            // Each of them is a table and a column that there are.
            store.read(move |tx| tx.query(&format!("SELECT {column} FROM {table}"), &[])).await.unwrap();
        }
        let sql = "INSERT INTO identity_members (group_id, user_id) VALUES ('g', 'u')";
        store.write(move |tx| tx.execute(sql, &[])).await.unwrap();
        let found = store.read(scan).await.unwrap();
        let details: Vec<_> = found.iter().map(|d| (d.table, d.id.as_str(), d.detail.as_str())).collect();
        assert_eq!(
            details,
            [
                ("identity_members", "g u", "column group_id: refers to nothing"),
                ("identity_members", "g u", "column user_id: refers to nothing")
            ]
        );
    }
}
