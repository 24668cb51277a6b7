//! The record follows the guest: what stops by itself is stopped, what runs against the record is stopped again.
//! Source: `nova/compute/manager.py`, `_sync_instance_power_state`.

use crate::Conductor;
use driver_api::{DriverEvent, Observed, Op, Power, PowerState};
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
    /// The server is off now.
    Stopped,
    /// The guest runs though it shall not: stop it.
    Stop,
}

/// Pure.
fn mend(vm_state: VmState, recorded: PowerState, seen: PowerState) -> Mend {
    use PowerState::{Crashed, NoState, Paused, Running, Shutdown, Suspended};
    match (vm_state, seen) {
        (VmState::Active, Shutdown | Crashed | NoState) => Mend::Stopped,
        (VmState::Suspended, Shutdown) => Mend::Leave,
        (VmState::Stopped, Running | Paused | Suspended) => Mend::Stop,
        (VmState::Paused, Shutdown | Crashed | NoState) => Mend::Stopped,
        (VmState::Building | VmState::Deleted | VmState::SoftDeleted, _) => Mend::Leave,
        _ if recorded != seen => Mend::Note,
        _ => Mend::Leave,
    }
}

impl Conductor {
    /// A guest changed by itself.
    pub(super) async fn guest_event(&self, host: &str, event: &DriverEvent) {
        let Some(h) = self.hosts.get(host) else { return };
        // The event is a hint; what is true is asked, for the guest may have changed again.
        match h.client.get(event.id, &Op::new(self.env.uuid())).await {
            Ok(seen) => self.settle_power(host, event.id, seen.power).await,
            Err(e) if e.kind == driver_api::ErrorKind::NotFound => {
                self.settle_power(host, event.id, PowerState::NoState).await;
            }
            Err(_) => {}
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
                let now = match h.client.get(server.id, &Op::new(self.env.uuid())).await {
                    Ok(o) => o.power,
                    Err(e) if e.kind == driver_api::ErrorKind::NotFound => PowerState::NoState,
                    Err(_) => return,
                };
                self.settle_power(host, server.id, now).await;
            }
        }
    }

    async fn settle_power(&self, host: &str, id: Uuid, seen: PowerState) {
        let (name, now) = (host.to_owned(), self.env.now());
        let read = self.store.read(move |tx| store::servers::get(tx, id)).await;
        let Ok(server) = read else { return };
        let idle = |s: &Server| s.action.is_none() && s.host.as_deref() == Some(name.as_str());
        if !idle(&server) {
            return;
        }
        let what = mend(server.vm_state, server.power_state, seen);
        match what {
            Mend::Leave => {}
            Mend::Note | Mend::Stopped => {
                let expected = (server.vm_state, server.power_state);
                let outcome = self
                    .store
                    .write(move |tx| {
                        let mut s = store::servers::lock(tx, id)?;
                        if s.action.is_some() || (s.vm_state, s.power_state) != expected {
                            return Ok(false);
                        }
                        s.power_state = seen;
                        if what == Mend::Stopped {
                            s.vm_state = VmState::Stopped;
                        }
                        s.updated_at = now;
                        store::servers::update(tx, &s, None)?;
                        Ok(true)
                    })
                    .await;
                match outcome {
                    Ok(true) if what == Mend::Stopped => tracing::info!(server = %id, host, "the guest stopped by itself"),
                    Ok(_) => {}
                    Err(error) => tracing::error!(server = %id, %error, "the power state cannot be stored"),
                }
            }
            Mend::Stop => {
                tracing::warn!(server = %id, host, "the guest runs though it was stopped; stopping it");
                let Some(h) = self.hosts.get(host) else { return };
                let Ok(assignment) = self.assignment(&server).await else { return };
                let op = Op::new(self.env.uuid());
                if let Err(error) = h.client.power(assignment, Power::Off { grace: Duration::ZERO }, &op).await {
                    tracing::error!(server = %id, %error, "it cannot be stopped; trying again later");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_follows_the_guest_but_never_starts_one() {
        assert_eq!(mend(VmState::Active, PowerState::Running, PowerState::Shutdown), Mend::Stopped);
        assert_eq!(mend(VmState::Stopped, PowerState::Shutdown, PowerState::Running), Mend::Stop);
        assert_eq!(mend(VmState::Active, PowerState::Running, PowerState::Running), Mend::Leave);
        assert_eq!(mend(VmState::Building, PowerState::NoState, PowerState::Running), Mend::Leave);
        assert_eq!(mend(VmState::Suspended, PowerState::Suspended, PowerState::Shutdown), Mend::Leave);
        assert_eq!(mend(VmState::Error, PowerState::Running, PowerState::Shutdown), Mend::Note);
    }
}
