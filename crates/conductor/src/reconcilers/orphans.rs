//! No guest without a record: what a host runs and no living server claims there is destroyed, if no damaged record may
//! mean it.

use crate::Conductor;
use driver_api::{DestroyMode, Observed};
use model::server::VmState;

/// Whether a record may mean the guest `id` on `host`. What is damaged may mean anything: a guest is only destroyed if
/// every record is sound and says that it does not belong here.
fn meant(tx: &mut store::Tx, id: uuid::Uuid, host: &str) -> Result<bool, store::Error> {
    let elsewhere = match store::servers::get(tx, id) {
        Ok(server) if server.host.as_deref() == Some(host) => return Ok(true),
        Ok(server) => Some(server),
        Err(store::Error::NotFound { .. }) => None,
        Err(e) => return Err(e),
    };
    if store::damage::any(tx, "servers")? {
        return Err(store::Error::corrupt("a server's row", "it may be this guest's"));
    }
    Ok(match elsewhere {
        None => false,
        Some(server) => match &server.host {
            // Settled and nowhere, or on a host that never was: its record is not to be trusted with a guest's life.
            None => server.action.is_none() && !matches!(server.vm_state, VmState::Error | VmState::Building),
            Some(other) => store::services::find_by_host(tx, other)?.is_none(),
        },
    })
}

impl Conductor {
    pub(super) async fn remove_orphans(&self, name: &str, guests: &[Observed]) {
        let Some(host) = self.hosts.get(name) else { return };
        for guest in guests {
            let id = guest.id;
            // Read one by one, after the list was made: a server stored meanwhile is found.
            let here = name.to_owned();
            let keep = match self.store.read(move |tx| meant(tx, id, &here)).await {
                Ok(keep) => keep,
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
            let op = self.errand();
            if let Err(error) = host.client.destroy(id, u64::MAX, DestroyMode::Everything, &op).await {
                tracing::error!(guest = %id, host = name, %error, "the orphan cannot be removed; trying again later");
            }
        }
    }
}
