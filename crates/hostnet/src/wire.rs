//! Which `ip` commands lead from what is to what shall be; pure. Said again they are none.

use crate::links::{Address, Link, Links};
use crate::names::{ALIAS, ENDPOINT};
use crate::plan::{Endpoint, NetPlan, Port, Tunnel};
use crate::{Error, Result};
use ipnet::IpNet;
use std::collections::{BTreeMap, BTreeSet};

/// Dresses an interface that we made: our alias, no IPv6 address of its own.
fn dress(device: &str, mtu: u32) -> String {
    format!("link set dev {device} alias {ALIAS} addrgenmode none mtu {mtu}")
}

fn other_mtu(link: &Link, mtu: u32) -> Option<String> {
    (link.mtu != mtu).then(|| format!("link set dev {} mtu {mtu}", link.ifname))
}

fn not_ours(plan: &NetPlan, device: &str) -> Error {
    let reason = format!("interface {device:?} is there and not ours");
    Error::BadNetwork { network: plan.id, reason }
}

/// Bridge, tunnel, uplink and the pair to the endpoint's namespace, which must be there.
pub(crate) fn network(plan: &NetPlan, links: &Links, namespace_is_new: bool) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let bridge = &plan.bridge;
    match links.get(bridge) {
        None => {
            out.push(format!(
                "link add name {bridge} type bridge forward_delay 0 stp_state 0 mcast_snooping 0 \
                 nf_call_iptables 0 nf_call_ip6tables 0 nf_call_arptables 0"
            ));
            out.push(dress(bridge, plan.mtu));
            out.push(format!("link set dev {bridge} address {} up", plan.mac));
        }
        Some(link) if !link.ours() => return Err(not_ours(plan, bridge)),
        Some(link) => {
            out.extend(other_mtu(link, plan.mtu));
            if !link.up() {
                out.push(format!("link set dev {bridge} up"));
            }
        }
    }
    tunnel(plan, links, &mut out)?;
    uplink(plan, links, &mut out)?;
    endpoint_pair(plan, links, namespace_is_new, &mut out)?;
    Ok(out)
}

fn tunnel(plan: &NetPlan, links: &Links, out: &mut Vec<String>) -> Result<()> {
    let device = crate::names::tunnel(plan.id);
    let present = links.get(&device);
    if present.is_some_and(|l| !l.ours()) {
        return Err(not_ours(plan, &device));
    }
    let same = |link: &Link, tunnel: &Tunnel| {
        let data = &link.linkinfo.info_data;
        data.id == Some(tunnel.vni) && data.local.or(data.local6) == Some(tunnel.local)
    };
    let keep = match (present, &plan.tunnel) {
        (Some(link), Some(tunnel)) => same(link, tunnel),
        _ => false,
    };
    if present.is_some() && !keep {
        out.push(format!("link del dev {device}"));
    }
    if let (Some(tunnel), false) = (&plan.tunnel, keep) {
        let (vni, local) = (tunnel.vni, tunnel.local);
        out.push(format!("link add name {device} type vxlan id {vni} dstport 4789 local {local} nolearning"));
        out.push(dress(&device, plan.mtu));
        out.push(format!("link set dev {device} master {} up", plan.bridge));
    } else if let (Some(link), true) = (present, keep) {
        out.extend(other_mtu(link, plan.mtu));
        if link.master.as_deref() != Some(&plan.bridge) || !link.up() {
            out.push(format!("link set dev {device} master {} up", plan.bridge));
        }
    }
    Ok(())
}

fn uplink(plan: &NetPlan, links: &Links, out: &mut Vec<String>) -> Result<()> {
    let Some((physical_network, interface)) = &plan.uplink else {
        return Ok(());
    };
    let bad = |reason: String| Error::Uplink { physical_network: physical_network.clone(), reason };
    let link = links.get(interface).ok_or_else(|| bad(format!("this host has no interface {interface:?}")))?;
    match &link.master {
        Some(master) if *master == plan.bridge => {}
        Some(master) => {
            return Err(bad(format!("interface {interface:?} already belongs to {master:?}")));
        }
        None => out.push(format!("link set dev {interface} master {} up", plan.bridge)),
    }
    Ok(())
}

fn endpoint_pair(plan: &NetPlan, links: &Links, namespace_is_new: bool, out: &mut Vec<String>) -> Result<()> {
    let device = crate::names::endpoint(plan.id);
    let mut present = links.get(&device);
    if present.is_some_and(|l| !l.ours()) {
        return Err(not_ours(plan, &device));
    }
    // The other end of a pair that is there lies in a namespace that is gone.
    if present.is_some() && (namespace_is_new || plan.endpoint.is_none()) {
        out.push(format!("link del dev {device}"));
        present = None;
    }
    let Some(Endpoint { namespace, mac, .. }) = &plan.endpoint else {
        return Ok(());
    };
    match present {
        Some(link) => out.extend(other_mtu(link, plan.mtu)),
        None => {
            out.push(format!(
                "link add name {device} type veth peer name {ENDPOINT} address {mac} mtu {} netns {namespace}",
                plan.mtu
            ));
            out.push(dress(&device, plan.mtu));
            out.push(format!("link set dev {device} master {} up", plan.bridge));
        }
    }
    Ok(())
}

/// The addresses that the host holds on a bridge as gateway.
pub(crate) fn gateway_addresses(plan: &NetPlan, present: &BTreeMap<String, Vec<Address>>) -> Result<Vec<String>> {
    let wanted: BTreeSet<IpNet> = plan.gateways.iter().map(|g| IpNet::V4(*g)).collect();
    for (device, addresses) in present.iter().filter(|(device, _)| **device != plan.bridge) {
        let taken = addresses.iter().find(|a| wanted.iter().any(|w| w.contains(&a.local)));
        if let Some(address) = taken {
            let reason = format!(
                "the host has {} on {device:?}, which is in a subnet that it shall be the gateway of",
                address.local
            );
            return Err(Error::BadNetwork { network: plan.id, reason });
        }
    }
    let none = Vec::new();
    let addresses = present.get(&plan.bridge).unwrap_or(&none);
    Ok(difference(&plan.bridge, addresses, &wanted))
}

fn difference(device: &str, present: &[Address], wanted: &BTreeSet<IpNet>) -> Vec<String> {
    let present: BTreeSet<IpNet> =
        present.iter().filter(|a| a.scope != "link").filter_map(|a| IpNet::new(a.local, a.prefixlen).ok()).collect();
    let remove = present.difference(wanted).map(|net| format!("addr del {net} dev {device}"));
    let add = wanted.difference(&present).map(|net| format!("addr add {net} dev {device}"));
    remove.chain(add).collect()
}

/// Inside the namespace of a network: addresses, and for each port a fixed neighbour, so that replies go to the port
/// that holds an address and to nobody who claims it.
pub(crate) fn endpoint(
    endpoint: &Endpoint,
    mtu: u32,
    links: &Links,
    addresses: &BTreeMap<String, Vec<Address>>,
    neighbours: &BTreeSet<(String, String)>,
    wanted_neighbours: &BTreeSet<(String, String)>,
) -> Vec<String> {
    let mut out = Vec::new();
    let link = links.get(ENDPOINT).cloned().unwrap_or_default();
    if !links.get("lo").is_some_and(Link::up) {
        out.push("link set dev lo up".to_owned());
    }
    if !link.up() {
        out.push(format!("link set dev {ENDPOINT} addrgenmode none up"));
    }
    if link.mtu != mtu {
        out.push(format!("link set dev {ENDPOINT} mtu {mtu}"));
    }
    if !link.address.eq_ignore_ascii_case(&endpoint.mac) {
        out.push(format!("link set dev {ENDPOINT} address {}", endpoint.mac));
    }
    let none = Vec::new();
    out.extend(difference(ENDPOINT, addresses.get(ENDPOINT).unwrap_or(&none), &endpoint.addresses));
    let gone = neighbours.iter().filter(|(ip, _)| !wanted_neighbours.iter().any(|(w, _)| w == ip));
    out.extend(gone.map(|(ip, _)| format!("neigh del {ip} dev {ENDPOINT}")));
    let new = wanted_neighbours.difference(neighbours);
    out.extend(new.map(|(ip, mac)| format!("neigh replace {ip} lladdr {mac} dev {ENDPOINT} nud permanent")));
    out
}

/// Makes the tap of a port, not yet on its bridge. A device that somebody made before us is used as it is.
pub(crate) fn tap(port: &Port, bridge: &str, links: &Links) -> Result<Vec<String>> {
    let device = &port.device;
    match links.get(device) {
        None => Ok(vec![format!("tuntap add dev {device} mode tap"), dress(device, port.nic.mtu)]),
        Some(link) if link.is_bridge() || link.master.as_deref().is_some_and(|m| m != bridge) => {
            let reason = format!("interface {device:?} is used otherwise");
            Err(Error::BadPort { port: port.nic.port_id, reason })
        }
        Some(link) if link.ours() => Ok(other_mtu(link, port.nic.mtu).into_iter().collect()),
        Some(_) => Ok(Vec::new()),
    }
}

/// Puts a port on its bridge; only after its rules are there.
pub(crate) fn attach(port: &Port, bridge: &str, links: &Links) -> Option<String> {
    let there = links.get(&port.device).is_some_and(|l| l.master.as_deref() == Some(bridge) && l.up());
    (!there).then(|| format!("link set dev {} master {bridge} up", port.device))
}

/// Takes an interface away: ours altogether, another only from the bridge.
pub(crate) fn detach(link: &Link) -> Option<String> {
    if link.ours() {
        Some(format!("link del dev {}", link.ifname))
    } else {
        link.master.as_ref().map(|_| format!("link set dev {} nomaster", link.ifname))
    }
}
