//! `network_data.json` (`nova/virt/netutils.py`, `get_network_metadata`).

use crate::pyjson;
use driver_api::{FixedIp, NicSpec, SubnetSpec};
use ipnet::IpNet;
use serde::Serialize;
use std::net::IpAddr;

#[derive(Serialize)]
struct Link {
    id: String,
    vif_id: String,
    r#type: &'static str,
    mtu: Option<u32>,
    ethernet_mac_address: String,
}

#[derive(Serialize)]
struct Route {
    network: IpAddr,
    netmask: IpAddr,
    gateway: IpAddr,
}

#[derive(Serialize, Clone, PartialEq)]
struct Service {
    r#type: &'static str,
    address: IpAddr,
}

/// A network that the guest configures by DHCP has only the first four fields.
#[derive(Serialize)]
struct Network {
    id: String,
    r#type: &'static str,
    link: String,
    #[serde(flatten)]
    fixed: Option<Fixed>,
    network_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<Vec<Service>>,
}

#[derive(Serialize)]
struct Fixed {
    ip_address: IpAddr,
    netmask: IpAddr,
    routes: Vec<Route>,
}

#[derive(Serialize, Default)]
struct NetworkData {
    links: Vec<Link>,
    networks: Vec<Network>,
    services: Vec<Service>,
}

/// The first subnet of a family on which the port has an address, and that address.
/// Nova shows no more than one of each family.
fn first(nic: &NicSpec, v4: bool) -> Option<(&SubnetSpec, &FixedIp)> {
    nic.fixed_ips
        .iter()
        .filter(|f| f.ip.is_ipv4() == v4)
        .find_map(|f| nic.subnets.iter().find(|s| s.id == f.subnet_id).map(|s| (s, f)))
}

fn dns(subnet: &SubnetSpec) -> Vec<Service> {
    subnet.dns.iter().map(|address| Service { r#type: "dns", address: *address }).collect()
}

fn routes(subnet: &SubnetSpec) -> Vec<Route> {
    let route = |net: IpNet, gateway| Route { network: net.network(), netmask: net.netmask(), gateway };
    let default = subnet.gateway.map(|gateway| match gateway {
        IpAddr::V4(_) => Route { network: [0, 0, 0, 0].into(), netmask: [0, 0, 0, 0].into(), gateway },
        IpAddr::V6(_) => Route { network: [0u16; 8].into(), netmask: [0u16; 8].into(), gateway },
    });
    default.into_iter().chain(subnet.routes.iter().map(|r| route(r.destination, r.nexthop))).collect()
}

fn network(nic: &NicSpec, number: usize, link: &str, subnet: &SubnetSpec, ip: IpAddr) -> Network {
    let (by_dhcp, fixed) = if ip.is_ipv4() { ("ipv4_dhcp", "ipv4") } else { ("ipv6_dhcp", "ipv6") };
    Network {
        id: format!("network{number}"),
        r#type: if subnet.dhcp { by_dhcp } else { fixed },
        link: link.to_owned(),
        fixed: (!subnet.dhcp).then(|| Fixed { ip_address: ip, netmask: subnet.cidr.netmask(), routes: routes(subnet) }),
        network_id: nic.network_id.to_string(),
        services: (!subnet.dhcp).then(|| dns(subnet)),
    }
}

/// The document for these interfaces; `{}` for a guest without any.
pub(crate) fn network_data(nics: &[NicSpec]) -> Vec<u8> {
    if nics.is_empty() {
        return b"{}".to_vec();
    }
    let mut data = NetworkData::default();
    for nic in nics {
        let subnets: Vec<_> = [first(nic, true), first(nic, false)].into_iter().flatten().collect();
        if subnets.is_empty() {
            continue;
        }
        let link =
            if nic.device.is_empty() { format!("tap{}", &nic.port_id.to_string()[..11]) } else { nic.device.clone() };
        // Nova leaves the MTU to DHCP where a DHCP server answers.
        let served = subnets.iter().any(|(s, _)| s.dhcp && s.dhcp_ip.is_some());
        data.links.push(Link {
            id: link.clone(),
            vif_id: nic.port_id.to_string(),
            r#type: "bridge",
            mtu: (!served).then_some(nic.mtu),
            ethernet_mac_address: nic.mac.clone(),
        });
        for (subnet, fixed) in subnets {
            data.networks.push(network(nic, data.networks.len(), &link, subnet, fixed.ip));
            for service in dns(subnet) {
                if !data.services.contains(&service) {
                    data.services.push(service);
                }
            }
        }
    }
    pyjson::dump(&data)
}
