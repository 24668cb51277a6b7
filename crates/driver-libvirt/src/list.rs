//! `list` and `get`: what the daemon says, of our guests only.

use crate::domain_xml::Meta;
use crate::error::from_rpc;
use crate::host::Host;
use crate::rpc::calls::{Domain, State, stats};
use crate::rpc::client::Client;
use driver_api::{Observed, PowerState, Result};
use futures_util::future::try_join_all;
use std::collections::BTreeSet;
use uuid::Uuid;

/// Metadata questions under way at once.
const AT_ONCE: usize = 32;

/// Every guest of this host, by identity.
pub(crate) async fn list(host: &Host) -> Result<Vec<Observed>> {
    let client = host.client()?;
    let states = client.stats(&[], stats::STATE).await.map_err(from_rpc)?;
    let saved: BTreeSet<Uuid> = client.list(true).await.map_err(from_rpc)?.into_iter().map(|d| d.uuid).collect();
    let mut out = Vec::new();
    for chunk in states.chunks(AT_ONCE) {
        let metas = try_join_all(chunk.iter().map(|(domain, _)| host.meta(&client, domain))).await?;
        for ((domain, counters), meta) in chunk.iter().zip(metas) {
            let Some(meta) = meta else { continue };
            let number = counters.iter().find(|p| p.field == "state.state").and_then(|p| p.value.as_u64()).unwrap_or(0);
            let state = State::from_code(i64::try_from(number).unwrap_or(0));
            host.learn(domain.uuid);
            out.push(observed(host, domain, meta, power_of(state, saved.contains(&domain.uuid))));
        }
    }
    out.sort_by_key(|o| o.id);
    Ok(out)
}

/// One guest.
pub(crate) async fn get(host: &Host, id: Uuid) -> Result<Observed> {
    let client = host.client()?;
    let (domain, meta) = host.must_find(&client, id).await?;
    observe(host, &client, &domain, meta).await
}

/// State of a domain that was found.
pub(crate) async fn observe(host: &Host, client: &Client, domain: &Domain, meta: Meta) -> Result<Observed> {
    Ok(observed(host, domain, meta, power(client, domain).await?))
}

/// Power state of a domain.
pub(crate) async fn power(client: &Client, domain: &Domain) -> Result<PowerState> {
    let state = client.state(domain).await.map_err(from_rpc)?;
    let saved = state == State::Off && client.has_managed_save(domain).await.map_err(from_rpc)?;
    Ok(power_of(state, saved))
}

fn power_of(state: State, saved: bool) -> PowerState {
    match state {
        State::Running | State::ShuttingDown => PowerState::Running,
        State::Paused => PowerState::Paused,
        State::Off if saved => PowerState::Suspended,
        State::Off => PowerState::Shutdown,
        State::Crashed => PowerState::Crashed,
        State::Asleep => PowerState::Suspended,
        State::None => PowerState::NoState,
    }
}

fn observed(host: &Host, domain: &Domain, meta: Meta, power: PowerState) -> Observed {
    Observed {
        id: domain.uuid,
        generation: meta.generation,
        power,
        node: host.context.host.clone(),
        backend_name: domain.name.clone(),
        root_device: meta.root_device,
    }
}
