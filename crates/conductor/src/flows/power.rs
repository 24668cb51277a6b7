//! Start and stop.

use super::{Ending, Flow, Run, Step};
use driver_api::{Error, Power};
use std::time::Duration;

pub(crate) async fn start(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    power(flow, run, Step::PowerOn, Power::On).await
}

pub(crate) async fn stop(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    // An image may ask for more or less (`os_shutdown_timeout`, seconds).
    let asked = run.server.body.image_properties.get("os_shutdown_timeout").and_then(|t| t.parse().ok());
    let grace = asked.map_or(run.conductor.options.shutdown_grace, Duration::from_secs);
    power(flow, run, Step::PowerOff, Power::Off { grace }).await
}

async fn power(flow: &mut Flow<'_>, run: &mut Run<'_>, step: Step, to: Power) -> Result<Ending, Error> {
    let (host, assignment) = (run.host()?, run.assignment().await?);
    let observed = flow
        .forward(step, || {
            let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
            async move { client.power(assignment, to, &op).await }
        })
        .await?;
    Ok(Ending::of(observed))
}
