//! Operations that cross on one guest. The agent keeps them apart, but an agent that died leaves its last one running.

use crate::bench::{Bench, Verdict, ensure, said, words};
use driver_api::{DestroyMode, ErrorKind, Power, PowerState, RebootKind, Result};
use std::time::Duration;

/// What a change may say when another one is at work on the same guest.
fn peaceful<T>(what: &str, result: Result<T>) -> Verdict {
    match result {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.kind, ErrorKind::Busy | ErrorKind::NotFound | ErrorKind::InvalidSpec) => Ok(()),
        Err(e) => Err(format!("{what}, while others were at work on the guest: {}", words(&e))),
    }
}

pub(super) async fn crossing_changes_leave_one_guest(b: &Bench<'_>) -> Verdict {
    let spec = b.guest().await?;
    let driver = b.driver();
    let ops = [b.op(), b.op(), b.op(), b.op()];
    let (off, on, reboot, spawn) = tokio::join!(
        driver.power(&spec, Power::Off { grace: Duration::ZERO }, &ops[0]),
        driver.power(&spec, Power::On, &ops[1]),
        driver.reboot(&spec, RebootKind::Hard, &ops[2]),
        driver.spawn(&spec, &ops[3]),
    );
    peaceful("power off", off)?;
    peaceful("power on", on)?;
    peaceful("reboot", reboot)?;
    peaceful("spawn", spawn)?;
    b.observed(spec.id).await?;
    let again = b.patiently(|| async { driver.spawn(&spec, &b.op()).await }).await;
    said("spawn afterwards", again)?;
    b.expect(spec.id, PowerState::Running).await
}

pub(super) async fn crossing_spawn_and_destroy_leave_nothing(b: &Bench<'_>) -> Verdict {
    let spec = b.spec().await?;
    let driver = b.driver();
    let ops = [b.op(), b.op()];
    let (spawned, destroyed) = tokio::join!(
        driver.spawn(&spec, &ops[0]),
        driver.destroy(spec.id, DestroyMode::Everything, &ops[1])
    );
    // A spawn whose ground was taken away may fail in any way, but it may not leave half a guest.
    let there = spawned.is_ok();
    peaceful("destroy", destroyed)?;
    if !there {
        let all = said("list", driver.list().await)?;
        let half = all.iter().any(|o| o.id == spec.id);
        ensure(!half, || "the spawn failed and its guest is there".to_owned())?;
    }
    let again = b.patiently(|| async { driver.destroy(spec.id, DestroyMode::Everything, &b.op()).await }).await;
    said("destroy afterwards", again)?;
    b.gone(spec.id).await
}
