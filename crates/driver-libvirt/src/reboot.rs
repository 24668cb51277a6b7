//! `reboot`: soft asks the guest and falls back to hard; hard works in any state.

use crate::error::from_rpc;
use crate::host::{Change, Host};
use crate::power::{LOOK_AGAIN, PRESS_AGAIN, start_anew};
use crate::rpc::calls::{Domain, State};
use crate::rpc::client::Client;
use crate::{destroy, disks, list};
use driver_api::{Error, InstanceSpec, Observed, Op, RebootKind, Result};
use std::time::Duration;
use tokio::time::Instant;

/// Reboots a guest.
pub(crate) async fn reboot(host: &Host, spec: &InstanceSpec, kind: RebootKind, op: &Op) -> Result<Observed> {
    let work = async {
        let _turn = host.turn(spec.id).await;
        let client = host.client()?;
        let domain = host.find(&client, spec.id).await?.map(|(domain, _)| domain);
        let done = match (&domain, kind) {
            (Some(domain), RebootKind::Soft) => soft(host, &client, domain, op).await?,
            _ => false,
        };
        if !done {
            hard(host, &client, spec, domain.as_ref(), op).await?;
        }
        list::get(host, spec.id).await
    };
    host.bounded(op, work).await
}

/// Presses the button with the wish to come back: libvirt resets the machine when the guest has shut down, so the
/// guest keeps its process, and no "stopped" is reported. True: it was reset.
async fn soft(host: &Host, client: &Client, domain: &Domain, op: &Op) -> Result<bool> {
    if client.state(domain).await.map_err(from_rpc)? != State::Running {
        return Ok(false);
    }
    let mut changes = host.changes.subscribe();
    let mut wait = Duration::from_secs(host.options.soft_reboot_seconds);
    if let Some(deadline) = op.deadline {
        // Time must be left for the hard one.
        wait = wait.min(deadline.since(host.context.clock.steady()) / 2);
    }
    let end = Instant::now() + wait;
    let mut press = Instant::now();
    loop {
        let now = Instant::now();
        if now >= end {
            tracing::info!(instance = %domain.uuid, "the guest did not answer a soft reboot; it becomes a hard one");
            return Ok(false);
        }
        if now >= press {
            if let Err(e) = client.reboot(domain).await {
                tracing::debug!(instance = %domain.uuid, error = %e, "soft reboot is not possible");
                return Ok(false);
            }
            press = now + PRESS_AGAIN;
        }
        match Host::next_change(&mut changes, LOOK_AGAIN.min(end.saturating_duration_since(now))).await {
            Some(Change::Rebooted(id)) if id == domain.uuid => return Ok(true),
            _ => {
                // The guest switched itself off for good: hard starts it.
                if client.state(domain).await.map_err(from_rpc)? == State::Off {
                    return Ok(false);
                }
            }
        }
    }
}

async fn hard(host: &Host, client: &Client, spec: &InstanceSpec, domain: Option<&Domain>, op: &Op) -> Result<()> {
    if disks::read_layout(&disks::dir_of(host, spec.id)).await?.is_none() {
        return Err(Error::no_instance(spec.id));
    }
    if let Some(domain) = domain {
        destroy::power_off(client, domain).await?;
        if client.has_managed_save(domain).await.map_err(from_rpc)? {
            client.managed_save_remove(domain).await.map_err(from_rpc)?;
        }
    }
    host.learn(spec.id);
    start_anew(host, client, spec, op).await
}
