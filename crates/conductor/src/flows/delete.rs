//! Delete: destroy at the host, then let go of everything. It took the server over from whatever ran.

use super::{Ending, Flow, Run, Step};
use driver_api::{DestroyMode, Error, ErrorKind};

pub(crate) async fn run(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let gone = Ending { gone: true, ..Ending::default() };
    if run.server.host.is_none() {
        return Ok(gone);
    }
    let Ok(host) = run.host() else {
        // The host is down: the server goes now, and the orphan reconciler removes the guest when the host is back.
        return Ok(gone);
    };
    let generation = run.server.generation.unsigned_abs();
    let outcome = flow
        .forward(Step::Destroy, || {
            let (client, id, op) = (host.client.clone(), run.server.id, run.op.clone());
            async move { client.destroy(id, generation, DestroyMode::Everything, &op).await }
        })
        .await;
    match outcome {
        Ok(()) => Ok(gone),
        Err(e) if matches!(e.kind, ErrorKind::Unreachable | ErrorKind::NotFound) => Ok(gone),
        Err(e) => Err(e),
    }
}
