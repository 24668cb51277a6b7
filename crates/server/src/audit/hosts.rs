//! Each driver's own list, and each host's wires, against the records.

use super::mend::Mend;
use super::{Auditor, Look, records};
use hostnet::HostNet;
use model::server::{Server, VmState};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

impl Auditor {
    pub(super) async fn hosts(&self, look: &mut Look) -> Result<(), store::Error> {
        let servers = self.store.read(records::servers).await?;
        // What other controllers hold, they look at.
        for host in self.conductor.hosts().into_iter().filter(|h| h.here) {
            let name = host.service.host;
            if !host.up {
                look.blind(&name, host.down_reason.unwrap_or_else(|| "it is down".into()));
                continue;
            }
            match self.conductor.guests(&name).await {
                Ok(guests) => compare(&name, &servers, &guests.iter().map(|g| g.id).collect(), look),
                Err(e) => look.blind(&name, format!("its guests cannot be listed: {e}")),
            }
            if let Some(w) = self.wires.get(&name) {
                wires(&name, &servers, w, look).await;
            }
        }
        Ok(())
    }
}

/// The driver's own list against the records. Pure.
fn compare(host: &str, servers: &[Server], guests: &BTreeSet<Uuid>, look: &mut Look) {
    let here: BTreeMap<Uuid, &Server> =
        servers.iter().filter(|s| s.host.as_deref() == Some(host)).map(|s| (s.id, s)).collect();
    for guest in guests.iter().filter(|g| !here.contains_key(g)) {
        look.add("guest", guest, format!("runs on {host} without a record"), Mend::Guests(host.to_owned(), *guest));
    }
    for s in here.values().filter(|s| s.action.is_none() && s.vm_state == VmState::Active && !guests.contains(&s.id)) {
        look.add("guest", s.id, format!("is active on {host} and not there"), Mend::Power(host.to_owned()));
    }
}

/// Taps of a host against the ports of its servers.
async fn wires(host: &str, servers: &[Server], w: &HostNet, look: &mut Look) {
    let expected: BTreeSet<String> = servers
        .iter()
        .filter(|s| s.host.as_deref() == Some(host))
        .flat_map(|s| s.body.ports.iter().map(|p| network::device(p.port_id)))
        .collect();
    match w.audit().await {
        Ok(names) => {
            for n in names.into_iter().filter(|n| n.starts_with("tap") && !expected.contains(n)) {
                look.add("wire", n, format!("is on {host} and belongs to no server"), Mend::Wires(host.to_owned()));
            }
        }
        Err(e) => look.blind(host, format!("its wires cannot be listed: {e}")),
    }
}
