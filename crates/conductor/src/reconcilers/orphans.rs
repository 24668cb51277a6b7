//! No guest without a record: what a host runs and no living server claims there is destroyed.

use crate::Conductor;
use driver_api::{DestroyMode, Observed, Op};

impl Conductor {
    pub(super) async fn remove_orphans(&self, name: &str, guests: &[Observed]) {
        let Some(host) = self.hosts.get(name) else { return };
        for guest in guests {
            let id = guest.id;
            // Read one by one, after the list was made: a server stored meanwhile is found.
            let keep = match self.store.read(move |tx| store::servers::get(tx, id)).await {
                Ok(server) => server.host.as_deref() == Some(name),
                Err(store::Error::NotFound { .. }) => false,
                // A damaged or unreadable record is no reason to destroy anything.
                Err(error) => {
                    tracing::error!(server = %id, host = name, %error, "the record of a guest cannot be read; the guest stays");
                    true
                }
            };
            if keep {
                continue;
            }
            tracing::warn!(guest = %id, host = name, "removing a guest without a record");
            let op = Op::new(self.env.uuid());
            if let Err(error) = host.client.destroy(id, u64::MAX, DestroyMode::Everything, &op).await {
                tracing::error!(guest = %id, host = name, %error, "the orphan cannot be removed; trying again later");
            }
        }
    }
}
