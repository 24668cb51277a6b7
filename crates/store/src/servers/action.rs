//! The beginning and the end of an action: one compare-and-set each on the flow that owns the server. The
//! rule is `model::actions::admit`, applied to the row while it is held; it is written nowhere else.

use super::{Error, Result, Server, Tx, get_live, taken, write};
use driver_api::Timestamp;
use model::Action;
use model::actions::{Refusal, admit};
use uuid::Uuid;

/// The action may not begin; the unit ends with this ([`Error::aborted_as`] gives it back).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{action:?} of server {server} refused: {refusal:?}")]
pub struct Refused {
    /// The server.
    pub server: Uuid,
    /// What was asked for.
    pub action: Action,
    /// Why not.
    pub refusal: Refusal,
}

/// An action that has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Begun {
    /// The server as it is now.
    pub server: Server,
    /// The action and flow that this one took the server over from.
    pub preempted: Option<(Action, Uuid)>,
}

/// Writes a server that a new flow owns now, if `before` owned it until now (`None`: nobody); whether it did.
pub fn begin(tx: &mut Tx, server: &Server, before: Option<Uuid>) -> Result<bool> {
    write(tx, server, before)
}

/// Writes what came of `flow`, if it still owns the server; conflict otherwise. Also the end of a deletion:
/// a record with `deleted_at` stays for listings of changes and for its instance actions.
pub fn settle(tx: &mut Tx, server: &Server, flow: Uuid) -> Result<()> {
    if write(tx, server, Some(flow))? { Ok(()) } else { Err(taken(server.id)) }
}

/// Gives the server to `flow` for `action`: state and lock must admit it, and no other action may run that
/// it does not preempt. The generation grows. `admin` passes a lock.
pub fn begin_action(tx: &mut Tx, id: Uuid, action: Action, flow: Uuid, admin: bool, now: Timestamp) -> Result<Begun> {
    let mut server = get_live(tx, id)?;
    admit(action, server.vm_state, server.action, server.locked_by.is_some(), admin)
        .map_err(|refusal| Error::abort(Refused { server: id, action, refusal }))?;
    let before = server.flow_id;
    let preempted = server.action.zip(before);
    server.action = Some(action);
    server.flow_id = Some(flow);
    server.generation += 1;
    server.updated_at = now;
    if begin(tx, &server, before)? { Ok(Begun { server, preempted }) } else { Err(taken(id)) }
}

/// Ends the action of `flow`: `edit` writes what came of it, and the server belongs to nobody again.
/// Conflict if another flow has taken it over.
pub fn finish_action(
    tx: &mut Tx,
    id: Uuid,
    flow: Uuid,
    now: Timestamp,
    edit: impl FnOnce(&mut Server),
) -> Result<Server> {
    let mut server = get_live(tx, id)?;
    if server.flow_id != Some(flow) {
        return Err(taken(id));
    }
    edit(&mut server);
    server.action = None;
    server.flow_id = None;
    server.updated_at = now;
    settle(tx, &server, flow)?;
    Ok(server)
}
