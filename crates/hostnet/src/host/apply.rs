//! Making what shall be.
//!
//! Order matters: a port's rules are loaded before the port is put on its bridge, so that no frame passes unseen,
//! and servers listen before a guest can be started.

use super::{HostNet, Net, State};
use crate::command::{ip_batch, ip_json, nft, nft_list};
use crate::links::{self, Links};
use crate::names::{ENDPOINT, TABLE};
use crate::netns::{self, within};
use crate::plan::{Endpoint, NetPlan, Port};
use crate::rules::{self, PortView};
use crate::service::Service;
use crate::{Error, Result, dhcp, fdb, netfilter, wire};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

#[derive(Deserialize)]
struct Neighbour {
    dst: String,
    #[serde(default)]
    lladdr: String,
    #[serde(default)]
    state: Vec<String>,
}

impl HostNet {
    /// Applies everything at once; if that fails, each network alone, so that one that cannot be does not hold up
    /// the others.
    pub(super) async fn apply_each(
        &self,
        state: &mut State,
        ports: Vec<Port>,
        plans: BTreeMap<Uuid, NetPlan>,
        keep: &BTreeSet<String>,
    ) -> Result<()> {
        if self.apply(state, ports.clone(), plans.clone(), Some(keep)).await.is_ok() {
            return Ok(());
        }
        let mut first = None;
        for (id, plan) in plans {
            let ports = ports.iter().filter(|p| p.nic.network_id == id).cloned().collect();
            if let Err(error) = self.apply(state, ports, BTreeMap::from([(id, plan)]), Some(keep)).await {
                tracing::error!(network = %id, %error, "a network cannot be made on this host");
                first.get_or_insert(error);
            }
        }
        first.map_or(Ok(()), Err)
    }

    /// Makes these networks and ports be there. With `keep`, the devices of all ports there shall be, the rules of
    /// others are removed and the whole table is looked at again.
    pub(super) async fn apply(
        &self,
        state: &mut State,
        ports: Vec<Port>,
        plans: BTreeMap<Uuid, NetPlan>,
        keep: Option<&BTreeSet<String>>,
    ) -> Result<()> {
        if plans.is_empty() {
            return Ok(());
        }
        check_gateways(state, &plans)?;
        let links = links::read(self.ns()).await?;
        state.lifted.extend(netfilter::lift(self.ns(), &links).await?);
        self.make_interfaces(&ports, &plans, &links).await?;
        self.make_gateways(&plans).await?;

        let before = self.remember(state, ports.clone(), plans.clone()).await;
        self.load_rules(state, &ports, &before, &links, keep).await?;

        let bridge = |port: &Port| crate::names::bridge(port.nic.network_id);
        let lines: Vec<String> = ports.iter().filter_map(|p| wire::attach(p, &bridge(p), &links)).collect();
        ip_batch(self.ns(), &lines).await?;

        for id in plans.keys() {
            self.serve(state, *id).await?;
        }
        for tunnel in plans.values().filter_map(|p| p.tunnel.as_ref()) {
            fdb::apply(self.ns(), tunnel).await?;
        }
        Ok(())
    }

    async fn make_interfaces(&self, ports: &[Port], plans: &BTreeMap<Uuid, NetPlan>, links: &Links) -> Result<()> {
        let mut lines = Vec::new();
        for plan in plans.values() {
            self.check_uplink(plan).await?;
            let fresh = match &plan.endpoint {
                Some(endpoint) => netns::ensure(&endpoint.namespace).await?,
                None => false,
            };
            lines.extend(wire::network(plan, links, fresh)?);
        }
        for port in ports {
            lines.extend(wire::tap(port, &crate::names::bridge(port.nic.network_id), links)?);
        }
        ip_batch(self.ns(), &lines).await
    }

    /// An interface with addresses stops answering under them once it is on a bridge, and moving addresses is the
    /// operator's decision.
    async fn check_uplink(&self, plan: &NetPlan) -> Result<()> {
        let Some((physical_network, interface)) = &plan.uplink else {
            return Ok(());
        };
        let addresses = links::addresses(self.ns()).await?;
        match addresses.get(interface).and_then(|list| list.iter().find(|a| a.scope == "global")) {
            None => Ok(()),
            Some(address) => Err(Error::Uplink {
                physical_network: physical_network.clone(),
                reason: format!("interface {interface:?} has the address {}; it would be cut off", address.local),
            }),
        }
    }

    async fn make_gateways(&self, plans: &BTreeMap<Uuid, NetPlan>) -> Result<()> {
        let routed: Vec<&NetPlan> = plans.values().filter(|p| p.routed()).collect();
        if routed.is_empty() {
            return Ok(());
        }
        let addresses = links::addresses(self.ns()).await?;
        let mut lines = Vec::new();
        for plan in routed {
            lines.extend(wire::gateway_addresses(plan, &addresses)?);
        }
        ip_batch(self.ns(), &lines).await?;
        for chain in dropping(&nft_list(self.ns(), &["chains"]).await?) {
            tracing::warn!(
                chain,
                "a rule set of the host forwards nothing by default; guests reach the world only if it lets their \
                 bridges pass (with Docker: iptables -I DOCKER-USER -i kb+ -j ACCEPT, and the same with -o)"
            );
        }
        within(self.ns(), || {
            let path = "/proc/sys/net/ipv4/ip_forward";
            // A container may not write it but may find it on.
            let on = std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1");
            if on { Ok(()) } else { std::fs::write(path, "1").map_err(Error::io("cannot turn on forwarding")) }
        })
        .await
    }

    /// Keeps ports and plans as known; returns the ports as they were known before.
    async fn remember(
        &self,
        state: &mut State,
        ports: Vec<Port>,
        plans: BTreeMap<Uuid, NetPlan>,
    ) -> BTreeMap<Uuid, Port> {
        for (id, plan) in plans {
            match state.nets.get_mut(&id) {
                Some(net) => net.plan = plan,
                None => {
                    state.nets.insert(id, Net { plan, service: None, neighbours: None });
                }
            }
        }
        ports
            .into_iter()
            .filter_map(|p| state.ports.insert(p.nic.port_id, p).map(|old| (old.nic.port_id, old)))
            .collect()
    }

    async fn load_rules(
        &self,
        state: &mut State,
        ports: &[Port],
        before: &BTreeMap<Uuid, Port>,
        links: &Links,
        keep: Option<&BTreeSet<String>>,
    ) -> Result<()> {
        let mut script = self.prepare_table(state, keep).await?;
        script += &self.members(state, links, &BTreeSet::new());
        for port in ports {
            let old = before.get(&port.nic.port_id);
            if old.is_some_and(|o| o.device != port.device) {
                script += &rules::remove_port(&old.map(|o| o.device.clone()).unwrap_or_default());
            }
            let Some(net) = state.nets.get(&port.nic.network_id) else {
                continue;
            };
            let view = PortView { port, dhcp: &net.plan.dhcp_ips(), gateways: &net.plan.gateways };
            script += &rules::port(&view);
            // Something that was allowed is so no more: what runs because of it ends.
            let narrower = old.is_some_and(|o| {
                o.nic.rules.iter().any(|r| !port.nic.rules.contains(r))
                    || o.nic.port_security != port.nic.port_security
                    || o.allowed != port.allowed
            });
            if narrower {
                script += &rules::forget_flows(&port.device);
            }
        }
        nft(self.ns(), &script).await?;
        state.table = true;
        self.load_gateway(state).await
    }

    /// The start of a script: the table as it must be for what follows.
    pub(super) async fn prepare_table(&self, state: &State, keep: Option<&BTreeSet<String>>) -> Result<String> {
        if state.table && keep.is_none() {
            return Ok(String::new());
        }
        let chains = nft_list(self.ns(), &["chains", "bridge"]).await?;
        let ours = chains.iter().map(|c| &c["chain"]).filter(|c| c["table"] == TABLE);
        let names: Vec<&str> = ours.filter_map(|c| c["name"].as_str()).collect();
        let mut script = String::new();
        let same_layout = names.contains(&rules::VERSION_CHAIN);
        if !same_layout {
            script += &format!("add table bridge {TABLE}\ndelete table bridge {TABLE}\n");
        }
        script += &rules::base();
        if let (Some(keep), true) = (keep, same_layout) {
            let stale = names.iter().filter_map(|n| n.strip_prefix("from_")).filter(|device| !keep.contains(*device));
            for device in stale {
                script += &rules::remove_port(device);
            }
        }
        Ok(script)
    }

    /// Which interfaces lead to endpoints and to other hosts: what is there and what is planned, without `gone`.
    pub(super) fn members(&self, state: &State, links: &Links, gone: &BTreeSet<String>) -> String {
        let ours = |prefix: &str| -> BTreeSet<String> {
            let mut out: BTreeSet<String> =
                links.values().filter(|l| l.ours() && l.ifname.starts_with(prefix)).map(|l| l.ifname.clone()).collect();
            out.retain(|name| !gone.contains(name));
            out
        };
        let mut endpoints = ours("kv");
        let mut joins = ours("kx");
        let bridged = |name: &&String| {
            let master = links.get(*name).and_then(|l| l.master.as_deref()).and_then(|m| links.get(m));
            master.is_some_and(|m| m.ours() && !gone.contains(&m.ifname))
        };
        joins.extend(self.options.physical_networks.values().filter(bridged).cloned());
        for net in state.nets.values() {
            endpoints.extend(net.plan.endpoint.iter().map(|e| e.device.clone()));
            joins.extend(net.plan.joins().map(str::to_owned));
        }
        let endpoints: Vec<&str> = endpoints.iter().map(String::as_str).collect();
        let joins: Vec<&str> = joins.iter().map(String::as_str).collect();
        rules::members(&endpoints, &joins)
    }

    /// Loads the gateway's table if it is not what was loaded last.
    pub(super) async fn load_gateway(&self, state: &mut State) -> Result<()> {
        let script = rules::gateway(state.nets.values().map(|n| &n.plan));
        if state.gateway.as_ref() != Some(&script) {
            nft(self.ns(), &script).await?;
            state.gateway = Some(script);
        }
        Ok(())
    }

    /// Makes a network's namespace and servers fit its plan and ports.
    pub(super) async fn serve(&self, state: &mut State, network: Uuid) -> Result<()> {
        let neighbours: BTreeSet<(String, String)> = state
            .ports_of(network)
            .flat_map(|p| p.nic.fixed_ips.iter().map(|f| (f.ip.to_string(), p.mac.to_string())))
            .collect();
        let Some(net) = state.nets.get(&network) else {
            return Ok(());
        };
        let leases = dhcp::leases(&net.plan.subnets, state.ports_of(network));
        let Some(net) = state.nets.get_mut(&network) else {
            return Ok(());
        };
        let Some(endpoint) = net.plan.endpoint.clone() else {
            if let Some(service) = net.service.take() {
                service.stop().await;
            }
            net.neighbours = None;
            return netns::remove(&crate::names::namespace(&self.prefix, network)).await;
        };
        if !net.service.as_ref().is_some_and(|s| s.alive(&endpoint.namespace)) {
            net.neighbours = None;
        }
        if net.neighbours.as_ref() != Some(&neighbours) || net.service.is_none() {
            self.dress_endpoint(&endpoint, net.plan.mtu, net.neighbours.as_ref(), &neighbours).await?;
            net.neighbours = Some(neighbours);
        }
        match &net.service {
            Some(service) if service.alive(&endpoint.namespace) => service.set_leases(leases),
            _ => {
                if let Some(service) = net.service.take() {
                    service.stop().await;
                }
                let service = Service::start(&endpoint.namespace, network, &self.options.metadata).await?;
                service.set_leases(leases);
                net.service = Some(service);
            }
        }
        Ok(())
    }

    async fn dress_endpoint(
        &self,
        endpoint: &Endpoint,
        mtu: u32,
        known: Option<&BTreeSet<(String, String)>>,
        wanted: &BTreeSet<(String, String)>,
    ) -> Result<()> {
        let ns = Some(endpoint.namespace.as_str());
        let links = links::read(ns).await?;
        let addresses = links::addresses(ns).await?;
        let present = match known {
            Some(known) => known.clone(),
            None => {
                let list: Vec<Neighbour> = ip_json(ns, &["neigh", "show", "dev", ENDPOINT]).await?;
                let fixed = list.into_iter().filter(|n| n.state.iter().any(|s| s == "PERMANENT"));
                fixed.map(|n| (n.dst, n.lladdr)).collect()
            }
        };
        let lines = wire::endpoint(endpoint, mtu, &links, &addresses, &present, wanted);
        ip_batch(ns, &lines).await
    }
}

/// Chains of others that drop routed packets by policy. No rule of ours can overrule them, and theirs are not ours
/// to change.
fn dropping(chains: &[serde_json::Value]) -> Vec<String> {
    let word = |chain: &serde_json::Value, key: &str| chain[key].as_str().unwrap_or_default().to_owned();
    let routed = |c: &&serde_json::Value| {
        c["hook"] == "forward" && c["policy"] == "drop" && (c["family"] == "ip" || c["family"] == "inet")
    };
    chains
        .iter()
        .map(|c| &c["chain"])
        .filter(routed)
        .map(|c| format!("{} {} {}", word(c, "family"), word(c, "table"), word(c, "name")))
        .collect()
}

/// The host has one routing table, so the networks it is the gateway of must not overlap.
fn check_gateways(state: &State, plans: &BTreeMap<Uuid, NetPlan>) -> Result<()> {
    let known = state.nets.values().map(|n| &n.plan).filter(|p| !plans.contains_key(&p.id));
    let all: Vec<&NetPlan> = known.chain(plans.values()).filter(|p| p.routed()).collect();
    for plan in plans.values() {
        for other in all.iter().filter(|o| o.id != plan.id) {
            let clash = plan
                .gateways
                .iter()
                .find(|a| other.gateways.iter().any(|b| a.contains(&b.network()) || b.contains(&a.network())));
            if let Some(net) = clash {
                let reason =
                    format!("the host is already the gateway of network {}, which overlaps {}", other.id, net.trunc());
                return Err(Error::BadNetwork { network: plan.id, reason });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::dropping;

    #[test]
    fn a_policy_that_cuts_guests_off_is_seen() {
        let chain = |family, hook, policy| serde_json::json!({"chain": {"family": family, "table": "filter", "name": "FORWARD", "hook": hook, "policy": policy}});
        let list = [
            serde_json::json!({"metainfo": {}}),
            chain("ip", "forward", "accept"),
            chain("ip", "input", "drop"),
            chain("bridge", "forward", "drop"),
            chain("ip", "forward", "drop"),
        ];
        assert_eq!(dropping(&list), ["ip filter FORWARD"]);
    }
}
