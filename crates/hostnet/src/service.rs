//! The running servers of one network.

use crate::dhcp::{self, Leases};
use crate::netns::within;
use crate::{MetadataSource, Result, metadata};
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// DHCP and metadata of one network. Dropping it stops them and closes their sockets.
pub(crate) struct Service {
    namespace: String,
    leases: Leases,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Service {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn run(what: &'static str, network: Uuid, work: impl Future<Output = Result<()>> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = work.await {
            tracing::error!(%network, %error, "the {what} server ended");
        }
    })
}

impl Service {
    /// Opens the sockets in a namespace that has its addresses, and serves.
    pub(crate) async fn start(namespace: &str, network: Uuid, source: &Arc<dyn MetadataSource>) -> Result<Service> {
        let (sockets, listener) = within(Some(namespace), || {
            // Nothing is to be routed here; a new namespace takes over the machine's setting.
            if let Err(error) = std::fs::write("/proc/sys/net/ipv4/ip_forward", "0") {
                tracing::debug!(%error, "cannot turn off forwarding");
            }
            Ok((dhcp::open()?, metadata::open()?))
        })
        .await?;
        let leases: Leases = Arc::new(RwLock::default());
        let tasks = vec![
            run("DHCP", network, dhcp::serve(sockets, network, Arc::clone(&leases), Arc::clone(source))),
            run("metadata", network, metadata::serve(listener, network, Arc::clone(source))),
        ];
        Ok(Service { namespace: namespace.to_owned(), leases, tasks })
    }

    /// Whether it serves in this namespace and none of its servers ended.
    pub(crate) fn alive(&self, namespace: &str) -> bool {
        self.namespace == namespace && !self.tasks.iter().any(JoinHandle::is_finished)
    }

    /// Replaces what is leased.
    pub(crate) fn set_leases(&self, leases: std::collections::BTreeMap<crate::plan::Mac, dhcp::Lease>) {
        *self.leases.write().unwrap_or_else(PoisonError::into_inner) = leases;
    }

    /// Stops and waits until the sockets are closed, for an open socket keeps its namespace alive.
    pub(crate) async fn stop(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // Ended by our abort.
            let _ = task.await;
        }
    }
}
