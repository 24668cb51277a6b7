//! Build: spawn on the claimed host; if that host cannot, undo there and try the next.

use super::{Ending, Flow, Run, Step};
use crate::build::Moved;
use driver_api::{Advice, DestroyMode, Error, ErrorKind, Op};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

pub(crate) async fn run(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let mut tried = 1;
    loop {
        let (mark, unsure) = (flow.mark(), Arc::new(AtomicBool::new(false)));
        let error = match spawn(flow, run, &unsure).await {
            Ok(ending) => return Ok(ending),
            Err(e) => e,
        };
        if error.kind == ErrorKind::Cancelled || run.op.cancel.is_cancelled() {
            return Err(error);
        }
        let again = error.kind.advice() != Advice::Stop && tried < run.conductor.options.attempts;
        if !again {
            return Err(error);
        }
        tracing::warn!(server = %run.server.id, host = ?run.server.host, %error, detail = ?error.detail, "build failed here; trying another host");
        if let Err(parked) = flow.unwind(mark).await {
            return Err(parked.error);
        }
        if unsure.load(SeqCst) {
            // The host went away in the middle and may have the guest; nowhere else may it be made then. It is removed
            // when the host is back.
            return Err(error);
        }
        match run.conductor.move_build(run.row.id, &run.server, &mut run.input).await {
            Ok(Moved::Here(server)) => {
                run.left.push((flow.records().len(), run.server.host.take()));
                run.server = *server;
            }
            Ok(Moved::Away) => {
                // Nothing is owed here any more; the controller of the next host says how it ended.
                run.op.cancel.cancel();
                return Err(Error::new(ErrorKind::Cancelled, "the build goes on at another controller"));
            }
            Ok(Moved::Nowhere) => return Err(error),
            Err(e) => return Err(Error::internal("the next host could not be claimed", e)),
        }
        tried += 1;
    }
}

/// Spawns; `unsure` is set when the host was asked and, at the undo, does not say what became of it.
async fn spawn(flow: &mut Flow<'_>, run: &Run<'_>, unsure: &Arc<AtomicBool>) -> Result<Ending, Error> {
    // Taken up from an earlier life, it may have begun on a host that is away now.
    let host = run.host().inspect_err(|_| unsure.store(true, SeqCst))?;
    let assignment = run.assignment().await?;
    let (undo_client, id, generation) = (host.client.clone(), run.server.id, run.server.generation.unsigned_abs());
    // An undo is its own operation: the build's cancellation must not cancel it, and its time begins when it does. Without
    // a deadline a driver that hangs would keep it, and the guest's lane, until the whole flow is given up.
    let (flow_id, clock, limit) = (run.op.id, run.conductor.env.clock.clone(), run.conductor.options.deadline);
    let unsure = unsure.clone();
    let observed = flow
        .step(
            Step::Spawn,
            || {
                let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
                async move { client.spawn(assignment, &op).await }
            },
            move || {
                let (client, unsure, mut op) = (undo_client.clone(), unsure.clone(), Op::new(flow_id));
                op.deadline = Some(clock.steady().plus(limit));
                async move {
                    match client.destroy(id, generation, DestroyMode::Everything, &op).await {
                        // A host that went away cannot be asked; its orphans are removed when it is back.
                        Err(e) if e.kind == ErrorKind::Unreachable => {
                            unsure.store(true, SeqCst);
                            Ok(())
                        }
                        Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
                        other => other,
                    }
                }
            },
        )
        .await?;
    Ok(Ending::of(observed))
}
