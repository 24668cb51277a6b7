//! The beginning and the end of an action: one compare-and-set each. The rule is `model::actions::admit`,
//! applied to the row while it is held; it is written nowhere else.

use super::{Error, Result, Server, Tx, lock, update};
use driver_api::Timestamp;
use model::Action;
use model::actions::{Refusal, admit};
use model::server::VmState;
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
    /// The action and flow that this one took the server over from: to be cancelled.
    pub preempted: Option<(Action, Uuid)>,
}

/// Gives the server to `flow` for `action`: state and lock must admit it, and no other action may run that
/// it does not preempt. The generation grows. `admin` passes a lock.
pub fn begin_action(tx: &mut Tx, id: Uuid, action: Action, flow: Uuid, admin: bool, now: Timestamp) -> Result<Begun> {
    let mut server = lock(tx, id)?;
    admit(action, server.vm_state, server.action, server.locked_by.is_some(), admin)
        .map_err(|refusal| Error::abort(Refused { server: id, action, refusal }))?;
    let before = server.flow_id;
    let preempted = server.action.zip(before);
    server.action = Some(action);
    server.flow_id = Some(flow);
    server.generation += 1;
    server.updated_at = now;
    update(tx, &server, before)?;
    Ok(Begun { server, preempted })
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
    let server = lock(tx, id)?;
    finish_held(tx, server, flow, now, edit)
}

/// The same for a server that this unit holds already ([`lock`]).
pub fn finish_held(
    tx: &mut Tx,
    mut server: Server,
    flow: Uuid,
    now: Timestamp,
    edit: impl FnOnce(&mut Server),
) -> Result<Server> {
    if server.flow_id != Some(flow) {
        return Err(Error::Conflict(format!("server {} is owned by another flow", server.id)));
    }
    edit(&mut server);
    server.action = None;
    server.flow_id = None;
    server.updated_at = now;
    update(tx, &server, Some(flow))?;
    Ok(server)
}

/// Ends a deletion: the row stays for listings of changes and for its instance actions.
pub fn mark_deleted(tx: &mut Tx, id: Uuid, flow: Uuid, now: Timestamp) -> Result<Server> {
    finish_action(tx, id, flow, now, |server| {
        server.vm_state = VmState::Deleted;
        server.deleted_at = Some(now);
    })
}
