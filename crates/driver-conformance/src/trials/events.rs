//! Lifecycle events.

use crate::bench::{Bench, Verdict, ensure, said};
use driver_api::{EventKind, Power};
use std::time::Duration;

pub(super) async fn events_tell_of_every_change(b: &Bench<'_>) -> Verdict {
    let spec = b.guest().await?;
    let (driver, id) = (b.driver(), spec.id);
    b.event(id, EventKind::Started).await?;
    if let Some(facet) = driver.as_pause() {
        said("pause", facet.pause(id, &b.op()).await)?;
        b.event(id, EventKind::Paused).await?;
        said("unpause", facet.unpause(id, &b.op()).await)?;
        b.event(id, EventKind::Resumed).await?;
    }
    said("power off", driver.power(&spec, Power::Off { grace: Duration::ZERO }, &b.op()).await)?;
    b.event(id, EventKind::Stopped).await?;
    said("power on", driver.power(&spec, Power::On, &b.op()).await)?;
    b.event(id, EventKind::Started).await
}

pub(super) async fn events_are_taken_once_and_end(b: &Bench<'_>) -> Verdict {
    let driver = b.driver();
    ensure(driver.events().is_none(), || "the stream of events was given away twice".to_owned())?;
    driver.stop().await;
    b.events_end().await?;
    drop(driver);
    b.reopen(false).await
}
