//! Compute services: what a host registered and the operator's switches. Never says whether a host is up:
//! that lives in memory.

use crate::damage::{time, whole, word};
use crate::changes::Topic;
use crate::{Error, Result, Row, Tx, Value, counters, params};
use driver_api::Timestamp;
use model::service::Service;
use uuid::Uuid;

const WHAT: &str = "service";
const COLUMNS: &str = "id, number, host, driver, disabled, disabled_reason, forced_down, facets, traits, nodes, \
    created_at, updated_at";

/// Registers a host: new under the next number, or again. A host that comes back keeps its identity, its
/// number and the operator's switches; what its driver says is replaced. As stored.
pub fn register(tx: &mut Tx, service: &Service) -> Result<Service> {
    tx.note(Topic::Service, &service.host);
    let lists = (Value::json(&service.facets)?, Value::json(&service.traits)?, Value::json(&service.nodes)?);
    let sql = format!(
        "UPDATE services SET driver = $2, facets = $3, traits = $4, nodes = $5, updated_at = $6 WHERE host = $1 \
         RETURNING {COLUMNS}"
    );
    let (facets, traits, nodes) = lists.clone();
    let again = params![&service.host, &service.driver, facets, traits, nodes, service.updated_at].to_vec();
    if let Some(row) = tx.query_one(&sql, &again)? {
        return read(&row);
    }
    let number = counters::next(tx, "services")?;
    let (facets, traits, nodes) = lists;
    tx.execute(
        "INSERT INTO services (id, number, host, driver, disabled, disabled_reason, forced_down, facets, traits, nodes, \
         created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        params![
            service.id,
            number,
            &service.host,
            &service.driver,
            service.disabled,
            &service.disabled_reason,
            service.forced_down,
            facets,
            traits,
            nodes,
            service.created_at,
            service.updated_at,
        ],
    )?;
    Ok(Service { number, ..service.clone() })
}

/// The service of that id.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<Service> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} FROM services WHERE id = $1"), params![id])?;
    read(&row.ok_or_else(|| Error::not_found(WHAT, id))?)
}

/// The service on that host.
pub fn find_by_host(tx: &mut Tx, host: &str) -> Result<Option<Service>> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} FROM services WHERE host = $1"), params![host])?;
    row.as_ref().map(read).transpose()
}

/// All services, by number.
pub fn list(tx: &mut Tx) -> Result<Vec<Service>> {
    tx.records("services", &format!("SELECT {COLUMNS} FROM services ORDER BY number"), &[], read)
}

/// Reads a service and writes the operator's switches back: disabled, its reason, forced down.
pub fn change(
    tx: &mut Tx,
    id: Uuid,
    now: Timestamp,
    edit: impl FnOnce(&mut Service) -> Result<()>,
) -> Result<Service> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} FROM services WHERE id = $1{}", tx.for_update()), params![id])?;
    let mut service = read(&row.ok_or_else(|| Error::not_found(WHAT, id))?)?;
    edit(&mut service)?;
    service.updated_at = now;
    tx.execute(
        "UPDATE services SET disabled = $2, disabled_reason = $3, forced_down = $4, updated_at = $5 WHERE id = $1",
        params![id, service.disabled, &service.disabled_reason, service.forced_down, now],
    )?;
    tx.note(Topic::Service, &service.host);
    Ok(service)
}

/// A host as controllers that do not hold it see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// Its service.
    pub service: Service,
    /// The controller that holds it.
    pub controller: Option<String>,
    /// Why that controller has it down.
    pub down_reason: Option<String>,
}

/// Every service with who holds its host, by number.
pub fn held(tx: &mut Tx) -> Result<Vec<Held>> {
    let sql = format!("SELECT {COLUMNS}, controller, down_reason FROM services ORDER BY number");
    tx.records("services", &sql, &[], |r| {
        Ok(Held { service: read(r)?, controller: r.get("controller")?, down_reason: r.get("down_reason")? })
    })
}

/// A controller says that it holds a host, and whether the host is up. Of a host that another holds only if that one is
/// among `lost`; whether it is held now. Writes nothing that is so already.
pub fn hold(tx: &mut Tx, host: &str, controller: &str, down_reason: Option<&str>, lost: &[String]) -> Result<bool> {
    let sql = format!("SELECT controller, down_reason FROM services WHERE host = $1{}", tx.for_update());
    let Some(row) = tx.query_one(&sql, params![host])? else { return Ok(true) };
    let holder = row.get::<Option<String>>("controller")?;
    if holder.as_deref().is_some_and(|h| h != controller && !lost.iter().any(|l| l == h)) {
        return Ok(false);
    }
    if holder.as_deref() == Some(controller) && row.get::<Option<String>>("down_reason")?.as_deref() == down_reason {
        return Ok(true);
    }
    tx.execute(
        "UPDATE services SET controller = $2, down_reason = $3 WHERE host = $1",
        params![host, controller, down_reason],
    )?;
    tx.note(Topic::Service, host);
    Ok(true)
}

/// Forgets a service.
pub fn delete(tx: &mut Tx, id: Uuid) -> Result<()> {
    tx.note(Topic::Service, id);
    let rows = tx.execute("DELETE FROM services WHERE id = $1", params![id])?;
    if rows == 0 { Err(Error::not_found(WHAT, id)) } else { Ok(()) }
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    let service = read(row)?;
    word(row, &["host", "driver"])?;
    whole(row, &["number"])?;
    time(row, "created_at")?;
    time(row, "updated_at")?;
    if service.nodes.iter().any(|(_, node)| node.name.is_empty()) {
        return Err(Error::corrupt("column nodes", "a node without a name"));
    }
    Ok(())
}

fn read(row: &Row) -> Result<Service> {
    Ok(Service {
        id: row.get("id")?,
        number: row.get("number")?,
        host: row.get("host")?,
        driver: row.get("driver")?,
        disabled: row.get("disabled")?,
        disabled_reason: row.get("disabled_reason")?,
        forced_down: row.get("forced_down")?,
        facets: row.json("facets")?,
        traits: row.json("traits")?,
        nodes: row.json("nodes")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
