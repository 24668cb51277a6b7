//! Whether the backend answers, and what it offers while it does.
//!
//! A backend that went away and came back may have changed anything meanwhile, so it is listed again and every guest
//! whose power state is not the one last known is reported as if its event had arrived.

use crate::host::Host;
use driver_api::{DriverEvent, EventKind, Node, Observed, PowerState, Result, Timestamp, facets_of, traits_of};
use messaging::Registration;
use std::collections::BTreeMap;
use std::net::IpAddr;
use uuid::Uuid;

/// What a look at the backend found.
pub(crate) struct Look {
    pub(crate) registration: Registration,
    /// All guests, where the look was to list them.
    pub(crate) guests: Option<Vec<Observed>>,
}

impl Host {
    /// Asks the backend what it offers, and lists its guests if asked to.
    pub(crate) async fn look(&self, vtep: Option<IpAddr>, list: bool) -> Result<Look> {
        let mut nodes = self.driver.nodes().await?;
        self.address(&mut nodes, vtep).await;
        let guests = if list { Some(self.list().await?) } else { None };
        let driver = &*self.driver;
        let mut traits = traits_of(driver);
        traits.extend(nodes.iter().flat_map(|n| n.traits.iter().cloned()));
        traits.sort();
        traits.dedup();
        let registration = Registration {
            driver: driver.info(),
            facets: facets_of(driver).into_iter().map(str::to_owned).collect(),
            traits,
            nodes,
            vtep,
            networking: self.wires().is_some() || self.driver.info().owns.network,
        };
        Ok(Look { registration, guests })
    }

    /// Nodes whose driver names no address show the tunnel endpoint, or what the host's network says.
    async fn address(&self, nodes: &mut [Node], vtep: Option<IpAddr>) {
        if nodes.iter().all(|n| n.host_ip.is_some()) {
            return;
        }
        let found = match (vtep, self.wires()) {
            (Some(vtep), _) => Some(vtep),
            (None, Some(wiring)) => wiring.address().await,
            (None, None) => None,
        };
        for node in nodes.iter_mut().filter(|n| n.host_ip.is_none()) {
            node.host_ip = found.map(|ip| ip.to_string());
        }
    }
}

/// Power states last known, and what follows from a fresh list.
#[derive(Debug, Default)]
pub(crate) struct Known(BTreeMap<Uuid, PowerState>);

impl Known {
    pub(crate) fn observed(&mut self, o: &Observed) {
        self.0.insert(o.id, o.power);
    }

    pub(crate) fn forget(&mut self, id: Uuid) {
        self.0.remove(&id);
    }

    pub(crate) fn event(&mut self, e: &DriverEvent) {
        let power = match e.kind {
            EventKind::Started | EventKind::Resumed => PowerState::Running,
            EventKind::Stopped => PowerState::Shutdown,
            EventKind::Paused => PowerState::Paused,
            EventKind::Suspended => PowerState::Suspended,
            EventKind::Crashed => PowerState::Crashed,
            EventKind::Connected | EventKind::Disconnected => return,
        };
        self.0.insert(e.id, power);
    }

    /// Takes the list over; the answer is one event for every guest that changed unseen. A guest seen for the first
    /// time is no change. `skip` names guests that an operation is at work on.
    pub(crate) fn relist(&mut self, guests: &[Observed], at: Timestamp, skip: impl Fn(Uuid) -> bool) -> Vec<DriverEvent> {
        let now: BTreeMap<Uuid, PowerState> = guests.iter().map(|o| (o.id, o.power)).collect();
        let mut events = Vec::new();
        for (id, before) in &self.0 {
            // A guest that is gone can say no more than that it does not run.
            let after = now.get(id).copied().unwrap_or(PowerState::Shutdown);
            if after != *before && !skip(*id) {
                events.push(DriverEvent { id: *id, kind: event_of(*before, after), at });
            }
        }
        self.0 = now;
        events
    }
}

fn event_of(before: PowerState, after: PowerState) -> EventKind {
    match (before, after) {
        (PowerState::Paused | PowerState::Suspended, PowerState::Running) => EventKind::Resumed,
        (_, PowerState::Running) => EventKind::Started,
        (_, PowerState::Paused) => EventKind::Paused,
        (_, PowerState::Suspended) => EventKind::Suspended,
        (_, PowerState::Crashed) => EventKind::Crashed,
        (_, PowerState::Shutdown | PowerState::NoState) => EventKind::Stopped,
    }
}
