//! Drivers that are stopped, dropped and opened again; backends that fall silent.

use crate::bench::{Bench, Verdict, ensure, refused, said};
use crate::shelf::Reading;
use driver_api::{DestroyMode, ErrorKind, EventKind, Power, PowerState};
use std::time::Duration;
use uuid::Uuid;

pub(super) async fn guests_outlive_the_driver(b: &Bench<'_>) -> Verdict {
    outlive(b, true).await
}

pub(super) async fn guests_outlive_a_death(b: &Bench<'_>) -> Verdict {
    outlive(b, false).await
}

async fn outlive(b: &Bench<'_>, politely: bool) -> Verdict {
    let (runs, off) = (b.shared().await?, b.guest().await?);
    said("power off", b.driver().power(&off, Power::Off { grace: Duration::ZERO }, &b.op()).await)?;
    let before = [b.observed(runs.id).await?, b.observed(off.id).await?];
    b.reopen(politely).await?;
    let after = [b.observed(runs.id).await?, b.observed(off.id).await?];
    ensure(before == after, || format!("before the restart {before:?}, after it {after:?}"))?;
    said("power on after the restart", b.driver().power(&off, Power::On, &b.op()).await)?;
    b.expect(off.id, PowerState::Running).await
}

pub(super) async fn a_death_in_mid_spawn_can_be_repaired(b: &Bench<'_>) -> Verdict {
    let stalled = b.image(Reading::Stalled)?;
    let spec = b.spec_of(stalled.clone()).await?;
    let op = b.op();
    {
        let driver = b.driver();
        let half = async {
            tokio::select! {
                biased;
                result = driver.spawn(&spec, &op) => said("spawn", result).map(drop),
                () = b.shelf.stalled(stalled.id) => Ok(()),
            }
        };
        b.soon("the middle of a spawn", half).await??;
    }
    b.reopen(false).await?;
    let boot = b.lab.ground.image();
    b.shelf.add(stalled.id, boot.format, boot.bytes, Reading::Whole);
    let driver = b.driver();
    let again = b.patiently(|| async { driver.spawn(&spec, &op).await }).await;
    said("the same spawn after the driver died in it", again)?;
    b.expect(spec.id, PowerState::Running).await?;
    said("destroy", driver.destroy(spec.id, DestroyMode::Everything, &b.op()).await)?;
    b.gone(spec.id).await
}

pub(super) async fn a_silent_backend_is_unreachable(b: &Bench<'_>) -> Verdict {
    const KINDS: &[ErrorKind] = &[ErrorKind::Unreachable];
    let spec = b.shared().await?;
    let driver = b.driver();
    b.lab.ground.set_reachable(false).await;
    b.event(Uuid::nil(), EventKind::Disconnected).await?;
    refused("nodes", driver.nodes().await, KINDS)?;
    refused("list", driver.list().await, KINDS)?;
    refused("get", driver.get(spec.id).await, KINDS)?;
    refused("power", driver.power(&spec, Power::On, &b.op()).await, KINDS)?;
    let destroyed = driver.destroy(spec.id, DestroyMode::Everything, &b.op()).await;
    refused("destroy", destroyed, KINDS)?;
    drop(driver);
    // A driver that starts while the backend is silent starts all the same.
    b.reopen(true).await?;
    refused("nodes", b.driver().nodes().await, KINDS)?;
    b.lab.ground.set_reachable(true).await;
    b.event(Uuid::nil(), EventKind::Connected).await?;
    b.observed(spec.id).await.map(drop)
}

pub(super) async fn a_backend_that_returns_is_found(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    b.lab.ground.set_reachable(false).await;
    b.event(Uuid::nil(), EventKind::Disconnected).await?;
    b.lab.ground.set_reachable(true).await;
    b.event(Uuid::nil(), EventKind::Connected).await?;
    let driver = b.driver();
    said("nodes", driver.nodes().await)?;
    said("hard reboot", driver.reboot(&spec, driver_api::RebootKind::Hard, &b.op()).await)?;
    b.expect(spec.id, PowerState::Running).await
}
