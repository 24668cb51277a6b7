//! Build: spawn on the claimed host; if that host cannot, undo there and try the next.

use super::{Ending, Flow, Run, Step};
use driver_api::{Advice, DestroyMode, Error, ErrorKind, Op};

pub(crate) async fn run(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let mut tried = 1;
    loop {
        let mark = flow.mark();
        let error = match spawn(flow, run).await {
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
        match run.conductor.move_build(run.row.id, &run.server, &mut run.input).await {
            Ok(Some(server)) => {
                run.left.push((flow.records().len(), run.server.host.take()));
                run.server = server;
            }
            Ok(None) => return Err(error),
            Err(e) => return Err(Error::internal("the next host could not be claimed", e)),
        }
        tried += 1;
    }
}

async fn spawn(flow: &mut Flow<'_>, run: &Run<'_>) -> Result<Ending, Error> {
    let (host, assignment) = (run.host()?, run.assignment().await?);
    let (undo_client, id, generation) = (host.client.clone(), run.server.id, run.server.generation.unsigned_abs());
    // An undo is its own operation: the build's cancellation must not cancel it.
    let undo_op = Op::new(run.op.id);
    let observed = flow
        .step(
            Step::Spawn,
            || {
                let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
                async move { client.spawn(assignment, &op).await }
            },
            move || {
                let (client, op) = (undo_client.clone(), undo_op.clone());
                async move {
                    match client.destroy(id, generation, DestroyMode::Everything, &op).await {
                        // A host that went away cannot be asked; its orphans are removed when it is back.
                        Err(e) if matches!(e.kind, ErrorKind::Unreachable | ErrorKind::NotFound) => Ok(()),
                        other => other,
                    }
                }
            },
        )
        .await?;
    Ok(Ending::of(observed))
}
