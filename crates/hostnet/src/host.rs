//! One host's networking: what may be asked of it, and what it remembers between two questions.
//!
//! One change at a time; what was asked is remembered only to know neighbours of the same network. After a start
//! `sync` comes first: until then the host does not know of the ports that it wired in an earlier life.

mod apply;
mod remove;

use crate::command::nft_list;
use crate::names::{self, TABLE};
use crate::netns::{self, within};
use crate::plan::{Host, NetPlan, Port, device_of};
use crate::service::Service;
use crate::{Error, MetadataSource, Result, links, netfilter};
use driver_api::NicSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::sync::Arc;
use tokio::sync::Mutex;
use uuid::Uuid;

/// What a host's networking needs to know.
#[derive(Clone)]
pub struct HostNetOptions {
    /// Name of the host.
    pub host: String,
    /// Network namespace (`/run/netns/NAME`) in which its bridges and taps are; `None` is the machine's own.
    pub netns: Option<String>,
    /// Address of this host for tunnels to others; needed once a network spans hosts.
    pub vtep: Option<IpAddr>,
    /// Interface of each physical network of this host.
    pub physical_networks: BTreeMap<String, String>,
    /// Knows the guests.
    pub metadata: Arc<dyn MetadataSource>,
}

/// A host's networking. Owns the network namespace for as long as it lives: there is one for each.
///
/// In a namespace where `br_netfilter` is on it turns that off for the namespace and on for each bridge that is
/// there and not ours: bridged packets of guests must not meet the host's own rules, and others' bridges stay as
/// they were.
pub struct HostNet {
    options: HostNetOptions,
    prefix: String,
    state: Mutex<State>,
    /// An abstract socket's name is free again when its process ends, however it ends.
    _owner: UnixListener,
}

impl std::fmt::Debug for HostNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let HostNetOptions { host, netns, vtep, .. } = &self.options;
        f.debug_struct("HostNet").field("host", host).field("netns", netns).field("vtep", vtep).finish_non_exhaustive()
    }
}

/// A network as it is known.
struct Net {
    plan: NetPlan,
    service: Option<Service>,
    /// Fixed neighbours in its namespace, (address, MAC); unknown until they were read once.
    neighbours: Option<BTreeSet<(String, String)>>,
}

#[derive(Default)]
struct State {
    ports: BTreeMap<Uuid, Port>,
    nets: BTreeMap<Uuid, Net>,
    /// Switches of `br_netfilter` that we turned.
    lifted: Vec<usize>,
    /// The gateway's table as it was loaded last.
    gateway: Option<String>,
    /// Our table is there with today's layout.
    table: bool,
}

impl State {
    fn ports_of(&self, network: Uuid) -> impl Iterator<Item = &Port> {
        self.ports.values().filter(move |p| p.nic.network_id == network)
    }
}

/// How often and how long apart a namespace that another has is asked for again.
const OWN_TRIES: u32 = 20;
const OWN_PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Marks the namespace as ours.
async fn own(netns: Option<&str>) -> Result<UnixListener> {
    let name = netns.unwrap_or_default().to_owned();
    within(netns, move || {
        SocketAddr::from_abstract_name(b"kilonova-hostnet")
            .and_then(|address| UnixListener::bind_addr(&address))
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::AddrInUse => Error::InUse(name),
                _ => Error::io("cannot mark the network namespace as ours")(e),
            })
    })
    .await
}

impl HostNet {
    /// Takes the network namespace of a host.
    /// # Errors
    /// [`Error::InUse`] if another process has it, [`Error::NoNamespace`] if it is not there.
    pub async fn open(options: HostNetOptions) -> Result<HostNet> {
        let mut tries = 0;
        let owner = loop {
            tries += 1;
            match own(options.netns.as_deref()).await {
                // One that is just ending holds the name for a moment more, as does a child between its fork and its
                // program.
                Err(Error::InUse(_)) if tries < OWN_TRIES => tokio::time::sleep(OWN_PAUSE).await,
                other => break other?,
            }
        };
        let prefix = names::namespace_prefix(&options.host, options.netns.as_deref());
        Ok(HostNet { options, prefix, state: Mutex::default(), _owner: owner })
    }

    fn ns(&self) -> Option<&str> {
        self.options.netns.as_deref()
    }

    fn plan(&self, nic: &NicSpec) -> Result<NetPlan> {
        let HostNetOptions { vtep, physical_networks, .. } = &self.options;
        NetPlan::new(nic, &Host { namespace_prefix: &self.prefix, vtep: *vtep, physical_networks })
    }

    /// Makes the host have exactly these interfaces, those of all instances on it, and removes whatever else it had
    /// made. What cannot be wired is left as it is and the rest is done; the first such error is returned.
    /// # Errors
    /// The first failure, after everything else was done.
    pub async fn sync(&self, desired: &[NicSpec]) -> Result<()> {
        let mut state = self.state.lock().await;
        self.remove_strays(&mut state, desired).await?;
        let mut first = None;
        let mut ports = Vec::new();
        let mut plans = BTreeMap::new();
        let mut unplanned = BTreeSet::new();
        for nic in desired {
            match (Port::new(nic), self.plan(nic)) {
                (Ok(port), Ok(plan)) => {
                    ports.push(port);
                    plans.insert(plan.id, plan);
                }
                (Err(error), _) | (_, Err(error)) => {
                    tracing::error!(port = %nic.port_id, network = %nic.network_id, %error, "a port cannot be wired");
                    unplanned.insert(nic.port_id);
                    first.get_or_insert(error);
                }
            }
        }
        state.ports.retain(|id, _| unplanned.contains(id));
        let keep = desired.iter().map(device_of).collect();
        if let Err(error) = self.apply_each(&mut state, ports, plans, &keep).await {
            first.get_or_insert(error);
        }
        self.remove_tables_if_idle(&mut state).await?;
        first.map_or(Ok(()), Err)
    }

    /// Wires these interfaces: afterwards a guest may be started on them. Again is fine.
    /// # Errors
    /// If one cannot be wired; call [`HostNet::unplug`] then.
    pub async fn plug(&self, nics: &[NicSpec]) -> Result<()> {
        let ports = nics.iter().map(Port::new).collect::<Result<Vec<_>>>()?;
        let plans = nics.iter().map(|n| self.plan(n).map(|p| (p.id, p))).collect::<Result<BTreeMap<_, _>>>()?;
        let mut state = self.state.lock().await;
        self.apply(&mut state, ports, plans, None).await
    }

    /// Takes over changes of interfaces that are wired: rules, addresses, peers, subnets. Others are ignored, so
    /// that a late change cannot wire a guest that is gone.
    /// # Errors
    /// If a change cannot be made.
    pub async fn refresh(&self, nics: &[NicSpec]) -> Result<()> {
        let mut state = self.state.lock().await;
        let known: Vec<&NicSpec> = nics.iter().filter(|n| state.ports.contains_key(&n.port_id)).collect();
        let ports = known.iter().map(|n| Port::new(n)).collect::<Result<Vec<_>>>()?;
        let plans = known.iter().map(|n| self.plan(n).map(|p| (p.id, p))).collect::<Result<BTreeMap<_, _>>>()?;
        self.apply(&mut state, ports, plans, None).await
    }

    /// Takes these interfaces away, and with its last interface the network. Again is fine.
    /// # Errors
    /// If something refuses to go.
    pub async fn unplug(&self, nics: &[NicSpec]) -> Result<()> {
        let mut state = self.state.lock().await;
        self.remove_ports(&mut state, nics).await
    }

    /// The address under which the host's namespace speaks to the world: that of its default route, else the loopback's.
    pub async fn address(&self) -> IpAddr {
        let found = within(self.ns(), || {
            // Nothing is sent: connecting a datagram socket only chooses the route and with it the address.
            let asked = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
                socket.connect((std::net::Ipv4Addr::new(198, 51, 100, 1), 9))?;
                socket.local_addr()
            });
            Ok(asked.ok().map(|a| a.ip()))
        })
        .await;
        found.ok().flatten().unwrap_or(IpAddr::from([127, 0, 0, 1]))
    }

    /// Names of everything that is there of ours: interfaces, namespaces, tables. Sorted.
    /// # Errors
    /// If it cannot be listed.
    pub async fn audit(&self) -> Result<Vec<String>> {
        let _state = self.state.lock().await;
        let links = links::read(self.ns()).await?;
        let bridges: BTreeSet<&str> =
            links.values().filter(|l| l.is_bridge() && l.ours()).map(|l| l.ifname.as_str()).collect();
        let member = |l: &links::Link| l.master.as_deref().is_some_and(|m| bridges.contains(m));
        let mut out: Vec<String> = links.values().filter(|l| l.ours() || member(l)).map(|l| l.ifname.clone()).collect();
        out.extend(netns::list(&self.prefix).await?);
        for table in nft_list(self.ns(), &["tables"]).await? {
            if table["table"]["name"] == TABLE {
                out.push(format!("{} {TABLE}", table["table"]["family"].as_str().unwrap_or_default()));
            }
        }
        out.sort();
        Ok(out)
    }

    /// Stops the servers; `keep` leaves all wiring, so that guests go on while the agent restarts. Without it
    /// everything goes.
    /// # Errors
    /// If something refuses to go.
    pub async fn close(&self, keep: bool) -> Result<()> {
        if !keep {
            self.sync(&[]).await?;
        }
        let mut state = self.state.lock().await;
        for net in std::mem::take(&mut state.nets).into_values() {
            if let Some(service) = net.service {
                service.stop().await;
            }
        }
        state.ports.clear();
        if !keep && !state.lifted.is_empty() {
            let switches = std::mem::take(&mut state.lifted);
            netfilter::restore(self.ns(), switches).await?;
        }
        Ok(())
    }
}
