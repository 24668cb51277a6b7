//! What shall be on this host for a network and its ports; pure.

use crate::{Error, Result, names};
use driver_api::{NetworkSegment, NicSpec, PeerHost, SubnetSpec};
use ipnet::{IpNet, Ipv4Net};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use uuid::Uuid;

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mac(pub [u8; 6]);

impl Mac {
    pub(crate) fn parse(text: &str) -> Option<Mac> {
        let mut out = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut out {
            let part = parts.next().filter(|p| p.len() == 2 && !p.starts_with('+'))?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        parts.next().is_none().then_some(Mac(out))
    }
    /// The address that an interface gives itself on its link (EUI-64).
    pub(crate) fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
        Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
    }
}

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A port as it is kept in memory: checked, with its device.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Port {
    pub nic: NicSpec,
    pub device: String,
    pub mac: Mac,
    /// Addresses that the port may send from, by MAC.
    pub allowed: BTreeMap<Mac, Vec<IpNet>>,
}

impl Port {
    pub(crate) fn new(nic: &NicSpec) -> Result<Port> {
        let bad = |reason: String| Error::BadPort { port: nic.port_id, reason };
        let mac = Mac::parse(&nic.mac).filter(|m| m.0[0] & 1 == 0 && m.0 != [0; 6]);
        let mac = mac.ok_or_else(|| bad(format!("{:?} is no MAC address of an interface", nic.mac)))?;
        let device = device_of(nic);
        if !names::is_device(&device) {
            return Err(bad(format!("{device:?} cannot be the name of an interface")));
        }
        if !(576..=65_535).contains(&nic.mtu) {
            return Err(bad(format!("an MTU of {} is out of range", nic.mtu)));
        }
        let mut allowed = BTreeMap::from([(mac, nic.fixed_ips.iter().map(|f| IpNet::from(f.ip)).collect::<Vec<_>>())]);
        for (text, range) in &nic.allowed_pairs {
            // Neutron leaves the MAC out where it is the port's own.
            let pair = if text.is_empty() { Some(mac) } else { Mac::parse(text) };
            let pair = pair.ok_or_else(|| bad(format!("{text:?} of an allowed address pair is no MAC address")))?;
            allowed.entry(pair).or_default().push(range.trunc());
        }
        Ok(Port { nic: nic.clone(), device, mac, allowed })
    }
}

/// The host-side device of an interface.
pub(crate) fn device_of(nic: &NicSpec) -> String {
    if nic.device.is_empty() { names::tap_name(nic.port_id) } else { nic.device.clone() }
}

/// Part of a network that leads to other hosts by VXLAN.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tunnel {
    pub device: String,
    pub vni: u32,
    pub local: IpAddr,
    pub peers: Vec<PeerHost>,
}

/// The namespace of a network with its DHCP and metadata servers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Endpoint {
    pub device: String,
    pub namespace: String,
    pub mac: String,
    pub addresses: BTreeSet<IpNet>,
}

/// What a host shall have for one network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct NetPlan {
    pub id: Uuid,
    pub bridge: String,
    pub mac: String,
    pub mtu: u32,
    pub tunnel: Option<Tunnel>,
    /// Physical network and interface.
    pub uplink: Option<(String, String)>,
    pub endpoint: Option<Endpoint>,
    /// Addresses that the host itself holds on the bridge.
    pub gateways: Vec<Ipv4Net>,
    pub subnets: Vec<SubnetSpec>,
}

/// What of the host matters for a plan.
pub(crate) struct Host<'a> {
    pub namespace_prefix: &'a str,
    pub vtep: Option<IpAddr>,
    pub physical_networks: &'a BTreeMap<String, String>,
}

fn gateways(subnets: &[SubnetSpec]) -> Vec<Ipv4Net> {
    let net = |s: &SubnetSpec| match (s.gateway, s.cidr) {
        (Some(IpAddr::V4(ip)), IpNet::V4(cidr)) => Ipv4Net::new(ip, cidr.prefix_len()).ok(),
        _ => None,
    };
    subnets.iter().filter_map(net).collect()
}

impl NetPlan {
    /// The plan of the network that `nic` describes.
    pub(crate) fn new(nic: &NicSpec, host: &Host<'_>) -> Result<NetPlan> {
        let id = nic.network_id;
        let bad = |reason: String| Error::BadNetwork { network: id, reason };
        let mut tunnel = None;
        let mut uplink = None;
        let mut gateway_ips = Vec::new();
        match &nic.segment {
            NetworkSegment::Vxlan { vni, peers, host_gateway } => {
                if *host_gateway {
                    gateway_ips = gateways(&nic.subnets);
                }
                if !peers.is_empty() {
                    let local = host.vtep.ok_or_else(|| {
                        bad("it spans other hosts, but this host has no tunnel address (vtep)".to_owned())
                    })?;
                    if !(1..=0xff_ffff).contains(vni) {
                        return Err(bad(format!("{vni} is no VXLAN identifier")));
                    }
                    let device = names::tunnel(id);
                    tunnel = Some(Tunnel { device, vni: *vni, local, peers: peers.clone() });
                }
            }
            NetworkSegment::Flat { physical_network } => {
                let interface = host.physical_networks.get(physical_network).ok_or_else(|| Error::Uplink {
                    physical_network: physical_network.clone(),
                    reason: "no interface of this host is mapped to it".to_owned(),
                })?;
                if !names::is_device(interface) {
                    return Err(Error::Uplink {
                        physical_network: physical_network.clone(),
                        reason: format!("{interface:?} cannot be the name of an interface"),
                    });
                }
                uplink = Some((physical_network.clone(), interface.clone()));
            }
        }
        let held = nic.subnets.iter().filter_map(|s| IpNet::new(s.dhcp_ip?, s.cidr.prefix_len()).ok());
        let mut addresses: BTreeSet<IpNet> = held.collect();
        let endpoint = (!addresses.is_empty()).then(|| {
            addresses.insert(IpNet::from(IpAddr::V4(names::METADATA_IP)));
            Endpoint {
                device: names::endpoint(id),
                namespace: names::namespace(host.namespace_prefix, id),
                mac: names::mac_of(id, "endpoint"),
                addresses,
            }
        });
        Ok(NetPlan {
            id,
            bridge: names::bridge(id),
            mac: names::mac_of(id, "bridge"),
            mtu: nic.mtu,
            tunnel,
            uplink,
            endpoint,
            gateways: gateway_ips,
            subnets: nic.subnets.clone(),
        })
    }

    /// Whether the host is the gateway.
    pub(crate) fn routed(&self) -> bool {
        !self.gateways.is_empty()
    }

    /// Interfaces through which the network goes on beyond this host.
    pub(crate) fn joins(&self) -> impl Iterator<Item = &str> {
        let tunnel = self.tunnel.iter().map(|t| t.device.as_str());
        tunnel.chain(self.uplink.iter().map(|(_, interface)| interface.as_str()))
    }

    /// Addresses of the DHCP servers on this network.
    pub(crate) fn dhcp_ips(&self) -> Vec<Ipv4Addr> {
        let v4 = |s: &SubnetSpec| match s.dhcp_ip {
            Some(IpAddr::V4(ip)) if s.dhcp => Some(ip),
            _ => None,
        };
        self.subnets.iter().filter_map(v4).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Mac;

    #[test]
    fn macs_are_parsed_strictly() {
        let mac = Mac::parse("FA:16:3e:00:01:Ff").unwrap();
        assert_eq!(mac.to_string(), "fa:16:3e:00:01:ff");
        assert_eq!(mac.link_local().to_string(), "fe80::f816:3eff:fe00:1ff");
        for text in ["", "fa:16:3e:00:01", "fa:16:3e:00:01:ff:00", "fa:16:3e:00:01:f", "fa:16:3e:00:01:+f", "x"] {
            assert_eq!(Mac::parse(text), None, "{text}");
        }
    }
}
