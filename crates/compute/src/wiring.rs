//! What the agent asks of the host's network around the driver's calls, and what it remembers of it.
//!
//! One change at a time, under one lock: a `sync` that begins while a guest is being plugged must neither miss it nor
//! bring back one that is being destroyed.

use crate::assignments::Assignments;
use crate::host::Host;
use async_trait::async_trait;
use driver_api::{Clock, Error, ErrorKind, InstanceSpec, NicSpec, Result};
use guestdata::{Guest, Secret};
use hostnet::{HostNet, MetadataSource, PasswordRefused};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// The host's network as the agent sees it. A host without one (`networking = false`, or a backend that owns the
/// network) has no implementation at all.
#[async_trait]
pub trait Wiring: Send + Sync {
    /// Wires these interfaces; afterwards a guest may be started on their devices. Again is fine.
    /// # Errors
    /// Any; what was made stays until `unplug`.
    async fn plug(&self, nics: &[NicSpec]) -> Result<()>;
    /// Takes over changes of interfaces that are wired; others are ignored.
    /// # Errors
    /// Any.
    async fn refresh(&self, nics: &[NicSpec]) -> Result<()>;
    /// Takes these interfaces away; the absent is no error.
    /// # Errors
    /// Any.
    async fn unplug(&self, nics: &[NicSpec]) -> Result<()>;
    /// Makes the host have exactly these interfaces.
    /// # Errors
    /// Any.
    async fn sync(&self, desired: &[NicSpec]) -> Result<()>;
    /// Address that the host shows to operators, where its network knows one.
    async fn address(&self) -> Option<IpAddr> {
        None
    }
    /// The agent goes; wires stay for the guests that go on.
    async fn close(&self) {}
}

/// What is wired.
#[derive(Default)]
pub(crate) struct Wired {
    /// Interfaces by guest, as they were wired last.
    guests: BTreeMap<Uuid, Vec<NicSpec>>,
    /// Interfaces of guests that are gone, which would not go with them.
    left: Vec<NicSpec>,
}

/// How long the host's network is left alone after it would not let a wire go, at first and at most.
const LEFT_FIRST: Duration = Duration::from_secs(5);
const LEFT_MOST: Duration = Duration::from_secs(300);

impl Host {
    /// The network, where this host wires ports itself.
    pub(crate) fn wires(&self) -> Option<&dyn Wiring> {
        self.wiring.as_deref().filter(|_| !self.driver.info().owns.network)
    }

    /// The specification with the names of the host-side devices, where this host wires ports.
    pub(crate) fn with_devices(&self, spec: &InstanceSpec) -> InstanceSpec {
        let mut spec = spec.clone();
        if self.wires().is_some() {
            for nic in &mut spec.nics {
                nic.device = hostnet::tap_name(nic.port_id);
            }
        }
        spec
    }

    /// Makes sure of the guest's wires, and takes away those that its specification does not name any more.
    pub(crate) async fn wire(&self, spec: &InstanceSpec) -> Result<InstanceSpec> {
        let spec = self.with_devices(spec);
        if let Some(wiring) = self.wires() {
            let mut wired = self.wired.lock().await;
            // A port that comes back is no remainder any more.
            wired.left.retain(|n| !has(&spec.nics, n));
            let before = wired.guests.insert(spec.id, spec.nics.clone()).unwrap_or_default();
            drop_absent(wiring, &before, &spec.nics).await?;
            wiring.plug(&spec.nics).await?;
        }
        Ok(spec)
    }

    /// Takes all wires of a guest away, which is gone. `named` are its interfaces as its last assignment has them, for an
    /// agent that did not wire them itself. Wires that will not go keep nobody waiting: without a guest they carry
    /// nothing, so they are said once, left over, and taken away by [`Host::unwire_left`] or the next `sync`. True: some
    /// were left.
    pub(crate) async fn unwire(&self, id: Uuid, named: Option<&InstanceSpec>) -> bool {
        let Some(wiring) = self.wires() else { return false };
        let mut wired = self.wired.lock().await;
        let mut nics = wired.guests.remove(&id).unwrap_or_default();
        if let Some(spec) = named {
            let more: Vec<NicSpec> = self.with_devices(spec).nics.into_iter().filter(|n| !has(&nics, n)).collect();
            nics.extend(more);
        }
        // A port may have moved to another guest meanwhile.
        nics.retain(|n| !wired.guests.values().any(|g| has(g, n)));
        if nics.is_empty() {
            return false;
        }
        let Err(e) = wiring.unplug(&nics).await else {
            wired.left.retain(|n| !has(&nics, n));
            return false;
        };
        let devices: Vec<&str> = nics.iter().map(|n| n.device.as_str()).collect();
        tracing::warn!(
            host = self.name, instance = %id, ?devices, error = %e, detail = e.detail,
            "the guest is gone and its wires are not; they are taken away later"
        );
        let more: Vec<NicSpec> = nics.into_iter().filter(|n| !has(&wired.left, n)).collect();
        wired.left.extend(more);
        true
    }

    /// Tries once more to take away what guests that are gone have left. True: nothing is left.
    pub(crate) async fn unwire_left(&self) -> bool {
        let Some(wiring) = self.wires() else { return true };
        let mut wired = self.wired.lock().await;
        let left = std::mem::take(&mut wired.left);
        if left.is_empty() {
            return true;
        }
        // One by one: a wire that is stuck holds up no other.
        for nic in left {
            match wiring.unplug(std::slice::from_ref(&nic)).await {
                Ok(()) => tracing::info!(host = self.name, device = nic.device, "a wire that was left is gone"),
                Err(e) => {
                    tracing::debug!(host = self.name, device = nic.device, error = %e, detail = e.detail, "a wire stays");
                    wired.left.push(nic);
                }
            }
        }
        wired.left.is_empty()
    }

    /// Tries until nothing is left.
    pub(crate) async fn keep_unwiring(&self, clock: &Clock) {
        let mut pause = LEFT_FIRST;
        loop {
            clock.sleep(pause).await;
            if self.unwire_left().await {
                return;
            }
            pause = (pause * 2).min(LEFT_MOST);
        }
    }

    /// Wires of these guests become what their assignments say now. Those that are not wired stay so. Refreshes that
    /// wait for the lock together are done by the first of them.
    pub(crate) async fn refresh(&self, ids: BTreeSet<Uuid>) -> Result<()> {
        let Some(wiring) = self.wires() else { return Ok(()) };
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        let mut wired = self.wired.lock().await;
        let ids = std::mem::take(&mut *self.stale.lock().unwrap_or_else(PoisonError::into_inner));
        let done = refresh(wiring, self, &mut wired.guests, &ids).await;
        if done.is_err() {
            // The next refresh tries these again.
            self.stale.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        }
        done
    }

    /// The host's wires become exactly those of the guests that are assigned and there; a guest that is being made
    /// has its wires already. While the backend does not answer, an assigned guest counts as there.
    pub(crate) async fn sync(&self) -> Result<()> {
        let Some(wiring) = self.wires() else { return Ok(()) };
        let there: Option<BTreeSet<Uuid>> = self.driver.list().await.ok().map(|all| all.iter().map(|o| o.id).collect());
        let mut wired = self.wired.lock().await;
        let mut desired = BTreeMap::new();
        for id in self.assignments.ids() {
            let there = there.as_ref().is_none_or(|t| t.contains(&id)) || wired.guests.contains_key(&id);
            if let Some(a) = self.assignments.get(id).filter(|_| there) {
                desired.insert(id, self.with_devices(&a.spec).nics);
            }
        }
        let nics: Vec<NicSpec> = desired.values().flatten().cloned().collect();
        wired.guests = desired;
        wiring.sync(&nics).await?;
        // It knows what is there by looking, so what was left is gone too.
        wired.left.clear();
        Ok(())
    }
}

async fn refresh(
    wiring: &dyn Wiring,
    host: &Host,
    wired: &mut BTreeMap<Uuid, Vec<NicSpec>>,
    ids: &BTreeSet<Uuid>,
) -> Result<()> {
    let mut nics = Vec::new();
    for id in ids {
        let Some(a) = host.assignments.get(*id) else { continue };
        let Some(before) = wired.get_mut(id) else { continue };
        let now = host.with_devices(&a.spec).nics;
        // A port that was taken from the guest must not speak under an address that may be another's by now.
        drop_absent(wiring, before, &now).await?;
        nics.extend(now.iter().filter(|n| has(before, n)).cloned());
        before.retain(|n| has(&now, n));
    }
    if nics.is_empty() { Ok(()) } else { wiring.refresh(&nics).await }
}

fn has(nics: &[NicSpec], nic: &NicSpec) -> bool {
    nics.iter().any(|n| n.port_id == nic.port_id)
}

async fn drop_absent(wiring: &dyn Wiring, before: &[NicSpec], now: &[NicSpec]) -> Result<()> {
    let gone: Vec<NicSpec> = before.iter().filter(|n| !has(now, n)).cloned().collect();
    if gone.is_empty() { Ok(()) } else { wiring.unplug(&gone).await }
}

/// The agent's words for a failure of the host's network. What cannot be wired here may be wired on another host.
fn failed(e: &hostnet::Error) -> Error {
    let kind = match e {
        hostnet::Error::BadPort { .. } | hostnet::Error::BadNetwork { .. } | hostnet::Error::Uplink { .. } => {
            ErrorKind::UnsupportedSpec
        }
        hostnet::Error::InUse(_) | hostnet::Error::NoNamespace(_) => ErrorKind::Unreachable,
        hostnet::Error::Command { .. } | hostnet::Error::Io { .. } | hostnet::Error::Output { .. } => {
            ErrorKind::Internal
        }
    };
    let source = std::error::Error::source(e).map(|s| format!(": {s}")).unwrap_or_default();
    Error::new(kind, "the host could not wire the guest's ports").detail(format!("{e}{source}"))
}

#[async_trait]
impl Wiring for HostNet {
    async fn plug(&self, nics: &[NicSpec]) -> Result<()> {
        HostNet::plug(self, nics).await.map_err(|e| failed(&e))
    }
    async fn refresh(&self, nics: &[NicSpec]) -> Result<()> {
        HostNet::refresh(self, nics).await.map_err(|e| failed(&e))
    }
    async fn unplug(&self, nics: &[NicSpec]) -> Result<()> {
        HostNet::unplug(self, nics).await.map_err(|e| failed(&e))
    }
    async fn sync(&self, desired: &[NicSpec]) -> Result<()> {
        HostNet::sync(self, desired).await.map_err(|e| failed(&e))
    }
    async fn address(&self) -> Option<IpAddr> {
        Some(HostNet::address(self).await)
    }
    async fn close(&self) {
        if let Err(e) = HostNet::close(self, true).await {
            tracing::warn!(error = %e, "the host's network does not close in order");
        }
    }
}

#[async_trait]
impl MetadataSource for Assignments {
    async fn guest_by_ip(&self, network: Uuid, ip: IpAddr) -> Option<Arc<Guest>> {
        Assignments::guest_by_ip(self, network, ip)
    }
    async fn set_password(&self, guest: Uuid, password: Secret) -> std::result::Result<(), PasswordRefused> {
        self.post_password(guest, password).await
    }
}
