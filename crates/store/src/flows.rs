//! Flows: the intent, the command and the instance action in one row. A row is leased to one controller from
//! birth, and whoever takes the lease over is its owner then; a finished flow never changes again. Never
//! runs a flow.

use crate::{Error, FromValue, Result, Row, Tx, Value, params, placeholders};
use driver_api::Timestamp;
use model::flow::{FlowRow, FlowState, StepRecord};
use uuid::Uuid;

const WHAT: &str = "flow";
const COLUMNS: &str = "id, action, version, server_id, project_id, user_id, request_id, state, input, steps, message, \
    owner, lease_until, cancel, created_at, updated_at";
/// States in which something remains to be done. Spelled out, so that the index of that condition is used.
const UNFINISHED: &str = "state IN ('running', 'unwinding')";

/// Ids in one statement.
const CHUNK: usize = 200;

/// Stores a new flow; it is leased already.
pub fn insert(tx: &mut Tx, flow: &FlowRow) -> Result<()> {
    tx.execute(
        "INSERT INTO flows (id, action, version, server_id, project_id, user_id, request_id, state, input, steps, \
         journal, message, owner, lease_until, cancel, created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, '[]', $11, $12, $13, $14, $15, $16)",
        params![
            flow.id,
            flow.action,
            flow.version,
            flow.server_id,
            &flow.project_id,
            &flow.user_id,
            &flow.request_id,
            flow.state,
            Value::json(&flow.input)?,
            Value::json(&flow.steps)?,
            &flow.message,
            &flow.owner,
            flow.lease_until,
            flow.cancel,
            flow.created_at,
            flow.updated_at,
        ],
    )?;
    Ok(())
}

/// A flow.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<FlowRow> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} FROM flows WHERE id = $1"), params![id])?;
    read(&row.ok_or_else(|| Error::not_found(WHAT, id))?)
}

/// The flows of a server, newest first: its instance actions.
pub fn list_for_server(tx: &mut Tx, server: Uuid) -> Result<Vec<FlowRow>> {
    let sql = format!("SELECT {COLUMNS} FROM flows WHERE server_id = $1 ORDER BY created_at DESC, id DESC");
    tx.query(&sql, params![server])?.iter().map(read).collect()
}

/// The flow that a request began on a server: one instance action.
pub fn find_by_request(tx: &mut Tx, server: Uuid, request: &str) -> Result<Option<FlowRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM flows WHERE server_id = $1 AND request_id = $2 ORDER BY created_at DESC, id DESC LIMIT 1"
    );
    tx.query_one(&sql, params![server, request])?.as_ref().map(read).transpose()
}

/// All flows that are not finished, oldest first.
pub fn unfinished(tx: &mut Tx) -> Result<Vec<FlowRow>> {
    let sql = format!("SELECT {COLUMNS} FROM flows WHERE {UNFINISHED} ORDER BY created_at, id");
    tx.query(&sql, &[])?.iter().map(read).collect()
}

/// Those of `flows` that are not finished and whose lease ends before `until`.
pub fn lapsing(tx: &mut Tx, flows: &[Uuid], until: Timestamp) -> Result<Vec<Uuid>> {
    let mut lapsing = Vec::new();
    for some in flows.chunks(CHUNK) {
        let sql = format!(
            "SELECT id FROM flows WHERE {UNFINISHED} AND lease_until < $1 AND id IN ({}) ORDER BY id",
            placeholders(2, some.len())
        );
        let mut params = params![until].to_vec();
        params.extend(some.iter().map(Value::from));
        for row in tx.query(&sql, &params)? {
            lapsing.push(row.get("id")?);
        }
    }
    Ok(lapsing)
}

/// Extends the leases of `flows` that `owner` holds; those it still owns. One that is not among them was
/// taken over or finished, and must be let go.
pub fn renew(tx: &mut Tx, owner: &str, flows: &[Uuid], until: Timestamp) -> Result<Vec<Uuid>> {
    let mut flows = flows.to_vec();
    flows.sort_unstable();
    let mut renewed = Vec::new();
    for some in flows.chunks(CHUNK) {
        let sql = format!(
            "UPDATE flows SET lease_until = $2 WHERE {UNFINISHED} AND owner = $1 AND id IN ({}) RETURNING id",
            placeholders(3, some.len())
        );
        let mut params = params![owner, until].to_vec();
        params.extend(some.iter().map(Value::from));
        for row in tx.query(&sql, &params)? {
            renewed.push(row.get("id")?);
        }
    }
    renewed.sort_unstable();
    Ok(renewed)
}

/// Takes an unfinished flow over if `owner` still holds the lease that ends at `lease`; whether it did. Who
/// may take it (the lease ended, or the owner is known to be gone) is the caller's rule.
pub fn take_over(
    tx: &mut Tx,
    id: Uuid,
    owner: &str,
    lease: Timestamp,
    new_owner: &str,
    until: Timestamp,
) -> Result<bool> {
    let sql = format!(
        "UPDATE flows SET owner = $4, lease_until = $5 WHERE id = $1 AND owner = $2 AND lease_until = $3 AND {UNFINISHED}"
    );
    Ok(tx.execute(&sql, params![id, owner, lease, new_owner, until])? == 1)
}

/// Moves an unfinished flow on, to its end too; conflict if it is finished already.
pub fn finish(
    tx: &mut Tx,
    id: Uuid,
    state: FlowState,
    steps: &[StepRecord],
    message: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let sql = format!(
        "UPDATE flows SET state = $2, steps = $3, message = $4, updated_at = $5 WHERE id = $1 AND {UNFINISHED}"
    );
    let rows = tx.execute(&sql, params![id, state, Value::json(steps)?, message, now])?;
    unfinished_row(rows, id)
}

/// Another flow took its server over: the flow ends, if it has not yet; whether it did now.
pub fn supersede(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<bool> {
    let sql = format!(
        "UPDATE flows SET state = 'superseded', cancel = 1, updated_at = $2 WHERE id = $1 AND {UNFINISHED}"
    );
    Ok(tx.execute(&sql, params![id, now])? == 1)
}

/// Ends the lease of an unfinished flow of `owner` at `now`: somebody takes it up soon.
pub fn lapse(tx: &mut Tx, id: Uuid, owner: &str, now: Timestamp) -> Result<()> {
    let sql = format!("UPDATE flows SET lease_until = $3 WHERE id = $1 AND owner = $2 AND {UNFINISHED}");
    let rows = tx.execute(&sql, params![id, owner, now])?;
    unfinished_row(rows, id)
}

/// Replaces the arguments of an unfinished flow of `owner`; conflict if it is finished or has another owner.
pub fn set_input(tx: &mut Tx, id: Uuid, owner: &str, input: &serde_json::Value, now: Timestamp) -> Result<()> {
    let sql = format!("UPDATE flows SET input = $3, updated_at = $4 WHERE id = $1 AND owner = $2 AND {UNFINISHED}");
    let rows = tx.execute(&sql, params![id, owner, Value::json(input)?, now])?;
    unfinished_row(rows, id)
}

/// Asks an unfinished flow to stop; whether there was one.
pub fn request_cancel(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<bool> {
    let sql = format!("UPDATE flows SET cancel = 1, updated_at = $2 WHERE id = $1 AND {UNFINISHED}");
    Ok(tx.execute(&sql, params![id, now])? == 1)
}

/// Whether cancellation was asked for.
pub fn is_cancelled(tx: &mut Tx, id: Uuid) -> Result<bool> {
    let row = tx.query_one("SELECT cancel FROM flows WHERE id = $1", params![id])?;
    row.ok_or_else(|| Error::not_found(WHAT, id))?.get("cancel")
}

/// The recorded results of the flow's remote steps, as its engine wrote them.
pub fn journal(tx: &mut Tx, id: Uuid) -> Result<serde_json::Value> {
    let row = tx.query_one("SELECT journal FROM flows WHERE id = $1", params![id])?;
    row.ok_or_else(|| Error::not_found(WHAT, id))?.json("journal")
}

/// Records them; conflict if the flow is finished or has another owner.
pub fn record(tx: &mut Tx, id: Uuid, owner: &str, journal: &serde_json::Value, now: Timestamp) -> Result<()> {
    let sql = format!("UPDATE flows SET journal = $3, updated_at = $4 WHERE id = $1 AND owner = $2 AND {UNFINISHED}");
    let rows = tx.execute(&sql, params![id, owner, Value::json(journal)?, now])?;
    unfinished_row(rows, id)
}

fn unfinished_row(rows: u64, id: Uuid) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::Conflict(format!("flow {id} is finished or owned by another"))) }
}

fn read(row: &Row) -> Result<FlowRow> {
    Ok(FlowRow {
        id: row.get("id")?,
        action: row.get("action")?,
        version: row.get("version")?,
        server_id: row.get("server_id")?,
        project_id: row.get("project_id")?,
        user_id: row.get("user_id")?,
        request_id: row.get("request_id")?,
        state: row.get("state")?,
        input: row.json("input")?,
        steps: row.json("steps")?,
        message: row.get("message")?,
        owner: row.get("owner")?,
        lease_until: row.get("lease_until")?,
        cancel: row.get("cancel")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

impl From<FlowState> for Value {
    fn from(state: FlowState) -> Value {
        Value::Text(state.as_str().to_owned())
    }
}
impl FromValue for FlowState {
    fn from_value(value: &Value) -> std::result::Result<Self, &'static str> {
        FlowState::parse(&String::from_value(value)?).ok_or("a state of a flow")
    }
}
