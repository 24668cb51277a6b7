//! No action without an owner: a flow that nobody can read is ended, and a server whose flow is finished, gone or
//! unreadable stops being in its action. Such a thing comes from damage only: flow and server are written together.

use crate::Conductor;
use model::fault::ServerFault;
use model::server::VmState;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What the server's owner is told.
const LOST: &str = "The record of its last action was damaged; what became of it is not known.";

impl Conductor {
    /// Ends what nobody owns; how many servers were in such an action. One snapshot shows a flow and its server alike,
    /// so nothing that is on its way is taken for lost.
    /// # Errors
    /// The database's.
    pub async fn end_ownerless(&self) -> Result<usize, store::Error> {
        let damaged = self.store.read(|tx| store::damage::any(tx, "flows")).await?;
        if damaged {
            let ended = self.store.write(store::flows::give_up_damaged).await?;
            if ended > 0 {
                tracing::error!(flows = ended, "unfinished flows that cannot be read are ended");
            }
        }
        let lost = self.store.read(|tx| Ok(ownerless(tx)?.len())).await?;
        if lost == 0 {
            return Ok(0);
        }
        let now = self.env.now();
        let ended = self
            .store
            .write(move |tx| {
                let lost = ownerless(tx)?;
                for id in &lost {
                    let mut server = store::servers::lock(tx, *id)?;
                    let flow = server.flow_id.take();
                    server.action = None;
                    server.vm_state = VmState::Error;
                    server.body.fault = Some(ServerFault { code: 500, message: LOST.into(), details: None, created_at: now });
                    server.updated_at = now;
                    store::servers::update(tx, &server, flow)?;
                }
                Ok(lost)
            })
            .await?;
        for id in &ended {
            tracing::error!(server = %id, "its action belonged to no flow any more; it is in ERROR now");
        }
        Ok(ended.len())
    }
}

/// Living servers in an action whose flow is not unfinished.
fn ownerless(tx: &mut store::Tx) -> Result<Vec<Uuid>, store::Error> {
    let open: BTreeSet<Uuid> = store::flows::unfinished(tx)?.into_iter().map(|f| f.id).collect();
    let busy = store::servers::in_action(tx)?;
    Ok(busy.into_iter().filter(|(_, flow)| !open.contains(flow)).map(|(id, _)| id).collect())
}
