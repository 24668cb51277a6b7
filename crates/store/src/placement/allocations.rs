//! Consumers and what they hold.

use crate::{Result, Row, Tx, Value, params};
use driver_api::Timestamp;
use model::placement::{Allocation, Consumer};
use uuid::Uuid;

pub(crate) fn read_consumer(row: &Row) -> Result<Consumer> {
    Ok(Consumer {
        id: row.get("id")?,
        generation: row.get("generation")?,
        project_id: row.get("project_id")?,
        user_id: row.get("user_id")?,
        kind: row.get("kind")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// For [`crate::damage`].
pub(crate) fn check_consumer(row: &Row) -> Result<()> {
    read_consumer(row)?;
    crate::damage::word(row, &["project_id", "user_id"])?;
    crate::damage::whole(row, &["generation"])?;
    crate::damage::time(row, "created_at")?;
    crate::damage::time(row, "updated_at")
}

fn read(row: &Row) -> Result<Allocation> {
    Ok(Allocation {
        consumer: row.get("consumer")?,
        provider: row.get("provider")?,
        class: row.get("class")?,
        used: row.get("used")?,
    })
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    let a = read(row)?;
    crate::damage::word(row, &["class"])?;
    // Nothing is held by holding nothing.
    if a.used < 1 {
        return Err(crate::Error::corrupt("column used", "not above 0"));
    }
    crate::damage::whole(row, &["used"])
}

/// A consumer.
pub fn consumer(tx: &mut Tx, id: Uuid) -> Result<Option<Consumer>> {
    tx.query_one(
        "SELECT id, generation, project_id, user_id, kind, created_at, updated_at FROM consumers WHERE id = $1",
        params![id],
    )?
    .as_ref()
    .map(read_consumer)
    .transpose()
}

/// Consumers that hold something of `provider`, by id.
pub fn consumers_of_provider(tx: &mut Tx, provider: Uuid) -> Result<Vec<Consumer>> {
    tx.records(
        "consumers",
        "SELECT id, generation, project_id, user_id, kind, created_at, updated_at FROM consumers \
         WHERE id IN (SELECT consumer FROM allocations WHERE provider = $1) ORDER BY id",
        params![provider],
        read_consumer,
    )
}

/// Adds a consumer; false if it was there.
pub fn insert_consumer(tx: &mut Tx, c: &Consumer) -> Result<bool> {
    let n = tx.execute(
        "INSERT INTO consumers (id, generation, project_id, user_id, kind, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
        params![c.id, c.generation, &c.project_id, &c.user_id, &c.kind, c.created_at, c.updated_at],
    )?;
    Ok(n == 1)
}

/// Changes owner and kind of a consumer and moves its generation on, if it is still `seen`.
pub fn update_consumer(tx: &mut Tx, c: &Consumer, seen: i64, now: Timestamp) -> Result<bool> {
    let n = tx.execute(
        "UPDATE consumers SET generation = generation + 1, project_id = $3, user_id = $4, kind = $5, updated_at = $6 \
         WHERE id = $1 AND generation = $2",
        params![c.id, seen, &c.project_id, &c.user_id, &c.kind, now],
    )?;
    Ok(n == 1)
}

/// Removes a consumer that holds nothing.
pub fn delete_consumer(tx: &mut Tx, id: Uuid) -> Result<()> {
    tx.execute("DELETE FROM consumers WHERE id = $1", params![id])?;
    Ok(())
}

/// What a consumer holds, by provider and class.
pub fn of_consumer(tx: &mut Tx, consumer: Uuid) -> Result<Vec<Allocation>> {
    tx.records(
        "allocations",
        "SELECT consumer, provider, class, used FROM allocations WHERE consumer = $1 ORDER BY provider, class",
        params![consumer],
        read,
    )
}

/// What is held of a provider, by consumer and class.
pub fn of_provider(tx: &mut Tx, provider: Uuid) -> Result<Vec<Allocation>> {
    tx.records(
        "allocations",
        "SELECT consumer, provider, class, used FROM allocations WHERE provider = $1 ORDER BY consumer, class",
        params![provider],
        read,
    )
}

/// How many consumers hold something of each provider.
pub fn consumers_per_provider(tx: &mut Tx) -> Result<Vec<(Uuid, i64)>> {
    let sql = "SELECT provider, COUNT(DISTINCT consumer) AS n FROM allocations GROUP BY provider ORDER BY provider";
    tx.records("allocations", sql, &[], |r| Ok((r.get("provider")?, r.get("n")?)))
}

/// Is anything held of this provider (of this class of it)?
pub fn any(tx: &mut Tx, provider: Uuid, class: Option<&str>) -> Result<bool> {
    let rows = match class {
        None => tx.query("SELECT consumer FROM allocations WHERE provider = $1 LIMIT 1", params![provider])?,
        Some(c) => tx.query(
            "SELECT consumer FROM allocations WHERE provider = $1 AND class = $2 LIMIT 1",
            params![provider, c],
        )?,
    };
    Ok(!rows.is_empty())
}

/// Writes one allocation row.
pub fn insert(tx: &mut Tx, a: &Allocation) -> Result<()> {
    tx.execute(
        "INSERT INTO allocations (consumer, provider, class, used) VALUES ($1, $2, $3, $4)",
        params![a.consumer, a.provider, &a.class, a.used],
    )?;
    Ok(())
}

/// Writes what a new consumer holds, in one statement.
pub fn insert_all(tx: &mut Tx, consumer: Uuid, provider: Uuid, held: &[(&str, i64)]) -> Result<()> {
    if held.is_empty() {
        return Ok(());
    }
    let mut values = vec![Value::from(consumer), Value::from(provider)];
    let rows: Vec<String> = (0..held.len()).map(|n| format!("($1, $2, ${}, ${})", 2 * n + 3, 2 * n + 4)).collect();
    for (class, used) in held {
        values.extend([Value::from(*class), Value::from(*used)]);
    }
    tx.execute(&format!("INSERT INTO allocations (consumer, provider, class, used) VALUES {}", rows.join(", ")), &values)?;
    Ok(())
}

/// Removes all rows of a consumer and says what they were.
pub fn remove_of_consumer(tx: &mut Tx, consumer: Uuid) -> Result<Vec<Allocation>> {
    let held = of_consumer(tx, consumer)?;
    if !held.is_empty() {
        tx.execute("DELETE FROM allocations WHERE consumer = $1", params![consumer])?;
    }
    Ok(held)
}

/// One line of a usage report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageLine {
    /// Consumer kind; empty where none was told.
    pub kind: Option<String>,
    /// Resource class.
    pub class: String,
    /// Sum.
    pub used: i64,
    /// Consumers counted in it.
    pub consumers: i64,
}

/// What a project (or one user in it) holds, by kind of consumer and class.
pub fn usages(tx: &mut Tx, project: &str, user: Option<&str>) -> Result<Vec<UsageLine>> {
    let condition = if user.is_some() { " AND c.user_id = $2" } else { "" };
    let sql = format!(
        "SELECT c.kind AS kind, a.class AS class, CAST(SUM(a.used) AS BIGINT) AS used, \
         COUNT(DISTINCT a.consumer) AS consumers FROM allocations a JOIN consumers c ON c.id = a.consumer \
         WHERE c.project_id = $1{condition} GROUP BY c.kind, a.class ORDER BY c.kind, a.class"
    );
    let rows = match user {
        Some(u) => tx.query(&sql, params![project, u])?,
        None => tx.query(&sql, params![project])?,
    };
    rows.iter()
        .map(|r| {
            Ok(UsageLine {
                kind: r.get("kind")?,
                class: r.get("class")?,
                used: r.get("used")?,
                consumers: r.get("consumers")?,
            })
        })
        .collect()
}

/// How many consumers of each kind a project (or one user in it) has with anything allocated.
pub fn consumers_of_project(tx: &mut Tx, project: &str, user: Option<&str>) -> Result<Vec<(Option<String>, i64)>> {
    let condition = if user.is_some() { " AND c.user_id = $2" } else { "" };
    let sql = format!(
        "SELECT c.kind AS kind, COUNT(DISTINCT c.id) AS n FROM consumers c JOIN allocations a ON c.id = a.consumer \
         WHERE c.project_id = $1{condition} GROUP BY c.kind ORDER BY c.kind"
    );
    let rows = match user {
        Some(u) => tx.query(&sql, params![project, u])?,
        None => tx.query(&sql, params![project])?,
    };
    rows.iter().map(|r| Ok((r.get("kind")?, r.get("n")?))).collect()
}
