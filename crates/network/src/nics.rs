//! A server's interfaces with all that a host needs to wire them: subnets, peers, and security rules with remote
//! groups already resolved to addresses. Read when a command is sent, never stored.

use driver_api::{
    EtherType, NetworkSegment, NicSpec, PeerHost, SecurityRule, SubnetSpec,
};
use ipnet::IpNet;
use model::network::{DHCP_OWNER, Network, Port, SecurityGroupRule, Segment, Subnet};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use store::network::{groups, networks, ports, subnets};
use store::{Error, Result, Tx};
use uuid::Uuid;

/// The interfaces of a server, in order.
/// # Errors
/// The store's.
pub fn nic_specs(tx: &mut Tx, server: Uuid) -> Result<Vec<NicSpec>> {
    let own = ports::of_server(tx, server)?;
    if own.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = own.iter().map(|p| p.network_id).collect::<BTreeSet<_>>().into_iter().collect();
    let filter = networks::Filter { ids: ids.clone(), ..Default::default() };
    let nets: BTreeMap<Uuid, Network> = networks::list(tx, &filter)?.into_iter().map(|n| (n.id, n)).collect();
    let all_subnets = subnets::of_networks(tx, &ids)?;
    let services = service_ips(tx, &ids)?;
    let rules = resolved_rules(tx, &own)?;
    let vteps = networks::vteps(tx)?;
    let mut out = Vec::with_capacity(own.len());
    for p in &own {
        let n = nets.get(&p.network_id).ok_or_else(|| Error::corrupt("port", "its network is gone"))?;
        let segment = segment(tx, n, p, &vteps)?;
        let here = all_subnets.iter().filter(|s| s.network_id == n.id);
        out.push(NicSpec {
            port_id: p.id,
            network_id: n.id,
            network_name: n.name.clone(),
            mac: p.mac.clone(),
            mtu: n.mtu,
            device: device(p.id),
            model: None,
            fixed_ips: p.fixed_ips.clone(),
            allowed_pairs: pairs(p),
            subnets: here.map(|s| subnet_spec(s, &services)).collect(),
            segment,
            port_security: p.port_security_enabled,
            rules: p.security_groups.iter().flat_map(|g| rules.get(g).cloned().unwrap_or_default()).collect(),
            admin_up: p.admin_state_up && n.admin_state_up,
        });
    }
    Ok(out)
}

/// The host's device of a port, as Neutron names it.
pub fn device(port: Uuid) -> String {
    let mut name = format!("tap{port}");
    name.truncate(14);
    name
}

fn pairs(p: &Port) -> Vec<(String, IpNet)> {
    p.allowed_address_pairs.iter().map(|a| (a.mac.clone().unwrap_or_else(|| p.mac.clone()), a.ip)).collect()
}

fn subnet_spec(s: &Subnet, services: &BTreeMap<Uuid, IpAddr>) -> SubnetSpec {
    SubnetSpec {
        id: s.id,
        cidr: s.cidr,
        gateway: s.gateway_ip,
        dns: s.dns_nameservers.clone(),
        routes: s.host_routes.clone(),
        dhcp: s.enable_dhcp,
        dhcp_ip: services.get(&s.id).copied(),
    }
}

/// The address that each network's own endpoint holds on each subnet.
fn service_ips(tx: &mut Tx, ids: &[Uuid]) -> Result<BTreeMap<Uuid, IpAddr>> {
    let devices = ids.iter().map(|n| format!("dhcp-{n}")).collect();
    let found = ports::list(tx, &ports::Filter { devices, ..Default::default() })?;
    let dhcp = found.iter().filter(|p| p.device_owner == DHCP_OWNER);
    Ok(dhcp.flat_map(|p| &p.fixed_ips).map(|f| (f.subnet_id, f.ip)).collect())
}

fn segment(tx: &mut Tx, n: &Network, p: &Port, vteps: &BTreeMap<String, String>) -> Result<NetworkSegment> {
    let vni = match &n.segment {
        Segment::Flat { physical_network } => {
            return Ok(NetworkSegment::Flat { physical_network: physical_network.clone() });
        }
        Segment::Vxlan { vni } => *vni,
    };
    let mut peers: BTreeMap<IpAddr, Vec<(String, Vec<IpAddr>)>> = BTreeMap::new();
    // With one host, or hosts without tunnels, nobody is elsewhere.
    let others = vteps.keys().any(|h| p.host.as_ref() != Some(h));
    let elsewhere = match &p.host {
        Some(host) if others => ports::elsewhere(tx, n.id, host)?,
        _ => Vec::new(),
    };
    for q in elsewhere {
        let vtep = q.host.as_ref().and_then(|h| vteps.get(h)).and_then(|v| v.parse().ok());
        if let Some(vtep) = vtep {
            let ips = q.fixed_ips.iter().map(|f| f.ip).collect();
            peers.entry(vtep).or_default().push((q.mac.clone(), ips));
        }
    }
    let peers = peers.into_iter().map(|(vtep, ports)| PeerHost { vtep, ports }).collect();
    Ok(NetworkSegment::Vxlan { vni, peers, host_gateway: n.host_gateway })
}

/// The rules of every group of these ports, remote groups as addresses.
fn resolved_rules(tx: &mut Tx, own: &[Port]) -> Result<BTreeMap<Uuid, Vec<SecurityRule>>> {
    let group_ids: Vec<Uuid> =
        own.iter().flat_map(|p| p.security_groups.iter().copied()).collect::<BTreeSet<_>>().into_iter().collect();
    let rules = groups::rules_of(tx, &group_ids)?;
    let remotes: Vec<Uuid> = rules.iter().filter_map(|r| r.remote_group_id).collect::<BTreeSet<_>>().into_iter().collect();
    let members = ports::members(tx, &remotes)?;
    let mut out: BTreeMap<Uuid, Vec<SecurityRule>> = BTreeMap::new();
    for r in &rules {
        out.entry(r.security_group_id).or_default().push(resolve(r, &members));
    }
    Ok(out)
}

fn resolve(r: &SecurityGroupRule, members: &BTreeMap<Uuid, Vec<Port>>) -> SecurityRule {
    let v4 = r.ethertype == EtherType::V4;
    let mut remote: BTreeSet<IpNet> = r.remote_ip_prefix.into_iter().filter(|n| n.prefix_len() > 0).collect();
    let mut remote_none = false;
    if let Some(group) = r.remote_group_id {
        for p in members.get(&group).into_iter().flatten() {
            remote.extend(p.fixed_ips.iter().filter(|f| f.ip.is_ipv4() == v4).map(|f| IpNet::from(f.ip)));
            remote.extend(p.allowed_address_pairs.iter().map(|a| a.ip).filter(|n| matches!(n, IpNet::V4(_)) == v4));
        }
        remote_none = remote.is_empty();
    }
    SecurityRule {
        direction: r.direction,
        ethertype: r.ethertype,
        protocol: r.protocol_number(),
        port_min: r.port_range_min,
        port_max: r.port_range_max,
        remote: remote.into_iter().collect(),
        remote_none,
    }
}
