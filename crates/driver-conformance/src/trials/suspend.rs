//! Facet `suspend`.

use crate::bench::{Bench, Verdict, ensure, said};
use driver_api::PowerState;

const NONE: &str = "the facet went away";

pub(super) async fn suspend_twice_and_back(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_suspend().ok_or(NONE)?;
    let op = b.op();
    for what in ["suspend", "the same suspend again"] {
        let seen = said(what, facet.suspend(spec.id, &op).await)?;
        ensure(seen.power == PowerState::Suspended, || format!("{what} answered {:?}", seen.power))?;
    }
    b.expect(spec.id, PowerState::Suspended).await?;
    let op = b.op();
    for what in ["resume", "the same resume again"] {
        let seen = said(what, facet.resume(&spec, &op).await)?;
        ensure(seen.power == PowerState::Running, || format!("{what} answered {:?}", seen.power))?;
    }
    b.expect(spec.id, PowerState::Running).await
}

pub(super) async fn suspended_guests_outlive_the_driver(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    {
        let driver = b.driver();
        let facet = driver.as_suspend().ok_or(NONE)?;
        said("suspend", facet.suspend(spec.id, &b.op()).await)?;
    }
    b.reopen(false).await?;
    b.expect(spec.id, PowerState::Suspended).await?;
    let driver = b.driver();
    let facet = driver.as_suspend().ok_or(NONE)?;
    said("resume after the restart", facet.resume(&spec, &b.op()).await)?;
    b.expect(spec.id, PowerState::Running).await
}
