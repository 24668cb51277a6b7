//! Pause in memory, and back.

use super::{Ending, Flow, Run, Step};
use driver_api::Error;

pub(crate) async fn pause(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let (host, assignment) = (run.host()?, run.assignment().await?);
    let observed = flow
        .forward(Step::Pause, || {
            let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
            async move { client.pause(assignment, &op).await }
        })
        .await?;
    Ok(Ending::of(observed))
}

pub(crate) async fn unpause(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let (host, assignment) = (run.host()?, run.assignment().await?);
    let observed = flow
        .forward(Step::Unpause, || {
            let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
            async move { client.unpause(assignment, &op).await }
        })
        .await?;
    Ok(Ending::of(observed))
}
