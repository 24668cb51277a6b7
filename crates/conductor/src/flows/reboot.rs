//! Reboot, soft and hard.

use super::{Ending, Flow, Run, Step};
use driver_api::{Error, RebootKind};
use model::Action;

pub(crate) async fn run(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let (kind, step) = match run.row.action {
        Action::RebootHard => (RebootKind::Hard, Step::RebootHard),
        _ => (RebootKind::Soft, Step::RebootSoft),
    };
    let (host, assignment) = (run.host()?, run.assignment().await?);
    let observed = flow
        .forward(step, || {
            let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
            async move { client.reboot(assignment, kind, &op).await }
        })
        .await?;
    Ok(Ending::of(observed))
}
