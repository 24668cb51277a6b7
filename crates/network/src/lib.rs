//! Neutron v2.0: networks, subnets, ports, security groups.
//!
//! Rows and rules only: this crate says who may talk to whom and under which address, and hosts make it so. What
//! guests have to learn of a change goes out through [`Network::changes`]. The functions on a transaction compose
//! into the unit that also writes the server, so a build takes its ports and addresses in its first commit or not
//! at all. Never touches a host's network.

mod address;
mod error;
pub mod groups;
pub mod http;
pub mod networks;
mod nics;
pub mod ports;
mod seed;
mod servers;
pub mod subnets;
mod who;

pub use error::{Error, Result};
pub use nics::{device, nic_specs};
pub use seed::Seed;
pub use servers::{BoundPort, Released, RequestedNic};
pub use who::Who;

use model::network as records;
use model::{Context, Env};
use std::net::IpAddr;
use std::sync::Arc;
use store::{Store, Tx};
use tokio::sync::broadcast;
use uuid::Uuid;

/// Changes that wait for a slow listener before it is told that it missed some.
const BACKLOG: usize = 1024;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Path under which the service is mounted, for links (`/network`).
    pub public_prefix: String,
    /// Largest packet of tenants' networks, bytes.
    pub vxlan_mtu: u32,
    /// Largest packet of networks on host interfaces, bytes.
    pub flat_mtu: u32,
    /// Names of physical networks that hosts may have.
    pub physical_networks: Vec<String>,
    /// Longest page of a list.
    pub max_limit: usize,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            public_prefix: "/network".into(),
            vxlan_mtu: 1450,
            flat_mtu: 1500,
            physical_networks: Vec::new(),
            max_limit: 10_000,
        }
    }
}

/// Servers whose wiring is no longer as their hosts know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Those servers, sorted.
    pub servers: Vec<Uuid>,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Network {
    pub(crate) store: Store,
    pub(crate) env: Env,
    pub(crate) options: Arc<Options>,
    changes: broadcast::Sender<Change>,
}

/// Whose servers a change concerns.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    pub(crate) servers: Vec<Uuid>,
    /// Subnets, peers or the network itself changed.
    pub(crate) networks: Vec<Uuid>,
    /// Their rules changed.
    pub(crate) groups: Vec<Uuid>,
    /// Their members, or the members' addresses, changed.
    pub(crate) members: Vec<Uuid>,
}

impl Network {
    /// The service over a store.
    pub fn new(store: Store, env: Env, options: Options) -> Network {
        let (changes, _) = broadcast::channel(BACKLOG);
        Network { store, env, options: Arc::new(options), changes }
    }
    /// What guests have to learn of: the conductor listens and refreshes them.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
    /// The network, if the caller may use or see it.
    /// # Errors
    /// `NotFound`.
    pub async fn get_network(&self, ctx: &Context, id: Uuid) -> Result<records::Network> {
        let who = Who::from(ctx);
        self.read(move |tx| networks::visible(tx, &who, id)).await
    }
    /// The networks that the caller sees.
    /// # Errors
    /// The store's.
    pub async fn list_networks(&self, ctx: &Context) -> Result<Vec<records::Network>> {
        let visible_to = (!ctx.is_admin()).then(|| ctx.project_id().to_owned());
        let filter = store::network::networks::Filter { visible_to, ..Default::default() };
        self.read(move |tx| Ok(store::network::networks::list(tx, &filter)?)).await
    }
    /// The port, if the caller may see it.
    /// # Errors
    /// `NotFound`.
    pub async fn get_port(&self, ctx: &Context, id: Uuid) -> Result<records::Port> {
        let who = Who::from(ctx);
        self.read(move |tx| Ok(ports::visible(tx, &who, id)?.0)).await
    }
    /// A project's security group by name or id.
    /// # Errors
    /// `NotFound`, or several of that name.
    pub async fn find_security_group(&self, project: &str, name: &str) -> Result<records::SecurityGroup> {
        let (me, project, name) = (self.clone(), project.to_owned(), name.to_owned());
        if name == records::DEFAULT_GROUP {
            return self.write(move |tx| groups::ensure_default(tx, &me.env, &project)).await;
        }
        self.read(move |tx| servers::find_group(tx, &project, &name)).await
    }
    /// The security groups of a server's ports, by name, each once.
    /// # Errors
    /// The store's.
    pub async fn security_groups_of(&self, server: Uuid) -> Result<Vec<records::SecurityGroup>> {
        self.read(move |tx| {
            let own = store::network::ports::of_server(tx, server)?;
            let ids: Vec<Uuid> = own.iter().flat_map(|p| p.security_groups.iter().copied()).collect();
            if ids.is_empty() {
                return Ok(Vec::new());
            }
            let filter = store::network::groups::Filter { ids, ..Default::default() };
            let mut all = store::network::groups::list(tx, &filter)?;
            all.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
            Ok(all)
        })
        .await
    }
    /// Notes a host's tunnel endpoint. Where it is news, guests that have peers there are refreshed.
    /// # Errors
    /// The store's.
    pub async fn register_host(&self, host: &str, vtep: IpAddr) -> Result<()> {
        let (name, text) = (host.to_owned(), vtep.to_string());
        let known = self.read(move |tx| Ok(store::network::networks::vteps(tx)?.get(&name) == Some(&text))).await?;
        if known {
            return Ok(());
        }
        let (name, text) = (host.to_owned(), vtep.to_string());
        let on_it = self
            .write(move |tx| {
                store::network::networks::set_vtep(tx, &name, &text)?;
                Ok(store::network::ports::networks_of_host(tx, &name)?)
            })
            .await?;
        self.announce(Touched { networks: on_it, ..Touched::default() }).await;
        Ok(())
    }
    /// After the commit that bound a server's ports: its neighbours learn of them. Returns at once.
    pub fn notify_bound(&self, server: Uuid) {
        let me = self.clone();
        tokio::spawn(async move {
            let touched = me
                .read(move |tx| {
                    let own = store::network::ports::of_server(tx, server)?;
                    let networks = own.iter().map(|p| p.network_id).collect();
                    let members = own.iter().flat_map(|p| p.security_groups.clone()).collect();
                    servers_of(tx, &Touched { networks, members, ..Touched::default() })
                })
                .await;
            me.send(touched, Some(server));
        });
    }
    /// After the commit that released a server's ports: who knew of them forgets them. Returns at once.
    pub fn notify_released(&self, released: Released) {
        let me = self.clone();
        tokio::spawn(async move {
            let Released { networks, groups } = released;
            me.announce(Touched { networks, members: groups, ..Touched::default() }).await;
        });
    }

    pub(crate) async fn announce(&self, t: Touched) {
        let touched = self.read(move |tx| servers_of(tx, &t)).await;
        self.send(touched, None);
    }
    fn send(&self, touched: Result<Vec<Uuid>>, except: Option<Uuid>) {
        match touched {
            Ok(mut servers) => {
                servers.retain(|s| Some(*s) != except);
                // Without a listener there is nobody to tell.
                if !servers.is_empty() && self.changes.send(Change { servers }).is_err() {
                    tracing::debug!("nobody listens for network changes");
                }
            }
            Err(error) => tracing::error!(%error, "a change of networks could not be told to its guests"),
        }
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        mut f: impl FnMut(&mut Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        Ok(self.store.read(move |tx| f(tx).map_err(Error::into_store)).await?)
    }
    /// One unit; tried again where another controller changed the same record meanwhile.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx) -> Result<T> + Clone + Send + 'static,
    ) -> Result<T> {
        let mut tries = 0;
        loop {
            let mut f = f.clone();
            match self.store.write(move |tx| f(tx).map_err(Error::into_store)).await {
                Err(store::Error::Busy) if tries < 8 => tries += 1,
                done => return Ok(done?),
            }
        }
    }
}

/// The servers that a change concerns, sorted.
fn servers_of(tx: &mut Tx, t: &Touched) -> Result<Vec<Uuid>> {
    let mut out = t.servers.clone();
    let mut groups = t.groups.clone();
    groups.extend(store::network::ports::groups_trusting(tx, &t.members)?);
    groups.sort();
    groups.dedup();
    let names = [
        store::network::ports::servers_on_networks(tx, &t.networks)?,
        store::network::ports::servers_in_groups(tx, &groups)?,
    ];
    out.extend(names.iter().flatten().filter_map(|d| Uuid::try_parse(d).ok()));
    out.sort();
    out.dedup();
    Ok(out)
}
