//! Guests are wired as the network service says: a change of rules, ports or peers reaches the hosts it concerns.

use crate::Conductor;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

impl Conductor {
    /// Something of a server changed that is no action (metadata, name): what its guest may read follows, on its host.
    /// Returns at once.
    pub fn changed(&self, server: Uuid) {
        let me = self.clone();
        self.running.spawn(async move { me.rewire(&BTreeSet::from([server]), true).await });
    }

    pub(super) async fn keep_wiring(&self) {
        let mut changes = self.network.changes();
        loop {
            let change = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                c = changes.recv() => c,
            };
            use tokio::sync::broadcast::error::RecvError;
            match change {
                Ok(first) => {
                    // Changes come in bursts: one refresh serves all that wait.
                    let mut servers: BTreeSet<Uuid> = first.servers.into_iter().collect();
                    while let Ok(more) = changes.try_recv() {
                        servers.extend(more.servers);
                    }
                    self.rewire(&servers, true).await;
                }
                Err(RecvError::Lagged(_)) => self.rewire_all().await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Refreshes the servers whose hosts are here; with `tell`, other controllers are told of theirs.
    pub(super) async fn rewire(&self, servers: &BTreeSet<Uuid>, tell: bool) {
        let mut others = Vec::new();
        let mut by_host: BTreeMap<String, Vec<messaging::Assignment>> = BTreeMap::new();
        for id in servers {
            let id = *id;
            let Ok(server) = self.store.read(move |tx| store::servers::get(tx, id)).await else { continue };
            let Some(host) = server.host.clone() else { continue };
            if self.peer(&host).is_some() {
                others.push(id);
                continue;
            }
            if let Ok(a) = self.assignment(&server).await {
                by_host.entry(host).or_default().push(a);
            }
        }
        if tell && !others.is_empty() {
            self.tell_peers(others).await;
        }
        for (name, all) in by_host {
            self.refresh(&name, all).await;
        }
    }

    pub(super) async fn rewire_all(&self) {
        for name in self.hosts.names() {
            match self.assignments_of(&name).await {
                Ok(all) => self.refresh(&name, all).await,
                Err(error) => tracing::error!(host = name, %error, "the host's servers cannot be read"),
            }
        }
    }

    async fn refresh(&self, name: &str, all: Vec<messaging::Assignment>) {
        let Some(host) = self.hosts.get(name).filter(|h| h.down_reason.is_none()) else { return };
        if let Err(error) = host.client.refresh(all, &self.errand()).await {
            tracing::error!(host = name, %error, detail = ?error.detail, "a change could not reach the guests' wiring");
        }
    }
}
