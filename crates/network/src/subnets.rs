//! Subnets, and the DHCP port that a network has for them.

use crate::address::{self, default_gateway, default_pools};
use crate::groups::{charge, refund};
use crate::{Error, Result, Who, networks as nets, ports as service_ports};
use driver_api::{FixedIp, Route};
use ipnet::IpNet;
use model::Env;
use model::network::{DHCP_OWNER, Network, Pool, Subnet};
use std::collections::BTreeSet;
use std::net::IpAddr;
use store::Tx;
use store::network::{networks, ports, subnets};
use uuid::Uuid;

/// Most name servers of a subnet (Neutron's `max_dns_nameservers`).
const MAX_DNS: usize = 5;
/// Most routes of a subnet (Neutron's `max_subnet_host_routes`).
const MAX_ROUTES: usize = 20;

/// The gateway as given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Gateway {
    /// Nothing was said: the first address.
    #[default]
    Default,
    /// `null`: none.
    None,
    /// This one.
    At(IpAddr),
}

/// What makes a subnet, as given.
#[derive(Debug, Clone)]
pub struct NewSubnet {
    /// Its network.
    pub network_id: Uuid,
    /// Owner.
    pub project_id: String,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// 4 or 6.
    pub ip_version: i64,
    /// Range.
    pub cidr: IpNet,
    /// Gateway.
    pub gateway: Gateway,
    /// Default true.
    pub enable_dhcp: bool,
    /// Default all but the gateway.
    pub allocation_pools: Option<Vec<Pool>>,
    /// Name servers.
    pub dns_nameservers: Vec<IpAddr>,
    /// Routes.
    pub host_routes: Vec<Route>,
}

/// Makes a subnet, and with DHCP the port that answers it.
/// # Errors
/// Addresses that make no sense or overlap, policy, quota.
pub fn create(tx: &mut Tx, env: &Env, who: &Who, new: &NewSubnet) -> Result<Subnet> {
    let mut n = nets::owned(tx, who, new.network_id, "create_subnet")?;
    if new.project_id != who.project_id && !who.admin {
        return Err(crate::who::forbidden("create_subnet:tenant_id"));
    }
    let cidr = new.cidr.trunc();
    check_range(new.ip_version, &cidr)?;
    let gateway = match new.gateway {
        Gateway::Default => Some(default_gateway(&cidr)),
        Gateway::None => None,
        Gateway::At(ip) => Some(ip),
    };
    check_gateway(&cidr, gateway)?;
    let pools = match &new.allocation_pools {
        Some(p) => {
            address::check_pools(&cidr, p, gateway)?;
            p.clone()
        }
        None => default_pools(&cidr, gateway),
    };
    check_lists(&new.dns_nameservers, &new.host_routes)?;
    for other in subnets::of_networks(tx, &[n.id])? {
        if other.cidr.contains(&cidr) || cidr.contains(&other.cidr) {
            let message = format!("Requested subnet with cidr: {cidr} for network: {} overlaps with another subnet", n.id);
            return Err(Error::input(message));
        }
    }
    charge(tx, &new.project_id, "subnet", 1)?;
    let now = env.now();
    let s = Subnet {
        id: env.uuid(),
        network_id: n.id,
        project_id: new.project_id.clone(),
        name: new.name.clone(),
        description: new.description.clone(),
        cidr,
        gateway_ip: gateway,
        enable_dhcp: new.enable_dhcp,
        allocation_pools: pools,
        dns_nameservers: new.dns_nameservers.clone(),
        host_routes: new.host_routes.clone(),
        tags: BTreeSet::new(),
        revision: 0,
        created_at: now,
        updated_at: now,
    };
    subnets::insert(tx, &s)?;
    // The network's revision moves, so that two overlapping subnets made at once cannot both commit.
    networks::update(tx, &mut n)?;
    if s.enable_dhcp {
        join_dhcp(tx, env, &n, &s)?;
    }
    Ok(s)
}

fn check_range(version: i64, cidr: &IpNet) -> Result<()> {
    let is = if matches!(cidr, IpNet::V4(_)) { 4 } else { 6 };
    if version != is {
        return Err(Error::input(format!("Invalid CIDR {cidr} given as IP network, ip_version says {version}")));
    }
    let ip = cidr.network();
    let odd = ip.is_multicast() || ip.is_loopback() || (cidr.prefix_len() == 0);
    let link_local = matches!(cidr, IpNet::V4(v) if v.network().is_link_local());
    if odd || link_local {
        return Err(Error::input(format!("Invalid CIDR {cidr}: no host could have such an address")));
    }
    Ok(())
}

fn check_gateway(cidr: &IpNet, gateway: Option<IpAddr>) -> Result<()> {
    match gateway {
        Some(g) if !address::usable(cidr, g) => Err(Error::input(format!("Gateway {g} is not valid on subnet {cidr}"))),
        _ => Ok(()),
    }
}

fn check_lists(dns: &[IpAddr], routes: &[Route]) -> Result<()> {
    if dns.len() > MAX_DNS {
        let message = format!("Unable to complete operation. The number of DNS nameservers exceeds the limit {MAX_DNS}.");
        return Err(Error::invalid("DNSNameServersExhausted", message));
    }
    if routes.len() > MAX_ROUTES {
        let message = format!("Unable to complete operation. The number of host routes exceeds the limit {MAX_ROUTES}.");
        return Err(Error::invalid("HostRoutesExhausted", message));
    }
    Ok(())
}

/// Gives the network's DHCP port an address of the subnet: the lowest free one, so that it is easy to know.
fn join_dhcp(tx: &mut Tx, env: &Env, n: &Network, s: &Subnet) -> Result<()> {
    let mut port = match dhcp_port(tx, n.id)? {
        Some(p) => p,
        None => service_ports::platform_port(tx, env, n, DHCP_OWNER, &format!("dhcp-{}", n.id))?,
    };
    let taken = subnets::taken(tx, s.id)?;
    let Some(ip) = address::lowest_free(s, &taken) else {
        return Err(service_ports::exhausted(n.id));
    };
    if !subnets::take_ip(tx, s.id, ip, port.id)? {
        return Err(Error::Store(store::Error::Busy));
    }
    port.fixed_ips.push(FixedIp { subnet_id: s.id, ip });
    port.updated_at = env.now();
    Ok(ports::update(tx, &mut port)?)
}

/// Takes the subnet's address from the network's DHCP port; a port without addresses goes.
fn leave_dhcp(tx: &mut Tx, network: Uuid, subnet: Uuid) -> Result<()> {
    let Some(mut port) = dhcp_port(tx, network)? else { return Ok(()) };
    for f in port.fixed_ips.iter().filter(|f| f.subnet_id == subnet) {
        subnets::free_ip(tx, subnet, f.ip, port.id)?;
    }
    port.fixed_ips.retain(|f| f.subnet_id != subnet);
    if port.fixed_ips.is_empty() {
        ports::delete(tx, port.id)?;
        return Ok(());
    }
    Ok(ports::update(tx, &mut port)?)
}

/// The network's DHCP port.
pub(crate) fn dhcp_port(tx: &mut Tx, network: Uuid) -> Result<Option<model::network::Port>> {
    let device = format!("dhcp-{network}");
    let filter = ports::Filter { networks: vec![network], devices: vec![device], ..Default::default() };
    Ok(ports::list(tx, &filter)?.into_iter().find(|p| p.device_owner == DHCP_OWNER))
}

/// The subnet, if the caller may know of it.
/// # Errors
/// `NotFound`.
pub fn visible(tx: &mut Tx, who: &Who, id: Uuid) -> Result<(Subnet, Network)> {
    let missing = || Error::not_found("Subnet", id);
    let s = subnets::get(tx, id)?.ok_or_else(missing)?;
    let n = networks::get(tx, s.network_id)?.ok_or_else(missing)?;
    if who.sees_subnet(&s, &n) { Ok((s, n)) } else { Err(missing()) }
}

fn owned(tx: &mut Tx, who: &Who, id: Uuid, policy: &str) -> Result<(Subnet, Network)> {
    let (s, n) = visible(tx, who, id)?;
    if who.owns(&s.project_id) || who.owns(&n.project_id) { Ok((s, n)) } else { Err(crate::who::forbidden(policy)) }
}

/// What changes a subnet; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct SubnetChange {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Gateway; [`Gateway::Default`] keeps it.
    pub gateway: Gateway,
    /// DHCP.
    pub enable_dhcp: Option<bool>,
    /// Pools.
    pub allocation_pools: Option<Vec<Pool>>,
    /// Name servers.
    pub dns_nameservers: Option<Vec<IpAddr>>,
    /// Routes.
    pub host_routes: Option<Vec<Route>>,
}

/// Changes a subnet.
/// # Errors
/// As on creation.
pub fn update(tx: &mut Tx, env: &Env, who: &Who, id: Uuid, c: &SubnetChange) -> Result<Subnet> {
    let (mut s, n) = owned(tx, who, id, "update_subnet")?;
    let gateway = match c.gateway {
        Gateway::Default => s.gateway_ip,
        Gateway::None => None,
        Gateway::At(ip) => Some(ip),
    };
    check_gateway(&s.cidr, gateway)?;
    let pools = c.allocation_pools.clone().unwrap_or_else(|| s.allocation_pools.clone());
    address::check_pools(&s.cidr, &pools, gateway)?;
    let (dns, routes) = (c.dns_nameservers.as_ref(), c.host_routes.as_ref());
    check_lists(dns.unwrap_or(&s.dns_nameservers), routes.unwrap_or(&s.host_routes))?;
    let had_dhcp = s.enable_dhcp;
    s.gateway_ip = gateway;
    s.allocation_pools = pools;
    s.name = c.name.clone().unwrap_or(s.name);
    s.description = c.description.clone().unwrap_or(s.description);
    s.enable_dhcp = c.enable_dhcp.unwrap_or(s.enable_dhcp);
    s.dns_nameservers = c.dns_nameservers.clone().unwrap_or(s.dns_nameservers);
    s.host_routes = c.host_routes.clone().unwrap_or(s.host_routes);
    s.updated_at = env.now();
    subnets::update(tx, &mut s)?;
    match (had_dhcp, s.enable_dhcp) {
        (false, true) => join_dhcp(tx, env, &n, &s)?,
        (true, false) => leave_dhcp(tx, n.id, s.id)?,
        _ => {}
    }
    Ok(s)
}

/// Removes a subnet; answers its network.
/// # Errors
/// A port other than the DHCP port has an address of it.
pub fn delete(tx: &mut Tx, who: &Who, id: Uuid) -> Result<Uuid> {
    let (s, n) = owned(tx, who, id, "delete_subnet")?;
    let holders = subnets::holders(tx, id)?;
    if holders.iter().any(|(_, owner)| owner != DHCP_OWNER) {
        let message = format!(
            "Unable to complete operation on subnet {id}: One or more ports have an IP allocation from this subnet."
        );
        return Err(Error::conflict("SubnetInUse", message));
    }
    leave_dhcp(tx, n.id, id)?;
    subnets::delete(tx, id)?;
    refund(tx, &s.project_id, "subnet", 1)?;
    Ok(n.id)
}
