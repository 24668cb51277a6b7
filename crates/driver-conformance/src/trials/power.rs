//! `power` and `reboot`.

use crate::bench::{Bench, Verdict, ensure, said};
use driver_api::{Power, PowerState, RebootKind};
use std::time::Duration;

const OFF: Power = Power::Off { grace: Duration::ZERO };

pub(super) async fn power_goes_off_and_on_twice(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    for (to, power) in [(OFF, PowerState::Shutdown), (Power::On, PowerState::Running)] {
        let op = b.op();
        for what in ["power", "the same power again"] {
            let seen = said(&format!("{what} {to:?}"), driver.power(&spec, to, &op).await)?;
            ensure(seen.power == power, || format!("{what} {to:?} answered {:?}", seen.power))?;
        }
        said(&format!("another power {to:?}"), driver.power(&spec, to, &b.op()).await)?;
        b.expect(spec.id, power).await?;
    }
    Ok(())
}

pub(super) async fn power_works_beside_other_guests(b: &Bench<'_>) -> Verdict {
    let (one, other) = (b.shared().await?, b.guest().await?);
    let driver = b.driver();
    let before = b.observed(one.id).await?;
    said("power off", driver.power(&other, OFF, &b.op()).await)?;
    b.expect(other.id, PowerState::Shutdown).await?;
    let after = b.observed(one.id).await?;
    ensure(before == after, || format!("another guest changed from {before:?} to {after:?}"))
}

pub(super) async fn hard_reboot_works_in_any_state(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let (driver, op) = (b.driver(), b.op());
    for what in ["hard reboot", "the same hard reboot again"] {
        let seen = said(what, driver.reboot(&spec, RebootKind::Hard, &op).await)?;
        ensure(seen.power == PowerState::Running, || format!("{what} left the guest {:?}", seen.power))?;
    }
    said("power off", driver.power(&spec, OFF, &b.op()).await)?;
    said("hard reboot of a stopped guest", driver.reboot(&spec, RebootKind::Hard, &b.op()).await)?;
    b.expect(spec.id, PowerState::Running).await?;
    if let Some(facet) = driver.as_pause() {
        said("pause", facet.pause(spec.id, &b.op()).await)?;
        said("hard reboot of a paused guest", driver.reboot(&spec, RebootKind::Hard, &b.op()).await)?;
        b.expect(spec.id, PowerState::Running).await?;
    }
    Ok(())
}

pub(super) async fn soft_reboot_ends_running(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let seen = said("soft reboot", b.driver().reboot(&spec, RebootKind::Soft, &b.op()).await)?;
    ensure(seen.power == PowerState::Running, || format!("a soft reboot left the guest {:?}", seen.power))?;
    b.expect(spec.id, PowerState::Running).await
}
