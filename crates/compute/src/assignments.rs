//! What the control plane assigned to this host, in memory only: it holds user data and passwords, and the control
//! plane tells it again after a restart.

use async_trait::async_trait;
use driver_api::{Error, GuestDocuments, Result};
use guestdata::{Guest, Secret};
use hostnet::PasswordRefused;
use messaging::Assignment;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// Passwords that wait for the control plane; a further one is answered "later".
const POSTS: usize = 256;
/// How long a guest waits until its password is kept.
const KEPT_WITHIN: Duration = Duration::from_secs(10);

/// The assignments of one host. Cheap to clone; clones share.
#[derive(Debug, Clone, Default)]
pub struct Assignments(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    inner: RwLock<Inner>,
    /// Told when something was assigned or forgotten.
    changed: Notify,
    /// Passwords that guests posted, for the agent to report.
    posts: Mutex<VecDeque<(Uuid, Secret)>>,
    posted: Notify,
}

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
        self.0.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.0.inner.write().unwrap_or_else(PoisonError::into_inner)
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
        drop(inner);
        self.0.changed.notify_waiters();
    }

    /// Forgets a guest.
    pub fn remove(&self, id: Uuid) {
        self.write().forget(id);
        self.0.changed.notify_waiters();
    }

    /// What is assigned for `id`.
    pub fn get(&self, id: Uuid) -> Option<Arc<Assignment>> {
        self.read().all.get(&id).cloned()
    }

    /// Ids of all guests assigned.
    pub fn ids(&self) -> BTreeSet<Uuid> {
        self.read().all.keys().copied().collect()
    }

    /// Hands a guest's password to the control plane and waits until its assignment comes back with it.
    /// # Errors
    /// Another is set already, or it could not be kept in time.
    pub async fn post_password(&self, id: Uuid, password: Secret) -> std::result::Result<(), PasswordRefused> {
        if password.is_empty() {
            return Ok(());
        }
        let mut asked = false;
        let kept = async {
            loop {
                let mut changed = std::pin::pin!(self.0.changed.notified());
                changed.as_mut().enable();
                let a = self.get(id).ok_or(PasswordRefused::Unavailable)?;
                match a.guest.password.as_ref().filter(|p| !p.is_empty()) {
                    Some(kept) if asked && *kept == password => return Ok(()),
                    Some(_) => return Err(PasswordRefused::AlreadySet),
                    None => {}
                }
                if !asked {
                    let mut posts = self.0.posts.lock().unwrap_or_else(PoisonError::into_inner);
                    if posts.len() >= POSTS || posts.iter().any(|(guest, _)| *guest == id) {
                        return Err(PasswordRefused::Unavailable);
                    }
                    posts.push_back((id, password.clone()));
                    drop(posts);
                    asked = true;
                    self.0.posted.notify_one();
                }
                changed.await;
            }
        };
        tokio::time::timeout(KEPT_WITHIN, kept).await.unwrap_or(Err(PasswordRefused::Unavailable))
    }

    /// The next password that a guest posted.
    pub(crate) async fn posted(&self) -> (Uuid, Secret) {
        loop {
            let next = self.0.posts.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match next {
                Some(post) => return post,
                None => self.0.posted.notified().await,
            }
        }
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
