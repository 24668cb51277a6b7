//! The record follows the guest: what stops by itself is stopped, what runs against the record is stopped again.
//! Source: `nova/compute/manager.py`, `_sync_instance_power_state`.

use crate::Conductor;
use driver_api::{DriverEvent, Observed, Power, PowerState};
use model::server::{Server, VmState};
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// What to do about a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mend {
    /// Nothing.
    Leave,
    /// Write the power state down.
    Note,
    /// The server is in this state now.
    Follow(VmState),
    /// The guest runs though it shall not: stop it.
    Stop,
}

/// Pure.
fn mend(vm_state: VmState, recorded: PowerState, seen: PowerState) -> Mend {
    use PowerState::{Crashed, NoState, Paused, Running, Shutdown, Suspended};
    match (vm_state, seen) {
        (VmState::Active | VmState::Paused, Shutdown | Crashed | NoState) => Mend::Follow(VmState::Stopped),
        (VmState::Suspended, Shutdown) => Mend::Leave,
        (VmState::Stopped, Running | Paused | Suspended) => Mend::Stop,
        // The original leaves these as they are; then no action fits both the record and the guest.
        (VmState::Active, Paused) => Mend::Follow(VmState::Paused),
        (VmState::Active, Suspended) => Mend::Follow(VmState::Suspended),
        (VmState::Paused | VmState::Suspended, Running) => Mend::Follow(VmState::Active),
        (VmState::Building | VmState::Deleted | VmState::SoftDeleted, _) => Mend::Leave,
        _ if recorded != seen => Mend::Note,
        _ => Mend::Leave,
    }
}

impl Conductor {
    /// A guest changed by itself.
    pub(super) async fn guest_event(&self, host: &str, event: &DriverEvent) {
        let (Some(h), id) = (self.hosts.get(host), event.id) else { return };
        // Again if the record changed meanwhile; a flow that runs settles the matter itself.
        for _ in 0..3 {
            let Ok(server) = self.store.read(move |tx| store::servers::get(tx, id)).await else { return };
            if !idle_on(&server, host) {
                return;
            }
            // The event is a hint; what is true is asked, for the guest may have changed again.
            let seen = match h.client.get(id, &self.errand()).await {
                Ok(seen) => seen.power,
                Err(e) if e.kind == driver_api::ErrorKind::NotFound => PowerState::NoState,
                Err(_) => return,
            };
            if self.settle_power(host, &server, seen).await {
                return;
            }
        }
    }

    /// All guests of a host against their records.
    pub(super) async fn sync_power(&self, host: &str, guests: &[Observed]) {
        let name = host.to_owned();
        let servers = match self.store.read(move |tx| crate::assign::on_host(tx, &name)).await {
            Ok(s) => s,
            Err(error) => return tracing::error!(host, %error, "the host's servers cannot be read"),
        };
        let seen: BTreeMap<Uuid, PowerState> = guests.iter().map(|g| (g.id, g.power)).collect();
        for server in servers.iter().filter(|s| s.action.is_none()) {
            let power = seen.get(&server.id).copied().unwrap_or(PowerState::NoState);
            if mend(server.vm_state, server.power_state, power) != Mend::Leave {
                // Listed before the record was read: ask again for this one.
                let Some(h) = self.hosts.get(host) else { return };
                let now = match h.client.get(server.id, &self.errand()).await {
                    Ok(o) => o.power,
                    Err(e) if e.kind == driver_api::ErrorKind::NotFound => PowerState::NoState,
                    Err(_) => return,
                };
                self.settle_power(host, server, now).await;
            }
        }
    }

    /// Mends the difference between `server`, which was read before its host was asked, and what was `seen`; false if
    /// the record changed meanwhile, so that what was seen may be older than it.
    async fn settle_power(&self, host: &str, server: &Server, seen: PowerState) -> bool {
        let (name, id, now) = (host.to_owned(), server.id, self.env.now());
        let what = mend(server.vm_state, server.power_state, seen);
        match what {
            Mend::Leave => {}
            Mend::Note | Mend::Follow(_) => {
                let expected = (server.vm_state, server.power_state, server.updated_at);
                let outcome = self
                    .store
                    .write(move |tx| {
                        let mut s = store::servers::lock(tx, id)?;
                        if !idle_on(&s, &name) || (s.vm_state, s.power_state, s.updated_at) != expected {
                            return Ok(false);
                        }
                        s.power_state = seen;
                        if let Mend::Follow(state) = what {
                            s.vm_state = state;
                        }
                        s.updated_at = now;
                        store::servers::update(tx, &s, None)?;
                        Ok(true)
                    })
                    .await;
                match outcome {
                    Ok(true) => {
                        if let Mend::Follow(state) = what {
                            tracing::info!(server = %id, host, state = state.as_str(), "the guest changed by itself");
                        }
                    }
                    Ok(false) => return false,
                    Err(error) => tracing::error!(server = %id, %error, "the power state cannot be stored"),
                }
            }
            Mend::Stop => {
                // Asked once more, as late as can be: it may have been started since.
                let current = self.store.read(move |tx| store::servers::get(tx, id)).await;
                if !current.is_ok_and(|s| idle_on(&s, &name) && s.vm_state == server.vm_state && s.updated_at == server.updated_at) {
                    return false;
                }
                tracing::warn!(server = %id, host, "the guest runs though it was stopped; stopping it");
                let Some(h) = self.hosts.get(host) else { return true };
                let Ok(assignment) = self.assignment(server).await else { return true };
                let op = self.errand();
                if let Err(error) = h.client.power(assignment, Power::Off { grace: Duration::ZERO }, &op).await {
                    tracing::error!(server = %id, %error, "it cannot be stopped; trying again later");
                }
            }
        }
        true
    }
}

/// No flow runs on the server and `host` has it.
fn idle_on(server: &Server, host: &str) -> bool {
    server.action.is_none() && server.host.as_deref() == Some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_follows_the_guest_but_never_starts_one() {
        assert_eq!(mend(VmState::Active, PowerState::Running, PowerState::Shutdown), Mend::Follow(VmState::Stopped));
        assert_eq!(mend(VmState::Active, PowerState::Running, PowerState::Paused), Mend::Follow(VmState::Paused));
        assert_eq!(mend(VmState::Paused, PowerState::Paused, PowerState::Running), Mend::Follow(VmState::Active));
        assert_eq!(mend(VmState::Stopped, PowerState::Shutdown, PowerState::Running), Mend::Stop);
        assert_eq!(mend(VmState::Active, PowerState::Running, PowerState::Running), Mend::Leave);
        assert_eq!(mend(VmState::Building, PowerState::NoState, PowerState::Running), Mend::Leave);
        assert_eq!(mend(VmState::Suspended, PowerState::Suspended, PowerState::Shutdown), Mend::Leave);
        assert_eq!(mend(VmState::Error, PowerState::Running, PowerState::Shutdown), Mend::Note);
    }
}
