//! What the agent asks of the host's network around the driver's calls, and what it remembers of it.
//!
//! One change at a time, under one lock: a `sync` that begins while a guest is being plugged must neither miss it nor
//! bring back one that is being destroyed.

use crate::assignments::Assignments;
use crate::host::Host;
use async_trait::async_trait;
use driver_api::{Error, ErrorKind, InstanceSpec, NicSpec, Result};
use guestdata::{Guest, Secret};
use hostnet::{HostNet, MetadataSource, PasswordRefused};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};
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
    /// The agent goes; wires stay for the guests that go on.
    async fn close(&self) {}
}

/// Interfaces by guest, as they were wired last.
pub(crate) type Wired = BTreeMap<Uuid, Vec<NicSpec>>;

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
            let before = wired.insert(spec.id, spec.nics.clone()).unwrap_or_default();
            drop_absent(wiring, &before, &spec.nics).await?;
            wiring.plug(&spec.nics).await?;
        }
        Ok(spec)
    }

    /// Takes all wires of a guest away. `named` are its interfaces as its last assignment has them, for an agent that
    /// did not wire them itself.
    pub(crate) async fn unwire(&self, id: Uuid, named: Option<&InstanceSpec>) -> Result<()> {
        let Some(wiring) = self.wires() else { return Ok(()) };
        let mut wired = self.wired.lock().await;
        let mut nics = wired.get(&id).cloned().unwrap_or_default();
        if let Some(spec) = named {
            let more = self.with_devices(spec).nics;
            nics.extend(more.into_iter().filter(|n| !wired.get(&id).is_some_and(|w| has(w, n))));
        }
        if !nics.is_empty() {
            wiring.unplug(&nics).await?;
        }
        wired.remove(&id);
        Ok(())
    }

    /// Wires of these guests become what their assignments say now. Those that are not wired stay so. Refreshes that
    /// wait for the lock together are done by the first of them.
    pub(crate) async fn refresh(&self, ids: BTreeSet<Uuid>) -> Result<()> {
        let Some(wiring) = self.wires() else { return Ok(()) };
        self.stale.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        let mut wired = self.wired.lock().await;
        let ids = std::mem::take(&mut *self.stale.lock().unwrap_or_else(PoisonError::into_inner));
        let done = refresh(wiring, self, &mut wired, &ids).await;
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
        let there: Option<BTreeSet<Uuid>> =
            self.driver.list().await.ok().map(|all| all.iter().map(|o| o.id).collect());
        let mut wired = self.wired.lock().await;
        let mut desired = Wired::new();
        for id in self.assignments.ids() {
            let there = there.as_ref().is_none_or(|t| t.contains(&id)) || wired.contains_key(&id);
            if let Some(a) = self.assignments.get(id).filter(|_| there) {
                desired.insert(id, self.with_devices(&a.spec).nics);
            }
        }
        let nics: Vec<NicSpec> = desired.values().flatten().cloned().collect();
        *wired = desired;
        wiring.sync(&nics).await
    }
}

async fn refresh(wiring: &dyn Wiring, host: &Host, wired: &mut Wired, ids: &BTreeSet<Uuid>) -> Result<()> {
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
        hostnet::Error::Command { .. } | hostnet::Error::Io { .. } | hostnet::Error::Output { .. } => ErrorKind::Internal,
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
    async fn set_password(&self, _guest: Uuid, _password: Secret) -> std::result::Result<(), PasswordRefused> {
        // There is no way up for it yet: a host's reports carry none.
        Err(PasswordRefused::Unavailable)
    }
}
