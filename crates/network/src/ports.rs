//! Ports: addresses chosen and checked, groups joined, and who may say what on whose network.

use crate::groups::{charge, ensure_default, refund};
use crate::{Error, Result, Who, address, networks as nets};
use driver_api::FixedIp;
use model::Env;
use model::network::{AddressPair, COMPUTE_OWNER, DHCP_OWNER, Network, Port, Subnet};
use std::collections::BTreeSet;
use std::net::IpAddr;
use store::Tx;
use store::network::{groups, networks, ports, subnets};
use uuid::Uuid;

/// Random picks before the addresses of a pool are looked through.
const PICKS: usize = 8;
/// Most addresses of one port.
const MAX_IPS: usize = 32;
/// Most address pairs of one port (Neutron's `max_allowed_address_pair`).
const MAX_PAIRS: usize = 10;

/// One address wished for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IpWish {
    /// Of this subnet.
    pub subnet_id: Option<Uuid>,
    /// This one.
    pub ip: Option<IpAddr>,
}

/// What makes a port, as given.
#[derive(Debug, Clone, Default)]
pub struct NewPort {
    /// Its network.
    pub network_id: Uuid,
    /// Owner.
    pub project_id: String,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// MAC; none lets us choose.
    pub mac: Option<String>,
    /// Default true.
    pub admin_state_up: Option<bool>,
    /// Who uses it.
    pub device_id: String,
    /// Kind of user.
    pub device_owner: String,
    /// Addresses; none lets us choose, an empty list means none.
    pub fixed_ips: Option<Vec<IpWish>>,
    /// Groups; none means the default group.
    pub security_groups: Option<Vec<Uuid>>,
    /// Further addresses.
    pub allowed_address_pairs: Vec<AddressPair>,
    /// Default as the network says.
    pub port_security_enabled: Option<bool>,
    /// Host.
    pub host: Option<String>,
    /// Default `normal`.
    pub vnic_type: Option<String>,
    /// `binding:profile`.
    pub profile: serde_json::Map<String, serde_json::Value>,
    /// Made for its server.
    pub ours: bool,
    /// Device tag.
    pub device_tag: Option<String>,
    /// Place among its server's interfaces.
    pub position: u32,
}

/// No address is left.
pub(crate) fn exhausted(network: Uuid) -> Error {
    Error::conflict("IpAddressGenerationFailure", format!("No more IP addresses available on network {network}."))
}

/// Makes a port at a user's wish.
/// # Errors
/// Policy, addresses, groups, quota.
pub fn create(tx: &mut Tx, env: &Env, who: &Who, new: &NewPort) -> Result<Port> {
    let n = nets::visible(tx, who, new.network_id)?;
    if n.external && !n.shared && !who.owns(&n.project_id) {
        return Err(crate::who::forbidden("create_port"));
    }
    if new.project_id != who.project_id {
        who.admin_for("create_port:tenant_id")?;
    }
    let addressed = new.fixed_ips.iter().flatten().any(|w| w.ip.is_some());
    for (given, policy) in [
        (addressed, "create_port:fixed_ips:ip_address"),
        (new.mac.is_some(), "create_port:mac_address"),
        (new.port_security_enabled.is_some_and(|v| v != n.port_security_enabled), "create_port:port_security_enabled"),
        (!new.allowed_address_pairs.is_empty(), "create_port:allowed_address_pairs"),
        (new.device_owner.starts_with("network:"), "create_port:device_owner"),
    ] {
        if given {
            who.network_owner_for(&n, policy)?;
        }
    }
    if new.host.is_some() || !new.profile.is_empty() {
        who.admin_for("create_port:binding:host_id")?;
    }
    // Only the compute service says which server a port serves: what a tenant wrote there would wire and feed a guest.
    if new.device_owner.starts_with(COMPUTE_OWNER) {
        who.admin_for("create_port:device_owner")?;
    }
    make(tx, env, who, &n, new)
}

/// Makes a port on a network that the caller has been let onto.
pub(crate) fn make(tx: &mut Tx, env: &Env, who: &Who, n: &Network, new: &NewPort) -> Result<Port> {
    let secure = new.port_security_enabled.unwrap_or(n.port_security_enabled);
    let groups = match &new.security_groups {
        Some(ids) if !ids.is_empty() => own_groups(tx, who, &new.project_id, ids)?,
        Some(_) => Vec::new(),
        None if secure && !new.project_id.is_empty() => vec![ensure_default(tx, env, &new.project_id)?.id],
        None => Vec::new(),
    };
    check_security(secure, &groups, &new.allowed_address_pairs)?;
    charge(tx, &new.project_id, "port", 1)?;
    let now = env.now();
    let id = env.uuid();
    let all = subnets::of_networks(tx, &[n.id])?;
    let fixed_ips = addresses(tx, env, n, &all, id, new.fixed_ips.as_deref())?;
    let port = Port {
        id,
        network_id: n.id,
        project_id: new.project_id.clone(),
        name: new.name.clone(),
        description: new.description.clone(),
        mac: String::new(),
        admin_state_up: new.admin_state_up.unwrap_or(true),
        active: false,
        device_id: new.device_id.clone(),
        device_owner: new.device_owner.clone(),
        fixed_ips,
        security_groups: groups,
        allowed_address_pairs: new.allowed_address_pairs.clone(),
        port_security_enabled: secure,
        host: new.host.clone(),
        vnic_type: new.vnic_type.clone().unwrap_or_else(|| "normal".into()),
        profile: new.profile.clone(),
        ours: new.ours,
        device_tag: new.device_tag.clone(),
        position: new.position,
        tags: BTreeSet::new(),
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    with_mac(tx, env, port, new.mac.as_deref())
}

/// A port of the platform itself on a network, without address, group or quota.
pub(crate) fn platform_port(tx: &mut Tx, env: &Env, n: &Network, owner: &str, device: &str) -> Result<Port> {
    let new = NewPort {
        project_id: n.project_id.clone(),
        device_id: device.to_owned(),
        device_owner: owner.to_owned(),
        ..NewPort::default()
    };
    let now = env.now();
    let port = Port {
        id: env.uuid(),
        network_id: n.id,
        project_id: new.project_id,
        name: String::new(),
        description: String::new(),
        mac: String::new(),
        admin_state_up: true,
        active: true,
        device_id: new.device_id,
        device_owner: new.device_owner,
        fixed_ips: Vec::new(),
        security_groups: Vec::new(),
        allowed_address_pairs: Vec::new(),
        port_security_enabled: false,
        host: None,
        vnic_type: "normal".into(),
        profile: serde_json::Map::new(),
        ours: false,
        device_tag: None,
        position: 0,
        tags: BTreeSet::new(),
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    with_mac(tx, env, port, None)
}

/// Stores the port under the MAC asked for, or under one that is free.
fn with_mac(tx: &mut Tx, env: &Env, mut port: Port, wish: Option<&str>) -> Result<Port> {
    if let Some(mac) = wish {
        port.mac = mac.to_owned();
        if !ports::insert(tx, &port)? {
            return Err(mac_in_use(port.network_id, mac));
        }
        return Ok(port);
    }
    for _ in 0..16 {
        port.mac = address::random_mac(&env.random);
        if ports::insert(tx, &port)? {
            return Ok(port);
        }
    }
    let message = format!("Unable to generate unique mac on network {}.", port.network_id);
    Err(Error::conflict("MacAddressGenerationFailure", message))
}

fn mac_in_use(network: Uuid, mac: &str) -> Error {
    let message = format!(
        "Unable to complete operation for network {network}. The mac address {mac} is in use."
    );
    Error::conflict("MacAddressInUse", message)
}

fn check_security(secure: bool, groups: &[Uuid], pairs: &[AddressPair]) -> Result<()> {
    if !secure && !groups.is_empty() {
        let message = "Port has security group associated. Cannot disable port security or ip address until security \
                       group is removed.";
        return Err(Error::conflict("PortSecurityPortHasSecurityGroup", message));
    }
    if !secure && !pairs.is_empty() {
        let message = "Port Security must be enabled in order to have allowed address pairs on a port.";
        return Err(Error::conflict("AddressPairAndPortSecurityRequired", message));
    }
    if pairs.len() > MAX_PAIRS {
        let message = format!("The number of allowed address pairs exceeds the maximum {MAX_PAIRS}.");
        return Err(Error::invalid("AllowedAddressPairExhausted", message));
    }
    Ok(())
}

/// The groups, each of the port's own project (or visible to the administrator who asks).
fn own_groups(tx: &mut Tx, who: &Who, project: &str, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    let wanted: BTreeSet<Uuid> = ids.iter().copied().collect();
    let filter = groups::Filter { ids: wanted.iter().copied().collect(), ..Default::default() };
    let known = groups::list(tx, &filter)?;
    for id in &wanted {
        if !known.iter().any(|g| g.id == *id && (g.project_id == project || who.owns(&g.project_id))) {
            return Err(Error::not_found("SecurityGroup", id));
        }
    }
    Ok(wanted.into_iter().collect())
}

/// Takes the addresses of a port: those wished for, or one of each family.
fn addresses(
    tx: &mut Tx,
    env: &Env,
    n: &Network,
    all: &[Subnet],
    port: Uuid,
    wishes: Option<&[IpWish]>,
) -> Result<Vec<FixedIp>> {
    let Some(wishes) = wishes else {
        let mut out = Vec::new();
        for version in [4, 6] {
            let family: Vec<&Subnet> = all.iter().filter(|s| s.ip_version() == version).collect();
            if !family.is_empty() {
                out.push(from_any(tx, env, n, &family, port)?);
            }
        }
        return Ok(out);
    };
    if wishes.len() > MAX_IPS {
        return Err(Error::input("Exceeded maximum amount of fixed ips per port"));
    }
    let mut out: Vec<FixedIp> = Vec::new();
    for w in wishes {
        let fixed = one_address(tx, env, n, all, port, w)?;
        if out.contains(&fixed) {
            return Err(Error::input(format!("Duplicate IP address {} in fixed_ips", fixed.ip)));
        }
        out.push(fixed);
    }
    Ok(out)
}

fn one_address(tx: &mut Tx, env: &Env, n: &Network, all: &[Subnet], port: Uuid, w: &IpWish) -> Result<FixedIp> {
    let subnet = match (w.subnet_id, w.ip) {
        (Some(id), _) => Some(all.iter().find(|s| s.id == id).ok_or_else(|| {
            let message = format!("Failed to create port on network {}, because fixed_ips included invalid subnet {id}", n.id);
            Error::input(message)
        })?),
        (None, Some(ip)) => Some(all.iter().find(|s| s.cidr.contains(&ip)).ok_or_else(|| {
            let message = format!("IP address {ip} is not a valid IP for any of the subnets on the specified network.");
            Error::invalid("InvalidIpForNetwork", message)
        })?),
        (None, None) => None,
    };
    match (subnet, w.ip) {
        (Some(s), Some(ip)) => {
            // On the seeded network the gateway is every host itself.
            if !address::usable(&s.cidr, ip) || (n.host_gateway && s.gateway_ip == Some(ip)) {
                let message = format!("IP address {ip} is not a valid IP for the specified subnet.");
                return Err(Error::invalid("InvalidIpForSubnet", message));
            }
            if !subnets::take_ip(tx, s.id, ip, port)? {
                let message = format!("IP address {ip} already allocated in subnet {}.", s.id);
                return Err(Error::conflict("IpAddressAlreadyAllocated", message));
            }
            Ok(FixedIp { subnet_id: s.id, ip })
        }
        (Some(s), None) => from_any(tx, env, n, &[s], port),
        (None, _) => {
            let family: Vec<&Subnet> = all.iter().collect();
            if family.is_empty() {
                return Err(Error::input(format!("network {} has no subnet to take an address from", n.id)));
            }
            from_any(tx, env, n, &family, port)
        }
    }
}

/// An address of the first of these subnets that has one.
fn from_any(tx: &mut Tx, env: &Env, n: &Network, family: &[&Subnet], port: Uuid) -> Result<FixedIp> {
    for s in family {
        if let Some(ip) = from_subnet(tx, env, s, port)? {
            return Ok(FixedIp { subnet_id: s.id, ip });
        }
    }
    Err(exhausted(n.id))
}

/// Random picks first, as Neutron does: addresses just freed come back late. Then the lowest free one.
fn from_subnet(tx: &mut Tx, env: &Env, s: &Subnet, port: Uuid) -> Result<Option<IpAddr>> {
    let size = address::size(&s.allocation_pools);
    for _ in 0..PICKS {
        let n = env.random.below(u64::try_from(size).unwrap_or(u64::MAX));
        let Some(ip) = address::nth(&s.allocation_pools, u128::from(n)) else { break };
        if subnets::take_ip(tx, s.id, ip, port)? {
            return Ok(Some(ip));
        }
    }
    for _ in 0..PICKS {
        let taken = subnets::taken(tx, s.id)?;
        let Some(ip) = address::lowest_free(s, &taken) else { return Ok(None) };
        if subnets::take_ip(tx, s.id, ip, port)? {
            return Ok(Some(ip));
        }
    }
    Err(Error::Store(store::Error::Busy))
}

/// The port, if the caller may know of it.
/// # Errors
/// `NotFound`.
pub fn visible(tx: &mut Tx, who: &Who, id: Uuid) -> Result<(Port, Network)> {
    let missing = || Error::not_found("Port", id);
    let p = ports::get(tx, id)?.ok_or_else(missing)?;
    let n = networks::get(tx, p.network_id)?.ok_or_else(missing)?;
    if who.sees_port(&p, &n) { Ok((p, n)) } else { Err(missing()) }
}

/// What changes a port; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct PortChange {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// MAC; of unbound ports only.
    pub mac: Option<String>,
    /// Carries or not.
    pub admin_state_up: Option<bool>,
    /// Who uses it.
    pub device_id: Option<String>,
    /// Kind of user.
    pub device_owner: Option<String>,
    /// Addresses: the whole list.
    pub fixed_ips: Option<Vec<IpWish>>,
    /// Groups: the whole list.
    pub security_groups: Option<Vec<Uuid>>,
    /// Further addresses: the whole list.
    pub allowed_address_pairs: Option<Vec<AddressPair>>,
    /// Anti-spoofing.
    pub port_security_enabled: Option<bool>,
    /// Host; an empty one unbinds.
    pub host: Option<String>,
    /// Kind of interface.
    pub vnic_type: Option<String>,
    /// `binding:profile`.
    pub profile: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Changes a port. Beside it the port as it was.
/// # Errors
/// As on creation.
pub fn update(tx: &mut Tx, env: &Env, who: &Who, id: Uuid, c: &PortChange) -> Result<(Port, Port)> {
    let (before, n) = visible(tx, who, id)?;
    if !who.owns(&before.project_id) && !who.owns(&n.project_id) {
        return Err(crate::who::forbidden("update_port"));
    }
    may_change(who, &n, &before, c)?;
    let mut p = before.clone();
    if let Some(mac) = c.mac.as_ref().filter(|m| **m != p.mac) {
        if p.host.is_some() {
            let message = format!("Unable to complete operation on port {id}, port is already bound, host {}.", p.host.as_deref().unwrap_or(""));
            return Err(Error::conflict("PortBound", message));
        }
        if ports::mac_taken(tx, p.network_id, mac)? {
            return Err(mac_in_use(p.network_id, mac));
        }
        p.mac.clone_from(mac);
    }
    if let Some(wishes) = &c.fixed_ips {
        change_addresses(tx, env, &n, &mut p, wishes)?;
    }
    p.port_security_enabled = c.port_security_enabled.unwrap_or(p.port_security_enabled);
    if let Some(ids) = &c.security_groups {
        p.security_groups = own_groups(tx, who, &p.project_id, ids)?;
    }
    p.allowed_address_pairs = c.allowed_address_pairs.clone().unwrap_or(p.allowed_address_pairs);
    check_security(p.port_security_enabled, &p.security_groups, &p.allowed_address_pairs)?;
    p.name = c.name.clone().unwrap_or(p.name);
    p.description = c.description.clone().unwrap_or(p.description);
    p.admin_state_up = c.admin_state_up.unwrap_or(p.admin_state_up);
    p.device_id = c.device_id.clone().unwrap_or(p.device_id);
    p.device_owner = c.device_owner.clone().unwrap_or(p.device_owner);
    p.vnic_type = c.vnic_type.clone().unwrap_or(p.vnic_type);
    p.profile = c.profile.clone().unwrap_or(p.profile);
    if let Some(host) = &c.host {
        p.host = Some(host.clone()).filter(|h| !h.is_empty());
    }
    p.updated_at = env.now();
    ports::update(tx, &mut p)?;
    if p.security_groups != before.security_groups {
        ports::set_groups(tx, &p)?;
    }
    Ok((before, p))
}

fn may_change(who: &Who, n: &Network, p: &Port, c: &PortChange) -> Result<()> {
    let new_ip = |w: &IpWish| w.ip.is_some_and(|ip| !p.fixed_ips.iter().any(|f| f.ip == ip));
    for (given, policy) in [
        (c.fixed_ips.iter().flatten().any(new_ip), "update_port:fixed_ips:ip_address"),
        (c.mac.as_ref().is_some_and(|m| *m != p.mac), "update_port:mac_address"),
        (
            c.port_security_enabled.is_some_and(|v| v != p.port_security_enabled),
            "update_port:port_security_enabled",
        ),
        (
            c.allowed_address_pairs.as_ref().is_some_and(|v| *v != p.allowed_address_pairs),
            "update_port:allowed_address_pairs",
        ),
        (
            c.device_owner.as_ref().is_some_and(|o| *o != p.device_owner && o.starts_with("network:")),
            "update_port:device_owner",
        ),
    ] {
        if given {
            who.network_owner_for(n, policy)?;
        }
    }
    // Which server a port serves is the compute service's business: by it metadata tell guests apart.
    let held = p.server().is_some()
        && (c.device_id.as_ref().is_some_and(|d| *d != p.device_id)
            || c.device_owner.as_ref().is_some_and(|o| *o != p.device_owner));
    let posing = c.device_owner.as_ref().is_some_and(|o| *o != p.device_owner && o.starts_with(COMPUTE_OWNER));
    if held || posing || p.device_owner == DHCP_OWNER {
        who.admin_for("update_port:device_owner")?;
    }
    if c.host.is_some() || c.profile.is_some() {
        who.admin_for("update_port:binding:host_id")?;
    }
    Ok(())
}

/// Keeps the addresses that are wished again, gives back the others, takes the new ones.
fn change_addresses(tx: &mut Tx, env: &Env, n: &Network, p: &mut Port, wishes: &[IpWish]) -> Result<()> {
    let all = subnets::of_networks(tx, &[n.id])?;
    let mut kept = Vec::new();
    let mut fresh = Vec::new();
    for w in wishes {
        let meets = |f: &&FixedIp| {
            w.ip.is_none_or(|ip| f.ip == ip) && w.subnet_id.is_none_or(|s| f.subnet_id == s) && !kept.contains(*f)
        };
        match p.fixed_ips.iter().find(meets) {
            Some(f) => kept.push(f.clone()),
            None => fresh.push(w.clone()),
        }
    }
    for f in p.fixed_ips.iter().filter(|f| !kept.contains(f)) {
        subnets::free_ip(tx, f.subnet_id, f.ip, p.id)?;
    }
    kept.extend(addresses(tx, env, n, &all, p.id, Some(&fresh))?);
    p.fixed_ips = kept;
    Ok(())
}

/// Removes a port; answers it. A port of a server may go, as in Neutron: the guest loses it.
/// # Errors
/// `NotFound`; the DHCP port is the platform's.
pub fn delete(tx: &mut Tx, who: &Who, id: Uuid) -> Result<Port> {
    let (p, n) = visible(tx, who, id)?;
    if !who.owns(&p.project_id) && !who.owns(&n.project_id) {
        return Err(crate::who::forbidden("delete_port"));
    }
    if p.device_owner == DHCP_OWNER {
        let message = format!(
            "Port {id} cannot be deleted directly via the port API: it serves DHCP; disable DHCP on the network's subnets."
        );
        return Err(Error::conflict("ServicePortInUse", message));
    }
    remove(tx, &p)?;
    Ok(p)
}

/// Removes a port with its quota.
pub(crate) fn remove(tx: &mut Tx, p: &Port) -> Result<()> {
    ports::delete(tx, p.id)?;
    refund(tx, &p.project_id, "port", 1)
}
