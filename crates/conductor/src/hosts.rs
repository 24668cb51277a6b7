//! The hosts as the conductor knows them: in memory, fed by their reports. The database keeps only what they registered.

use driver_api::Timestamp;
use messaging::{ComputeClient, Registration};
use model::service::Service;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// One host for operators: what is stored and what is known now.
#[derive(Debug, Clone, PartialEq)]
pub struct HostView {
    /// The stored row.
    pub service: Service,
    /// Its backend answers.
    pub up: bool,
    /// Why not.
    pub down_reason: Option<String>,
    /// Last word from it.
    pub last_seen: Timestamp,
    /// This controller holds it; another does otherwise.
    pub here: bool,
}

impl HostView {
    /// Why it takes no servers: the operator's words, else what keeps its backend from answering. The original marks
    /// reasons that no operator gave in the same way.
    pub fn reason(&self) -> Option<String> {
        let operator = self.service.disabled_reason.clone();
        operator.or_else(|| self.down_reason.as_ref().map(|r| format!("AUTO: {r}")))
    }
}

/// Reason of a host that has said nothing yet.
pub(crate) const SILENT: &str = "it has not registered yet";

/// A host and how to reach it.
#[derive(Debug, Clone)]
pub(crate) struct Host {
    pub client: ComputeClient,
    pub registration: Option<Arc<Registration>>,
    pub service: Option<Arc<Service>>,
    pub down_reason: Option<String>,
    pub last_seen: Timestamp,
    /// How often it was attached: what an earlier connection still says is not its word.
    pub attached: u64,
}

impl Host {
    fn view(&self) -> Option<HostView> {
        Some(HostView {
            service: self.service.as_deref()?.clone(),
            up: self.down_reason.is_none(),
            down_reason: self.down_reason.clone(),
            last_seen: self.last_seen,
            here: true,
        })
    }
}

/// Every host of this process.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<BTreeMap<String, Host>>);

impl Hosts {
    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<String, Host>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// Which attachment of the host this is.
    pub fn attach(&self, client: ComputeClient, now: Timestamp) -> u64 {
        let before = self.get(client.host());
        let attached = before.as_ref().map_or(0, |h| h.attached) + 1;
        let host = Host {
            attached,
            registration: None,
            // What operators said of it stands.
            service: before.and_then(|h| h.service),
            down_reason: Some(SILENT.into()),
            last_seen: now,
            client: client.clone(),
        };
        self.with(|m| m.insert(client.host().to_owned(), host));
        attached
    }
    pub fn up(&self, name: &str, registration: Registration, service: Service, now: Timestamp) {
        self.with(|m| {
            if let Some(h) = m.get_mut(name) {
                h.registration = Some(Arc::new(registration));
                h.service = Some(Arc::new(service));
                h.down_reason = None;
                h.last_seen = now;
            }
        });
    }
    /// Marks a host down; false if it was down for that reason already.
    pub fn down(&self, name: &str, reason: &str, now: Timestamp) -> bool {
        self.with(|m| match m.get_mut(name) {
            Some(h) => {
                h.last_seen = now;
                let news = h.down_reason.as_deref() != Some(reason);
                h.down_reason = Some(reason.to_owned());
                news
            }
            None => false,
        })
    }
    /// Replaces the stored row after the operator changed it.
    pub fn set_service(&self, service: Service) {
        self.with(|m| {
            if let Some(h) = m.get_mut(&service.host) {
                h.service = Some(Arc::new(service));
            }
        });
    }
    pub fn get(&self, name: &str) -> Option<Host> {
        self.with(|m| m.get(name).cloned())
    }
    pub fn names(&self) -> Vec<String> {
        self.with(|m| m.keys().cloned().collect())
    }
    pub fn seen(&self, name: &str, now: Timestamp) {
        self.with(|m| {
            if let Some(h) = m.get_mut(name) {
                h.last_seen = now;
            }
        });
    }
    /// Every host as operators see it; hosts that never registered have no row and are not shown.
    pub fn views(&self) -> Vec<HostView> {
        self.with(|m| m.values().filter_map(Host::view).collect())
    }
    /// One of them.
    pub fn view(&self, name: &str) -> Option<HostView> {
        self.with(|m| m.get(name).and_then(Host::view))
    }
    /// Asks something short of one host, without copying it.
    pub fn ask<T>(&self, name: &str, question: impl FnOnce(&Host) -> Option<T>) -> Option<T> {
        self.with(|m| m.get(name).and_then(question))
    }
}
