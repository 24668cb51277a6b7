//! Ports of servers: what a build takes, where it binds, what its end gives back. Inside the caller's unit.

use crate::{Error, Network, Result, Who, groups, networks as nets, ports as service_ports};
use model::Context;
use model::network::{COMPUTE_OWNER, Network as Record, Port};
use std::net::IpAddr;
use store::Tx;
use store::network::{networks, ports, subnets};
use uuid::Uuid;

/// One interface asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestedNic {
    /// A new port on a network.
    Network {
        /// The network.
        id: Uuid,
        /// A wished address.
        fixed_ip: Option<IpAddr>,
        /// Device tag.
        tag: Option<String>,
    },
    /// A port that is there.
    Port {
        /// The port.
        id: Uuid,
        /// Device tag.
        tag: Option<String>,
    },
}

/// A port as its server shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundPort {
    /// The port.
    pub id: Uuid,
    /// Its network.
    pub network_id: Uuid,
    /// The network's name.
    pub network_name: String,
    /// MAC address.
    pub mac: String,
    /// Addresses.
    pub ips: Vec<IpAddr>,
    /// Made for this server.
    pub ours: bool,
    /// Device tag.
    pub tag: Option<String>,
}

impl BoundPort {
    fn of(p: &Port, n: &Record) -> BoundPort {
        BoundPort {
            id: p.id,
            network_id: p.network_id,
            network_name: n.name.clone(),
            mac: p.mac.clone(),
            ips: p.fixed_ips.iter().map(|f| f.ip).collect(),
            ours: p.ours,
            tag: p.device_tag.clone(),
        }
    }
}

/// What a server's end touched: to be told to [`Network::notify_released`] after the commit, so that no guest goes on
/// trusting addresses that are free again.
#[must_use = "tell it to Network::notify_released after the commit"]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// Networks on which ports went.
    pub networks: Vec<Uuid>,
    /// Security groups that lost members.
    pub groups: Vec<Uuid>,
}

impl Network {
    /// Makes and binds the ports of a server, inside commit 1. No interface asked for (`nics` empty) takes the
    /// caller's only network. `groups` are names or ids; they go to the ports made here, as in Nova.
    /// # Errors
    /// Several possible networks, a network, port or group that is not there, a port in use, no address left, quota.
    #[allow(clippy::too_many_arguments)] // One call of one caller; a struct would only name them twice.
    pub fn ports_for_server(
        &self,
        tx: &mut Tx,
        ctx: &Context,
        nics: &[RequestedNic],
        server: Uuid,
        host: &str,
        zone: &str,
        groups: &[String],
    ) -> Result<Vec<BoundPort>> {
        let who = Who::from(ctx);
        let wanted = match nics {
            [] => match only_network(tx, &who)? {
                Some(id) => vec![RequestedNic::Network { id, fixed_ip: None, tag: None }],
                None => return Ok(Vec::new()),
            },
            some => some.to_vec(),
        };
        let group_ids = self.resolve_groups(tx, &who, groups)?;
        let owner = format!("{COMPUTE_OWNER}{zone}");
        let mut out = Vec::with_capacity(wanted.len());
        for (position, nic) in (0u32..).zip(&wanted) {
            let holder = Holder { server, host, owner: &owner, position };
            out.push(match nic {
                RequestedNic::Network { id, fixed_ip, tag } => {
                    self.new_port(tx, &who, &holder, *id, *fixed_ip, tag.as_ref(), &group_ids)?
                }
                RequestedNic::Port { id, tag } => self.take_port(tx, &who, &holder, *id, tag.as_ref())?,
            });
        }
        Ok(out)
    }

    #[allow(clippy::too_many_arguments)]
    fn new_port(
        &self,
        tx: &mut Tx,
        who: &Who,
        holder: &Holder<'_>,
        id: Uuid,
        fixed_ip: Option<IpAddr>,
        tag: Option<&String>,
        group_ids: &[Uuid],
    ) -> Result<BoundPort> {
        let n = nets::visible(tx, who, id)?;
        if n.external && !n.shared && !who.owns(&n.project_id) {
            return Err(Error::Forbidden(format!("It is not allowed to create an interface on external network {id}")));
        }
        if subnets::of_networks(tx, &[id])?.is_empty() {
            let message = format!("Network {id} requires a subnet in order to boot instances on.");
            return Err(Error::invalid("NetworkRequiresSubnet", message));
        }
        if fixed_ip.is_some() {
            who.network_owner_for(&n, "create_port:fixed_ips:ip_address")?;
        }
        let new = service_ports::NewPort {
            network_id: id,
            project_id: who.project_id.clone(),
            device_id: holder.server.to_string(),
            device_owner: holder.owner.to_owned(),
            fixed_ips: fixed_ip.map(|ip| vec![service_ports::IpWish { subnet_id: None, ip: Some(ip) }]),
            security_groups: if group_ids.is_empty() || !n.port_security_enabled {
                None
            } else {
                Some(group_ids.to_vec())
            },
            host: Some(holder.host.to_owned()).filter(|h| !h.is_empty()),
            ours: true,
            device_tag: tag.cloned(),
            position: holder.position,
            ..service_ports::NewPort::default()
        };
        let p = service_ports::make(tx, &self.env, who, &n, &new)?;
        Ok(BoundPort::of(&p, &n))
    }

    fn take_port(
        &self,
        tx: &mut Tx,
        who: &Who,
        holder: &Holder<'_>,
        id: Uuid,
        tag: Option<&String>,
    ) -> Result<BoundPort> {
        let (mut p, n) = service_ports::visible(tx, who, id)?;
        if !who.owns(&p.project_id) {
            return Err(Error::not_found("Port", id));
        }
        if !p.device_id.is_empty() || !p.device_owner.is_empty() {
            return Err(Error::conflict("PortInUse", format!("Port {id} is still in use.")));
        }
        if p.fixed_ips.is_empty() {
            let message = format!("Port {id} requires a FixedIP in order to be used.");
            return Err(Error::invalid("PortRequiresFixedIP", message));
        }
        p.device_id = holder.server.to_string();
        p.device_owner = holder.owner.to_owned();
        p.host = Some(holder.host.to_owned()).filter(|h| !h.is_empty());
        p.device_tag = tag.cloned();
        p.position = holder.position;
        p.updated_at = self.env.now();
        ports::update(tx, &mut p)?;
        Ok(BoundPort::of(&p, &n))
    }

    /// Groups by name or id, as servers name them; none means the default group, decided where a port is made.
    fn resolve_groups(&self, tx: &mut Tx, who: &Who, names: &[String]) -> Result<Vec<Uuid>> {
        let mut out = Vec::new();
        for name in names {
            let id = match name.as_str() {
                model::network::DEFAULT_GROUP => groups::ensure_default(tx, &self.env, &who.project_id)?.id,
                _ => find_group(tx, &who.project_id, name)?.id,
            };
            if !out.contains(&id) {
                out.push(id);
            }
        }
        Ok(out)
    }

    /// Binds a server's ports to another host, inside the unit that moves the server.
    /// # Errors
    /// The store's.
    pub fn bind_host(&self, tx: &mut Tx, server: Uuid, host: &str) -> Result<()> {
        for mut p in ports::of_server(tx, server)? {
            p.host = Some(host.to_owned());
            p.active = false;
            p.updated_at = self.env.now();
            ports::update(tx, &mut p)?;
        }
        Ok(())
    }

    /// Notes whether the host has wired a server's ports (`status` of the port), inside the unit that ends the action.
    /// # Errors
    /// The store's.
    pub fn mark_active(&self, tx: &mut Tx, server: Uuid, active: bool) -> Result<()> {
        for mut p in ports::of_server(tx, server)? {
            if p.active != active {
                p.active = active;
                p.updated_at = self.env.now();
                ports::update(tx, &mut p)?;
            }
        }
        Ok(())
    }

    /// Deletes the ports that were made for a server and lets go of the others, inside the unit that ends it.
    /// # Errors
    /// The store's.
    pub fn release_server(&self, tx: &mut Tx, server: Uuid) -> Result<Released> {
        let mut out = Released::default();
        for mut p in ports::of_server(tx, server)? {
            out.networks.push(p.network_id);
            out.groups.extend(&p.security_groups);
            if p.ours {
                service_ports::remove(tx, &p)?;
                continue;
            }
            p.device_id.clear();
            p.device_owner.clear();
            p.host = None;
            p.active = false;
            p.device_tag = None;
            p.updated_at = self.env.now();
            ports::update(tx, &mut p)?;
        }
        for list in [&mut out.networks, &mut out.groups] {
            list.sort();
            list.dedup();
        }
        Ok(out)
    }
}

/// Who will hold a port.
struct Holder<'a> {
    server: Uuid,
    host: &'a str,
    owner: &'a str,
    position: u32,
}

/// The network that is meant when none is named: the only one the project may use.
fn only_network(tx: &mut Tx, who: &Who) -> Result<Option<Uuid>> {
    match networks::usable(tx, &who.project_id)?.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.id)),
        _ => Err(Error::conflict(
            "NetworkAmbiguous",
            "Multiple possible networks found, use a Network ID to be more specific.",
        )),
    }
}

/// A project's group by name or id, as servers name it.
pub(crate) fn find_group(tx: &mut Tx, project: &str, name: &str) -> Result<model::network::SecurityGroup> {
    use store::network::groups::{Filter, list};
    let projects = vec![project.to_owned()];
    if let Ok(id) = Uuid::try_parse(name) {
        let by_id = list(tx, &Filter { ids: vec![id], projects: projects.clone(), ..Default::default() })?;
        if let Some(g) = by_id.into_iter().next() {
            return Ok(g);
        }
    }
    let mut named = list(tx, &Filter { names: vec![name.to_owned()], projects, ..Default::default() })?;
    match (named.pop(), named.is_empty()) {
        (Some(g), true) => Ok(g),
        (Some(_), false) => Err(Error::conflict(
            "NoUniqueMatch",
            format!("Multiple security groups found matching '{name}'. Use an ID to be more specific."),
        )),
        (None, _) => Err(Error::NotFound { what: "SecurityGroup", id: name.to_owned() }),
    }
}
