//! Taking away. Interfaces go before their rules, so that nothing is on a bridge without them.

use super::{HostNet, State};
use crate::command::{ip_batch, nft};
use crate::links::{self, Link, Links};
use crate::names::{self, TABLE};
use crate::plan::device_of;
use crate::{Result, netns, rules, wire};
use driver_api::NicSpec;
use std::collections::BTreeSet;
use uuid::Uuid;

impl HostNet {
    /// Removes what is ours and nobody wants: interfaces, namespaces, members of our bridges.
    pub(super) async fn remove_strays(&self, state: &mut State, desired: &[NicSpec]) -> Result<()> {
        let networks: BTreeSet<Uuid> = desired.iter().map(|n| n.network_id).collect();
        let mut wanted: BTreeSet<String> = desired.iter().map(device_of).collect();
        for id in &networks {
            wanted.extend([names::bridge(*id), names::tunnel(*id), names::endpoint(*id)]);
        }
        let gone: Vec<Uuid> = state.nets.keys().filter(|id| !networks.contains(id)).copied().collect();
        for id in gone {
            if let Some(service) = state.nets.remove(&id).and_then(|n| n.service) {
                service.stop().await;
            }
        }
        let links = links::read(self.ns()).await?;
        let uplinks: BTreeSet<&String> = self.options.physical_networks.values().collect();
        let on_our_bridge = |l: &Link| l.master.as_ref().and_then(|m| links.get(m)).is_some_and(Link::ours);
        let stray = |l: &&Link| match l.ours() {
            true => !wanted.contains(&l.ifname),
            // A mapped interface leaves with its bridge.
            false => on_our_bridge(l) && !wanted.contains(&l.ifname) && !uplinks.contains(&l.ifname),
        };
        let strays: Vec<&Link> = links.values().filter(stray).collect();
        if !strays.is_empty() {
            let names: Vec<&str> = strays.iter().map(|l| l.ifname.as_str()).collect();
            tracing::info!(?names, "removing interfaces that no guest of this host has");
        }
        // Ports before bridges.
        let (bridges, others): (Vec<&Link>, Vec<&Link>) = strays.into_iter().partition(|l| l.is_bridge());
        let lines: Vec<String> = others.into_iter().chain(bridges).filter_map(wire::detach).collect();
        ip_batch(self.ns(), &lines).await?;
        let wanted: BTreeSet<String> = networks.iter().map(|id| names::namespace(&self.prefix, *id)).collect();
        for namespace in netns::list(&self.prefix).await?.into_iter().filter(|n| !wanted.contains(n)) {
            netns::remove(&namespace).await?;
        }
        Ok(())
    }

    pub(super) async fn remove_ports(&self, state: &mut State, nics: &[NicSpec]) -> Result<()> {
        if nics.is_empty() {
            return Ok(());
        }
        let links = links::read(self.ns()).await?;
        let devices: BTreeSet<String> = nics
            .iter()
            .flat_map(|n| state.ports.get(&n.port_id).map(|p| p.device.clone()).into_iter().chain([device_of(n)]))
            .filter(|device| names::is_device(device))
            .collect();
        // Forgotten first: whether or not its interface goes, a port that shall not be here is no neighbour any more, and
        // its address may be another's by now.
        for nic in nics {
            state.ports.remove(&nic.port_id);
        }
        // A device of this name that is not ours and on none of our bridges is somebody else's.
        let bridges: BTreeSet<String> = nics.iter().map(|n| names::bridge(n.network_id)).collect();
        let wired = |l: &&Link| l.ours() || l.master.as_ref().is_some_and(|m| bridges.contains(m));
        let lines: Vec<String> =
            devices.iter().filter_map(|d| links.get(d)).filter(wired).filter_map(wire::detach).collect();
        ip_batch(self.ns(), &lines).await?;

        let networks: BTreeSet<Uuid> = nics.iter().map(|n| n.network_id).collect();
        let mut gone = devices.clone();
        let mut emptied = Vec::new();
        for id in &networks {
            if state.ports_of(*id).next().is_none() && !self.has_members(*id, &links, &devices) {
                gone.extend([names::bridge(*id), names::tunnel(*id), names::endpoint(*id)]);
                emptied.push(*id);
            } else {
                self.serve(state, *id).await?;
            }
        }
        self.remove_networks(state, &emptied, &links).await?;

        let mut script = self.prepare_table(state, None).await?;
        for device in &devices {
            script += &rules::remove_port(device);
        }
        script += &self.members(state, &links, &gone);
        nft(self.ns(), &script).await?;
        state.table = true;
        self.load_gateway(state).await?;
        self.remove_tables_if_idle(state).await
    }

    /// Whether a bridge has other ports than those that go with it. Memory alone would not do: it is empty after
    /// a restart.
    fn has_members(&self, network: Uuid, links: &Links, leaving: &BTreeSet<String>) -> bool {
        let bridge = names::bridge(network);
        let own = [names::tunnel(network), names::endpoint(network)];
        links.values().filter(|l| l.master.as_deref() == Some(&bridge)).any(|l| {
            !own.contains(&l.ifname)
                && !leaving.contains(&l.ifname)
                && !self.options.physical_networks.values().any(|uplink| *uplink == l.ifname)
        })
    }

    async fn remove_networks(&self, state: &mut State, networks: &[Uuid], links: &Links) -> Result<()> {
        let mut lines = Vec::new();
        for id in networks {
            if let Some(service) = state.nets.remove(id).and_then(|n| n.service) {
                service.stop().await;
            }
            let parts = [names::tunnel(*id), names::endpoint(*id), names::bridge(*id)];
            lines.extend(parts.iter().filter_map(|name| links.get(name)).filter(|l| l.ours()).filter_map(wire::detach));
        }
        ip_batch(self.ns(), &lines).await?;
        for id in networks {
            netns::remove(&names::namespace(&self.prefix, *id)).await?;
        }
        Ok(())
    }

    /// With nothing left to filter the tables go, too.
    pub(super) async fn remove_tables_if_idle(&self, state: &mut State) -> Result<()> {
        if !state.ports.is_empty() || !state.nets.is_empty() {
            return Ok(());
        }
        if links::read(self.ns()).await?.values().any(Link::ours) {
            return Ok(());
        }
        let drop = |family: &str| format!("add table {family} {TABLE}\ndelete table {family} {TABLE}\n");
        nft(self.ns(), &(drop("bridge") + &drop("inet"))).await?;
        state.table = false;
        state.gateway = None;
        Ok(())
    }
}
