//! Hosts come and go: what they register is stored where it changed, what they lost is marked, and a host that comes
//! up is told everything that is assigned to it.

use crate::Conductor;
use driver_api::{DriverEvent, EventKind, Node};
use messaging::Registration;
use model::service::Service;
use uuid::Uuid;

impl Conductor {
    /// A host registered: its row, its providers, its assignments; then its guests are compared with the records.
    pub(super) async fn host_up(&self, name: &str, mut registration: Registration) {
        if registration.networking {
            registration.traits.push("CUSTOM_KILONOVA_NETWORKING".into());
            registration.traits.sort();
        }
        let service = match self.store_service(name, &registration).await {
            Ok(s) => s,
            Err(error) => return tracing::error!(host = name, %error, "the host's registration cannot be stored"),
        };
        if let Err(error) = self.placement.register(&service).await {
            return tracing::error!(host = name, %error, "the host's inventory cannot be stored");
        }
        if let Some(vtep) = registration.vtep
            && let Err(error) = self.network.register_host(name, vtep).await
        {
            tracing::error!(host = name, %error, "the host's tunnel endpoint cannot be stored");
        }
        if !self.holds(name, None).await {
            return self.later(name, registration);
        }
        self.hosts.up(name, registration, service, self.env.now());
        self.placement.set_up(name, true);
        self.resync(name).await;
    }

    /// Tells the other controllers, if there are any, that this one holds the host; false if another does.
    async fn holds(&self, name: &str, down_reason: Option<&str>) -> bool {
        if self.options.alone {
            return true;
        }
        let (host, controller) = (name.to_owned(), self.options.controller.clone());
        let reason = down_reason.map(str::to_owned);
        let lost = self.peers.lost(self.env.clock.steady(), self.options.lease);
        let held = self.store.write(move |tx| store::services::hold(tx, &host, &controller, reason.as_deref(), &lost));
        match held.await {
            Ok(held) => held,
            Err(error) => {
                tracing::error!(host = name, %error, "whose the host is cannot be stored");
                false
            }
        }
    }

    /// Another controller holds the host: asked again from time to time, for that one may leave.
    fn later(&self, name: &str, registration: Registration) {
        self.host_down_here(name, "another controller holds it");
        let (me, name) = (self.clone(), name.to_owned());
        self.running.spawn(async move {
            if me.rest(me.options.lease / 4).await {
                // A future that contains itself has no size.
                Box::pin(me.host_up(&name, registration)).await;
            }
        });
    }

    pub(super) async fn host_down(&self, name: &str, reason: &str) {
        self.host_down_here(name, reason);
        self.holds(name, Some(reason)).await;
    }

    fn host_down_here(&self, name: &str, reason: &str) {
        if self.hosts.down(name, reason, self.env.now()) {
            tracing::warn!(host = name, reason, "host is down");
        }
        self.placement.set_up(name, false);
    }

    pub(super) async fn host_event(&self, name: &str, event: &DriverEvent) {
        self.hosts.seen(name, self.env.now());
        match event.kind {
            // The agent turns these into Up and Down.
            EventKind::Disconnected | EventKind::Connected => {}
            _ => self.guest_event(name, event).await,
        }
    }

    /// Tells the host everything, then compares its guests with the records.
    async fn resync(&self, name: &str) {
        let Some(host) = self.hosts.get(name) else { return };
        match self.assignments_of(name).await {
            Ok(all) => {
                let op = self.errand();
                if let Err(error) = host.client.sync(all, &op).await {
                    tracing::error!(host = name, %error, detail = ?error.detail, "the host could not take over its assignments");
                }
            }
            Err(error) => tracing::error!(host = name, %error, "the host's servers cannot be read"),
        }
        self.compare(name).await;
    }

    /// Every host's guests against the records, from time to time.
    pub(super) async fn keep_hosts(&self) {
        while self.rest(self.options.reconcile_every).await {
            let mut comparing = Vec::new();
            for name in self.hosts.names() {
                if self.hosts.get(&name).is_some_and(|h| h.down_reason.is_none()) {
                    let me = self.clone();
                    // Each for itself: a host that hangs keeps no other from being looked at.
                    comparing.push(self.running.spawn(async move {
                        tokio::select! {
                            biased;
                            () = me.stop.cancelled() => {}
                            () = me.compare(&name) => {}
                        }
                    }));
                }
            }
            for one in comparing {
                // One that panicked said so already.
                let _ = one.await;
            }
        }
    }

    /// Compares a host's guests with the records now, not at the next turn: orphans go, power states follow.
    pub async fn reconcile(&self, name: &str) {
        if self.hosts.get(name).is_some_and(|h| h.down_reason.is_none()) {
            self.compare(name).await;
        }
    }

    /// Tells a host everything that is assigned to it now: it wires that and nothing else.
    pub async fn rewire_host(&self, name: &str) {
        if self.hosts.get(name).is_some_and(|h| h.down_reason.is_none()) {
            self.resync(name).await;
        }
    }

    async fn compare(&self, name: &str) {
        let Some(host) = self.hosts.get(name) else { return };
        // The records are read before the guests: what is built meanwhile is then no orphan.
        let guests = host.client.list(&self.errand()).await;
        match guests {
            Ok(guests) => {
                self.remove_orphans(name, &guests).await;
                self.sync_power(name, &guests).await;
            }
            Err(error) => tracing::warn!(host = name, %error, "the host's guests cannot be listed"),
        }
    }

    /// The host's row as it shall be; written only if it differs.
    async fn store_service(&self, name: &str, r: &Registration) -> Result<Service, store::Error> {
        let host = name.to_owned();
        let known = self.store.read(move |tx| store::services::find_by_host(tx, &host)).await?;
        let now = self.env.now();
        let node_id = |node: &Node| {
            let before = known.as_ref().and_then(|s| s.nodes.iter().find(|(_, n)| n.name == node.name));
            before.map_or_else(|| self.env.uuid(), |(id, _)| *id)
        };
        let nodes: Vec<(Uuid, Node)> = r.nodes.iter().map(|n| (node_id(n), n.clone())).collect();
        let mut service = known.clone().unwrap_or_else(|| Service {
            id: self.env.uuid(),
            number: 0,
            host: name.to_owned(),
            driver: r.driver.name.clone(),
            disabled: false,
            disabled_reason: None,
            forced_down: false,
            facets: Vec::new(),
            traits: Vec::new(),
            nodes: Vec::new(),
            created_at: now,
            updated_at: now,
        });
        service.driver.clone_from(&r.driver.name);
        service.facets.clone_from(&r.facets);
        service.traits.clone_from(&r.traits);
        // Uptime moves all the time and is worth no write.
        let still = |n: &Node| Node { uptime_seconds: None, ..n.clone() };
        let same = service.nodes.len() == nodes.len()
            && service.nodes.iter().zip(&nodes).all(|((a, x), (b, y))| a == b && still(x) == still(y));
        service.nodes = nodes;
        if known.as_ref().is_some_and(|k| same && k.driver == service.driver && k.facets == service.facets && k.traits == service.traits) {
            return Ok(service);
        }
        service.updated_at = now;
        let row = service.clone();
        self.store.write(move |tx| store::services::register(tx, &row)).await
    }
}
