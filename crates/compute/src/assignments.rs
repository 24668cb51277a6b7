//! What the control plane assigned to this host, in memory only: it holds user data and passwords, and the control
//! plane tells it again after a restart.

use async_trait::async_trait;
use driver_api::{Error, GuestDocuments, Result};
use guestdata::Guest;
use messaging::Assignment;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use uuid::Uuid;

/// The assignments of one host. Cheap to clone; clones share.
#[derive(Debug, Clone, Default)]
pub struct Assignments(Arc<RwLock<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    all: BTreeMap<Uuid, Arc<Assignment>>,
    /// Who asks, for the metadata service: addresses repeat between networks, never within one.
    by_ip: BTreeMap<(Uuid, IpAddr), Uuid>,
}

impl Inner {
    fn forget(&mut self, id: Uuid) -> Option<Arc<Assignment>> {
        let old = self.all.remove(&id)?;
        for key in addresses(&old) {
            if self.by_ip.get(&key) == Some(&id) {
                self.by_ip.remove(&key);
            }
        }
        Some(old)
    }
}

fn addresses(a: &Assignment) -> impl Iterator<Item = (Uuid, IpAddr)> + '_ {
    a.spec.nics.iter().flat_map(|nic| nic.fixed_ips.iter().map(|f| (nic.network_id, f.ip)))
}

impl Assignments {
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers `a`, unless a newer one is known.
    pub fn put(&self, a: Arc<Assignment>) {
        let id = a.spec.id;
        let mut inner = self.write();
        if inner.all.get(&id).is_some_and(|known| known.spec.generation > a.spec.generation) {
            return;
        }
        inner.forget(id);
        for key in addresses(&a) {
            inner.by_ip.insert(key, id);
        }
        inner.all.insert(id, a);
    }

    /// Forgets a guest.
    pub fn remove(&self, id: Uuid) {
        self.write().forget(id);
    }

    /// What is assigned for `id`.
    pub fn get(&self, id: Uuid) -> Option<Arc<Assignment>> {
        self.read().all.get(&id).cloned()
    }

    /// Ids of all guests assigned.
    pub fn ids(&self) -> BTreeSet<Uuid> {
        self.read().all.keys().copied().collect()
    }

    /// The guest that holds `ip` on `network`: how the metadata service knows who asks.
    pub fn guest_by_ip(&self, network: Uuid, ip: IpAddr) -> Option<Arc<Guest>> {
        let inner = self.read();
        let id = inner.by_ip.get(&(network, ip))?;
        inner.all.get(id).map(|a| Arc::new(a.guest.clone()))
    }
}

#[async_trait]
impl GuestDocuments for Assignments {
    async fn config_drive(&self, instance: Uuid) -> Result<Vec<u8>> {
        let a = self.get(instance).ok_or_else(|| Error::no_instance(instance))?;
        Ok(guestdata::config_drive(&a.guest))
    }
}
