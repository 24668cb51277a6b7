//! `destroy`: the absent is gone already, and gone is gone.

use crate::bench::{Bench, Verdict, ensure, refused, said};
use driver_api::{DestroyMode, ErrorKind, Power, PowerState};
use std::time::Duration;

pub(super) async fn destroy_of_the_absent_succeeds(b: &Bench<'_>) -> Verdict {
    let driver = b.driver();
    for mode in [DestroyMode::Everything, DestroyMode::KeepDisks] {
        said(&format!("destroy {mode:?} of the absent"), driver.destroy(b.fresh(), mode, &b.op()).await)?;
    }
    Ok(())
}

pub(super) async fn destroy_twice_leaves_nothing(b: &Bench<'_>) -> Verdict {
    let spec = b.guest().await?;
    let (driver, op) = (b.driver(), b.op());
    for what in ["destroy", "the same destroy again"] {
        said(what, driver.destroy(spec.id, DestroyMode::Everything, &op).await)?;
        b.gone(spec.id).await?;
    }
    Ok(())
}

pub(super) async fn destroy_works_in_any_state(b: &Bench<'_>) -> Verdict {
    let driver = b.driver();
    let off = b.guest().await?;
    said("power off", driver.power(&off, Power::Off { grace: Duration::ZERO }, &b.op()).await)?;
    let mut guests = vec![("stopped", off)];
    if let Some(facet) = driver.as_pause() {
        let paused = b.guest().await?;
        said("pause", facet.pause(paused.id, &b.op()).await)?;
        guests.push(("paused", paused));
    }
    if let Some(facet) = driver.as_suspend() {
        let suspended = b.guest().await?;
        said("suspend", facet.suspend(suspended.id, &b.op()).await)?;
        guests.push(("suspended", suspended));
    }
    for (state, spec) in guests {
        let destroyed = driver.destroy(spec.id, DestroyMode::Everything, &b.op()).await;
        said(&format!("destroy of a {state} guest"), destroyed)?;
        b.gone(spec.id).await.map_err(|why| format!("after destroy of a {state} guest: {why}"))?;
    }
    Ok(())
}

pub(super) async fn destroy_keeping_disks_forgets_the_guest(b: &Bench<'_>) -> Verdict {
    let spec = b.guest().await?;
    let (driver, op) = (b.driver(), b.op());
    for _ in 0..2 {
        said("destroy, keeping disks", driver.destroy(spec.id, DestroyMode::KeepDisks, &op).await)?;
    }
    refused("get", driver.get(spec.id).await, &[ErrorKind::NotFound])?;
    let all = said("list", driver.list().await)?;
    ensure(all.iter().all(|o| o.id != spec.id), || "list shows a guest of which only disks are left".to_owned())?;
    said("spawn upon the disks", driver.spawn(&spec, &b.op()).await)?;
    b.expect(spec.id, PowerState::Running).await?;
    said("destroy, keeping disks", driver.destroy(spec.id, DestroyMode::KeepDisks, &b.op()).await)?;
    said("destroy of the disks", driver.destroy(spec.id, DestroyMode::Everything, &b.op()).await)?;
    b.gone(spec.id).await
}
