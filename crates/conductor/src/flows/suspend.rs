//! Suspend to disk, and back to the state it had.

use super::{Ending, Flow, Run, Step};
use crate::accept::resumed;
use driver_api::Error;

pub(crate) async fn suspend(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let (host, assignment) = (run.host()?, run.assignment().await?);
    let observed = flow
        .forward(Step::Suspend, || {
            let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
            async move { client.suspend(assignment, &op).await }
        })
        .await?;
    Ok(Ending::of(observed))
}

pub(crate) async fn resume(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let (host, assignment) = (run.host()?, run.assignment().await?);
    let observed = flow
        .forward(Step::Resume, || {
            let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
            async move { client.resume(assignment, &op).await }
        })
        .await?;
    Ok(Ending { vm_state: Some(resumed(&run.server)), ..Ending::of(observed) })
}
