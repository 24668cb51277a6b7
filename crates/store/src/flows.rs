//! Flows: the intent, the command and the instance action in one row. A row is leased to one controller from
//! birth; only its owner moves it on, and whoever takes an expired lease over is the owner then. Never runs
//! a flow.

use crate::damage::{time, whole, word};
use crate::{Error, FromValue, Result, Row, Tx, Value, params};
use driver_api::Timestamp;
use model::flow::{FlowRow, FlowState, StepRecord};
use uuid::Uuid;

const WHAT: &str = "flow";
const COLUMNS: &str = "id, action, version, server_id, project_id, user_id, request_id, state, input, steps, message, \
    owner, lease_until, cancel, created_at, updated_at";
/// States in which something remains to be done. Spelled out, so that the index of that condition is used.
const UNFINISHED: &str = "state IN ('running', 'unwinding')";

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
    tx.records("flows", &sql, params![server], read)
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
    tx.records("flows", &sql, &[], read)
}

/// Whether some unfinished flow's lease ended before `expired_before`: spares a write where there is none.
pub fn any_lapsed(tx: &mut Tx, expired_before: Timestamp) -> Result<bool> {
    let sql = format!("SELECT id FROM flows WHERE {UNFINISHED} AND lease_until < $1 LIMIT 1");
    Ok(tx.query_one(&sql, params![expired_before])?.is_some())
}

/// Extends the leases of those of `running` that `owner` still holds, and says which they are. One that is not among
/// them was taken over, and must be let go. What it owns and does not run is not extended: it waits to be taken up.
pub fn renew(tx: &mut Tx, owner: &str, running: &[Uuid], until: Timestamp) -> Result<Vec<Uuid>> {
    let sql = format!("UPDATE flows SET lease_until = $3 WHERE id = $2 AND owner = $1 AND {UNFINISHED}");
    let mut kept = Vec::new();
    for id in running {
        if tx.execute(&sql, params![owner, *id, until])? == 1 {
            kept.push(*id);
        }
    }
    kept.sort_unstable();
    Ok(kept)
}

/// Whether some unfinished flow has another owner than `owner`: spares a write where there is none.
pub fn any_of_others(tx: &mut Tx, owner: &str) -> Result<bool> {
    let sql = format!("SELECT id FROM flows WHERE {UNFINISHED} AND owner <> $1 LIMIT 1");
    Ok(tx.query_one(&sql, params![owner])?.is_some())
}

/// Takes over at most `limit` flows of other owners, whatever their leases say: for a controller that knows it is
/// alone, whose clock may have gone back since the life before.
pub fn take_from_others(tx: &mut Tx, owner: &str, until: Timestamp, limit: u32) -> Result<Vec<FlowRow>> {
    let sql = format!(
        "UPDATE flows SET owner = $1, lease_until = $2 WHERE {UNFINISHED} AND id IN \
         (SELECT id FROM flows WHERE {UNFINISHED} AND owner <> $1 ORDER BY lease_until, id LIMIT $3) RETURNING {COLUMNS}"
    );
    let rows = tx.query(&sql, params![owner, until, limit])?;
    let mut flows: Vec<FlowRow> = tx.readable("flows", &rows, read)?;
    flows.sort_by_key(|flow| (flow.created_at, flow.id));
    fence(tx, &flows)?;
    Ok(flows)
}

/// The owner before may live and not know yet: the generation of each flow's server grows, so that the server's host
/// refuses what that owner still sends.
fn fence(tx: &mut Tx, flows: &[FlowRow]) -> Result<()> {
    for flow in flows {
        tx.execute("UPDATE servers SET generation = generation + 1 WHERE id = $1 AND flow_id = $2", params![flow.server_id, flow.id])?;
    }
    Ok(())
}

/// Takes over at most `limit` flows whose lease ended before `expired_before`, oldest lease first.
pub fn take_over(
    tx: &mut Tx,
    owner: &str,
    expired_before: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<FlowRow>> {
    // The condition stands outside once more: on PostgreSQL two controllers may pick the same row, and the
    // one that comes second looks at it again.
    let sql = format!(
        "UPDATE flows SET owner = $1, lease_until = $3 WHERE {UNFINISHED} AND lease_until < $2 AND id IN \
         (SELECT id FROM flows WHERE {UNFINISHED} AND lease_until < $2 ORDER BY lease_until, id LIMIT $4) \
         RETURNING {COLUMNS}"
    );
    let lapsed = format!("SELECT id, owner FROM flows WHERE {UNFINISHED} AND lease_until < $1 ORDER BY lease_until, id LIMIT $2");
    let mut others: Vec<Uuid> = Vec::new();
    for row in tx.query(&lapsed, params![expired_before, limit])? {
        if row.get::<String>("owner")? != owner {
            others.push(row.get("id")?);
        }
    }
    let rows = tx.query(&sql, params![owner, expired_before, until, limit])?;
    let mut flows: Vec<FlowRow> = tx.readable("flows", &rows, read)?;
    flows.sort_by_key(|flow| (flow.created_at, flow.id));
    // One's own, parked or renewed late, goes on as it was.
    let strange: Vec<FlowRow> = flows.iter().filter(|flow| others.contains(&flow.id)).cloned().collect();
    fence(tx, &strange)?;
    Ok(flows)
}

/// Takes over the flows of earlier lives of a controller, whose owners are `prefix` and something, and not `owner`:
/// whatever their leases say, nobody runs them.
pub fn take_from_lives(tx: &mut Tx, prefix: &str, owner: &str, until: Timestamp, limit: u32) -> Result<Vec<FlowRow>> {
    let sql = format!(
        "UPDATE flows SET owner = $1, lease_until = $2 WHERE {UNFINISHED} AND owner <> $1 AND id IN \
         (SELECT id FROM flows WHERE {UNFINISHED} AND owner <> $1 AND substr(owner, 1, length($3)) = $3 \
         ORDER BY lease_until, id LIMIT $4) RETURNING {COLUMNS}"
    );
    let rows = tx.query(&sql, params![owner, until, prefix, limit])?;
    let mut flows: Vec<FlowRow> = tx.readable("flows", &rows, read)?;
    flows.sort_by_key(|flow| (flow.created_at, flow.id));
    fence(tx, &flows)?;
    Ok(flows)
}

/// Gives an unfinished flow of `from` to another controller, which learns of it by the log; conflict if it is finished
/// or has another owner.
pub fn hand_over(tx: &mut Tx, id: Uuid, from: &str, to: &str, until: Timestamp) -> Result<()> {
    let sql = format!("UPDATE flows SET owner = $3, lease_until = $4 WHERE id = $1 AND owner = $2 AND {UNFINISHED}");
    let rows = tx.execute(&sql, params![id, from, to, until])?;
    tx.note(crate::changes::Topic::Flow, id);
    owned(rows, id)
}

/// What an owner writes about its flow.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Where it stands.
    pub state: FlowState,
    /// Its steps.
    pub steps: Vec<StepRecord>,
    /// What to tell the user.
    pub message: Option<String>,
}

/// Moves an unfinished flow of `owner` on, to its end too; conflict if it is finished or has another owner.
pub fn advance(tx: &mut Tx, id: Uuid, owner: &str, progress: &Progress, now: Timestamp) -> Result<()> {
    let sql = format!(
        "UPDATE flows SET state = $3, steps = $4, message = $5, updated_at = $6 \
         WHERE id = $1 AND owner = $2 AND {UNFINISHED}"
    );
    let steps = Value::json(&progress.steps)?;
    let rows = tx.execute(&sql, params![id, owner, progress.state, steps, &progress.message, now])?;
    owned(rows, id)
}

/// Ends a flow: [`advance`] to a final state.
pub fn finish(
    tx: &mut Tx,
    id: Uuid,
    owner: &str,
    state: FlowState,
    steps: &[StepRecord],
    message: Option<&str>,
    now: Timestamp,
) -> Result<()> {
    let progress = Progress { state, steps: steps.to_vec(), message: message.map(str::to_owned) };
    advance(tx, id, owner, &progress, now)
}

/// Ends the lease of an unfinished flow of `owner` at `now`: somebody takes it up soon.
pub fn lapse(tx: &mut Tx, id: Uuid, owner: &str, now: Timestamp) -> Result<()> {
    let sql = format!("UPDATE flows SET lease_until = $3 WHERE id = $1 AND owner = $2 AND {UNFINISHED}");
    let rows = tx.execute(&sql, params![id, owner, now])?;
    owned(rows, id)
}

/// Ends an unfinished flow whose server another flow took over, whoever owns it; whether there was one.
pub fn supersede(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<bool> {
    let sql = format!("UPDATE flows SET state = $2, cancel = 1, updated_at = $3 WHERE id = $1 AND {UNFINISHED}");
    Ok(tx.execute(&sql, params![id, FlowState::Superseded, now])? == 1)
}

/// Replaces the arguments of an unfinished flow of `owner`; conflict if it is finished or has another owner.
pub fn set_input(tx: &mut Tx, id: Uuid, owner: &str, input: &serde_json::Value, now: Timestamp) -> Result<()> {
    let sql = format!("UPDATE flows SET input = $3, updated_at = $4 WHERE id = $1 AND owner = $2 AND {UNFINISHED}");
    let rows = tx.execute(&sql, params![id, owner, Value::json(input)?, now])?;
    owned(rows, id)
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
    owned(rows, id)
}

fn owned(rows: u64, id: Uuid) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::Conflict(format!("flow {id} is finished or owned by another"))) }
}

/// Ends every unfinished flow that cannot be read: nobody can run it. Nothing but its state and message changes, so that
/// what is left of it can be looked at. How many there were.
pub fn give_up_damaged(tx: &mut Tx) -> Result<u64> {
    let sql = format!("SELECT {COLUMNS} FROM flows WHERE {UNFINISHED}");
    let mut damaged = Vec::new();
    for row in tx.query(&sql, &[])? {
        match read(&row) {
            Err(Error::Corrupt { what, detail }) => {
                tx.tell("flows", &row, &what, &detail);
                damaged.push(row.value("id")?.clone());
            }
            other => drop(other?),
        }
    }
    for id in &damaged {
        let sql = format!("UPDATE flows SET state = 'failed', message = $2 WHERE id = $1 AND {UNFINISHED}");
        tx.execute(&sql, &[id.clone(), "its record is damaged".into()])?;
    }
    Ok(damaged.len().try_into().unwrap_or(u64::MAX))
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    read(row)?;
    row.json::<serde_json::Value>("journal")?;
    word(row, &["project_id", "user_id", "request_id", "owner"])?;
    whole(row, &["version"])?;
    time(row, "created_at")?;
    time(row, "lease_until")?;
    time(row, "updated_at")
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
