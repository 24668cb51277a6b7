//! `power`: on from the specification, off by the button and then by the plug.

use crate::disks;
use crate::error::from_rpc;
use crate::hardware::Hardware;
use crate::host::{Change, Host};
use crate::rpc::calls::{Domain, State};
use crate::rpc::client::Client;
use crate::{destroy, list, spawn};
use driver_api::{Error, InstanceSpec, Observed, Op, Power, PowerState, Result};
use std::time::Duration;
use tokio::time::Instant;

/// A guest that is still booting misses the button; it is pressed again.
pub(crate) const PRESS_AGAIN: Duration = Duration::from_secs(10);
/// Events tell at once; the state is asked this often in case one was lost.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Starts or stops a guest.
pub(crate) async fn power(host: &Host, spec: &InstanceSpec, to: Power, op: &Op) -> Result<Observed> {
    let work = async {
        let _turn = host.turn(spec.id).await;
        let client = host.client()?;
        let (domain, _) = host.must_find(&client, spec.id).await?;
        match to {
            Power::On => on(host, &client, spec, &domain, op).await?,
            Power::Off { grace } => off(host, &client, &domain, grace).await?,
        }
        list::get(host, spec.id).await
    };
    host.bounded(op, work).await
}

async fn on(host: &Host, client: &Client, spec: &InstanceSpec, domain: &Domain, op: &Op) -> Result<()> {
    match list::power(client, domain).await? {
        PowerState::Shutdown | PowerState::Crashed | PowerState::NoState => start_anew(host, client, spec, op).await,
        // With memory saved, on means going on from there.
        PowerState::Running | PowerState::Paused | PowerState::Suspended => spawn::run(client, domain).await,
    }
}

/// Defines a stopped guest again from its specification, which may have changed, and starts it.
pub(crate) async fn start_anew(host: &Host, client: &Client, spec: &InstanceSpec, op: &Op) -> Result<()> {
    let hardware = Hardware::of(spec, &host.options)?;
    let dir = disks::dir_of(host, spec.id);
    let layout = disks::read_layout(&dir)
        .await?
        .ok_or_else(|| Error::internal("the guest's disks are gone from the host", dir.display()))?;
    disks::repair(host, spec, &dir, &layout, op).await?;
    let domain = spawn::define(host, client, spec, &hardware, &layout).await?;
    client.create(&domain).await.map(drop).map_err(from_rpc)
}

async fn off(host: &Host, client: &Client, domain: &Domain, grace: Duration) -> Result<()> {
    match list::power(client, domain).await? {
        PowerState::Shutdown | PowerState::Crashed => return Ok(()),
        PowerState::Suspended => return client.managed_save_remove(domain).await.map_err(from_rpc),
        // A guest whose CPUs stand still hears no button.
        PowerState::Paused | PowerState::NoState => {}
        PowerState::Running => {
            if !grace.is_zero() && ask(host, client, domain, grace).await? {
                return Ok(());
            }
        }
    }
    destroy::power_off(client, domain).await
}

/// Presses the button and waits. True: the guest went off.
async fn ask(host: &Host, client: &Client, domain: &Domain, grace: Duration) -> Result<bool> {
    let mut changes = host.changes.subscribe();
    let end = Instant::now() + grace;
    let mut press = Instant::now();
    loop {
        match client.state(domain).await.map_err(from_rpc)? {
            State::Off | State::Crashed => return Ok(true),
            _ => {}
        }
        let now = Instant::now();
        if now >= end {
            return Ok(false);
        }
        if now >= press {
            if let Err(e) = client.shutdown(domain).await {
                tracing::debug!(instance = %domain.uuid, error = %e, "the power button was not pressed");
            }
            press = now + PRESS_AGAIN;
        }
        let tick = LOOK_AGAIN.min(end.saturating_duration_since(now));
        let mut left = tick;
        let began = Instant::now();
        // Other guests' changes do not make us ask about this one.
        while let Some(change) = Host::next_change(&mut changes, left).await {
            if change == Change::State(domain.uuid) {
                break;
            }
            left = tick.saturating_sub(began.elapsed());
        }
    }
}
