//! Facet `pause`.

use crate::bench::{Bench, Verdict, ensure, said};
use driver_api::{Power, PowerState};
use std::time::Duration;

const NONE: &str = "the facet went away";

pub(super) async fn pause_twice_and_back(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_pause().ok_or(NONE)?;
    let op = b.op();
    for what in ["pause", "the same pause again"] {
        let seen = said(what, facet.pause(spec.id, &op).await)?;
        ensure(seen.power == PowerState::Paused, || format!("{what} answered {:?}", seen.power))?;
    }
    b.expect(spec.id, PowerState::Paused).await?;
    let op = b.op();
    for what in ["unpause", "the same unpause again"] {
        let seen = said(what, facet.unpause(spec.id, &op).await)?;
        ensure(seen.power == PowerState::Running, || format!("{what} answered {:?}", seen.power))?;
    }
    b.expect(spec.id, PowerState::Running).await
}

pub(super) async fn pause_of_a_stopped_guest_is_refused(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_pause().ok_or(NONE)?;
    said("power off", driver.power(&spec, Power::Off { grace: Duration::ZERO }, &b.op()).await)?;
    ensure(facet.pause(spec.id, &b.op()).await.is_err(), || "a stopped guest was paused".to_owned())?;
    ensure(facet.unpause(spec.id, &b.op()).await.is_err(), || "a stopped guest was unpaused".to_owned())?;
    b.expect(spec.id, PowerState::Shutdown).await
}
