//! Networks.

use crate::groups::{charge, refund};
use crate::{Error, Options, Result, Who};
use model::Env;
use model::network::{DHCP_OWNER, Network, Segment};
use std::collections::BTreeSet;
use store::Tx;
use store::network::{networks, ports, subnets};
use uuid::Uuid;

/// Largest VXLAN identifier.
const MAX_VNI: u32 = 16_777_215;
/// Smallest packet that IPv4 admits.
const MIN_MTU: i64 = 68;

/// What makes a network, as given.
#[derive(Debug, Clone, Default)]
pub struct NewNetwork {
    /// Owner.
    pub project_id: String,
    /// Name.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Default true.
    pub admin_state_up: Option<bool>,
    /// Administrators only.
    pub shared: Option<bool>,
    /// Administrators only.
    pub external: Option<bool>,
    /// Of an external network.
    pub is_default: Option<bool>,
    /// 0 and none mean the largest that fits.
    pub mtu: Option<i64>,
    /// Default true.
    pub port_security_enabled: Option<bool>,
    /// `vxlan` or `flat`; administrators only.
    pub network_type: Option<String>,
    /// Administrators only.
    pub physical_network: Option<String>,
    /// Administrators only.
    pub segmentation_id: Option<i64>,
    /// The platform's seeded network only; no request sets it.
    pub host_gateway: bool,
}

/// Makes a network.
/// # Errors
/// Policy, a segment that is none or taken, quota.
pub fn create(tx: &mut Tx, env: &Env, o: &Options, who: &Who, new: &NewNetwork) -> Result<Network> {
    let provider = new.network_type.is_some() || new.physical_network.is_some() || new.segmentation_id.is_some();
    for (given, policy) in [
        (new.shared == Some(true), "create_network:shared"),
        (new.external == Some(true), "create_network:router:external"),
        (new.is_default == Some(true), "create_network:is_default"),
        (provider, "create_network:provider"),
        (new.project_id != who.project_id, "create_network:tenant_id"),
    ] {
        if given {
            who.admin_for(policy)?;
        }
    }
    charge(tx, &new.project_id, "network", 1)?;
    let now = env.now();
    let wish = segment_wish(o, new)?;
    let flat = matches!(wish, Some(Segment::Flat { .. }));
    let mut n = Network {
        id: env.uuid(),
        project_id: new.project_id.clone(),
        name: new.name.clone(),
        description: new.description.clone(),
        admin_state_up: new.admin_state_up.unwrap_or(true),
        shared: new.shared.unwrap_or(false),
        external: new.external.unwrap_or(false),
        is_default: new.is_default.unwrap_or(false),
        mtu: mtu(o, flat, new.mtu)?,
        port_security_enabled: new.port_security_enabled.unwrap_or(true),
        host_gateway: new.host_gateway,
        segment: wish.clone().unwrap_or(Segment::Vxlan { vni: 0 }),
        tags: BTreeSet::new(),
        revision: 1,
        created_at: now,
        updated_at: now,
    };
    if wish.is_some() {
        if !networks::insert(tx, &n)? {
            return Err(taken(&n.segment));
        }
        return Ok(n);
    }
    for _ in 0..64 {
        let vni = 1 + u32::try_from(env.random.below(u64::from(MAX_VNI))).unwrap_or(0);
        n.segment = Segment::Vxlan { vni };
        if !networks::segment_taken(tx, &n.segment)? && networks::insert(tx, &n)? {
            return Ok(n);
        }
    }
    Err(Error::conflict("NoNetworkAvailable", "Unable to create the network. No available network found in maximum allowed attempts."))
}

/// The segment that was asked for; none leaves the choice of a VXLAN to us.
fn segment_wish(o: &Options, new: &NewNetwork) -> Result<Option<Segment>> {
    let physical = new.physical_network.as_deref();
    match (new.network_type.as_deref(), new.segmentation_id) {
        (None, None) if physical.is_none() => Ok(None),
        (None, _) => Err(Error::input("network_type required")),
        (Some("vxlan"), _) if physical.is_some() => {
            Err(Error::input("provider:physical_network specified for vxlan network"))
        }
        (Some("vxlan"), None) => Ok(None),
        (Some("vxlan"), Some(id)) => match u32::try_from(id).ok().filter(|v| (1..=MAX_VNI).contains(v)) {
            Some(vni) => Ok(Some(Segment::Vxlan { vni })),
            None => Err(Error::input(format!("segmentation_id out of range (1 through {MAX_VNI})"))),
        },
        (Some("flat"), Some(_)) => Err(Error::input("segmentation_id specified for flat network")),
        (Some("flat"), None) => match physical {
            None => Err(Error::input("physical_network required for flat provider network")),
            Some(p) if !o.physical_networks.iter().any(|known| known == p) => {
                Err(Error::input(format!("physical_network '{p}' unknown for flat provider network")))
            }
            Some(p) => Ok(Some(Segment::Flat { physical_network: p.to_owned() })),
        },
        (Some(kind @ ("vlan" | "gre" | "geneve" | "local")), _) => {
            Err(Error::NotBuilt(format!("provider:network_type {kind}")))
        }
        (Some(kind), _) => Err(Error::input(format!("network_type value '{kind}' not supported"))),
    }
}

fn taken(s: &Segment) -> Error {
    match s {
        Segment::Vxlan { vni } => {
            Error::conflict("TunnelIdInUse", format!("Unable to create the network. The tunnel ID {vni} is in use."))
        }
        Segment::Flat { physical_network } => {
            let message =
                format!("Unable to create the flat network. Physical network {physical_network} is in use.");
            Error::conflict("FlatNetworkInUse", message)
        }
    }
}

fn mtu(o: &Options, flat: bool, wish: Option<i64>) -> Result<u32> {
    let most = if flat { o.flat_mtu } else { o.vxlan_mtu };
    match wish {
        None | Some(0) => Ok(most),
        Some(v) if v > i64::from(most) => {
            Err(Error::input(format!("Requested MTU is too big, maximum is {most}")))
        }
        Some(v) if v < MIN_MTU => Err(Error::input(format!("Requested MTU is too small, minimum is {MIN_MTU}"))),
        Some(v) => Ok(u32::try_from(v).unwrap_or(most)),
    }
}

/// The network, if the caller may know of it.
/// # Errors
/// `NotFound`.
pub fn visible(tx: &mut Tx, who: &Who, id: Uuid) -> Result<Network> {
    networks::get(tx, id)?.filter(|n| who.sees_network(n)).ok_or_else(|| Error::not_found("Network", id))
}

/// The network, if it is the caller's to change.
/// # Errors
/// `NotFound`; `Forbidden` for one that is only shared with the caller.
pub fn owned(tx: &mut Tx, who: &Who, id: Uuid, policy: &str) -> Result<Network> {
    let n = visible(tx, who, id)?;
    who.network_owner_for(&n, policy)?;
    Ok(n)
}

/// What changes a network; `None` keeps.
#[derive(Debug, Clone, Default)]
pub struct NetworkChange {
    /// Name.
    pub name: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// Carries or not.
    pub admin_state_up: Option<bool>,
    /// Administrators only.
    pub shared: Option<bool>,
    /// Administrators only.
    pub external: Option<bool>,
    /// Administrators only.
    pub is_default: Option<bool>,
    /// Largest packet.
    pub mtu: Option<i64>,
    /// Default for new ports.
    pub port_security_enabled: Option<bool>,
}

/// Changes a network. True beside it: its guests are concerned.
/// # Errors
/// Policy, or a value that does not fit.
pub fn update(tx: &mut Tx, env: &Env, o: &Options, who: &Who, id: Uuid, c: &NetworkChange) -> Result<(Network, bool)> {
    let mut n = owned(tx, who, id, "update_network")?;
    for (given, policy) in [
        (c.shared.is_some_and(|v| v != n.shared), "update_network:shared"),
        (c.external.is_some_and(|v| v != n.external), "update_network:router:external"),
        (c.is_default.is_some_and(|v| v != n.is_default), "update_network:is_default"),
    ] {
        if given {
            who.admin_for(policy)?;
        }
    }
    if n.shared && c.shared == Some(false) {
        let filter = ports::Filter { networks: vec![id], ..Default::default() };
        let foreign = |p: &model::network::Port| p.project_id != n.project_id && p.device_owner != DHCP_OWNER;
        if ports::list(tx, &filter)?.iter().any(foreign) {
            let message = format!(
                "Unable to reconfigure sharing settings for network {id}. Multiple tenants are using it."
            );
            return Err(Error::conflict("InvalidSharedSetting", message));
        }
    }
    let before = (n.admin_state_up, n.mtu, n.name.clone());
    if let Some(v) = c.mtu {
        n.mtu = mtu(o, matches!(n.segment, Segment::Flat { .. }), Some(v))?;
    }
    n.name = c.name.clone().unwrap_or(n.name);
    n.description = c.description.clone().unwrap_or(n.description);
    n.admin_state_up = c.admin_state_up.unwrap_or(n.admin_state_up);
    n.shared = c.shared.unwrap_or(n.shared);
    n.external = c.external.unwrap_or(n.external);
    n.is_default = c.is_default.unwrap_or(n.is_default);
    n.port_security_enabled = c.port_security_enabled.unwrap_or(n.port_security_enabled);
    n.updated_at = env.now();
    let concerns = before != (n.admin_state_up, n.mtu, n.name.clone());
    networks::update(tx, &mut n)?;
    Ok((n, concerns))
}

/// Removes a network with its subnets and its own DHCP port.
/// # Errors
/// In use by other ports.
pub fn delete(tx: &mut Tx, who: &Who, id: Uuid) -> Result<()> {
    let n = owned(tx, who, id, "delete_network")?;
    let all = ports::list(tx, &ports::Filter { networks: vec![id], ..Default::default() })?;
    let used: Vec<String> =
        all.iter().filter(|p| p.device_owner != DHCP_OWNER).take(5).map(|p| p.id.to_string()).collect();
    if !used.is_empty() {
        let message = format!(
            "Unable to complete operation on network {id}. There are one or more ports still in use on the network, \
             id for these ports is: {}.",
            used.join(",")
        );
        return Err(Error::conflict("NetworkInUse", message));
    }
    for p in all {
        ports::delete(tx, p.id)?;
    }
    for s in subnets::of_networks(tx, &[id])? {
        subnets::delete(tx, s.id)?;
        refund(tx, &s.project_id, "subnet", 1)?;
    }
    networks::delete(tx, id)?;
    refund(tx, &n.project_id, "network", 1)
}
