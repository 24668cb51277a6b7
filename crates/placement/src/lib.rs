//! Resource providers, claims, filters and weighers.
//!
//! The scheduler looks at columns in memory ([`Placement::rank`]) and the database decides ([`claim`]): no lock
//! spans the two, and a claim that lost is answered by the next candidate. The same rows are served as the
//! Placement API. Never starts a server, never knows a flow.

pub mod claim;
pub mod columns;
pub mod http;
mod ops;
mod quick;
pub mod rank;
mod register;
pub mod spec;

pub use claim::{Claimant, Released, claim, release};
pub use columns::{Columns, Facts, Loaded};
pub use rank::{Candidate, FilterCount, Ranked, rank};
pub use spec::{GroupSpec, RequestSpec, flavor_resources};

use columns::{ENABLED, LIVE, READY, REGISTERED, UP};
use model::Env;
use model::aggregate::Aggregate;
use model::placement::Resources;
use model::service::Service;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use store::Store;
use uuid::Uuid;

/// What can go wrong here.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Path under which the service is mounted, for links.
    pub public_prefix: String,
}

impl Default for Options {
    fn default() -> Options {
        Options { public_prefix: "/placement".into() }
    }
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Placement {
    store: Store,
    env: Env,
    options: Arc<Options>,
    columns: Arc<RwLock<Columns>>,
    /// Held from a read of rows until memory has them: an older read never lands on a newer one. Hosts that register
    /// share it: each brings rows of its own, and comes with one registration at a time.
    refresh: Arc<tokio::sync::RwLock<()>>,
}

/// One node of a compute host, as `os-hypervisors` and `os-services` show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostView {
    /// Its provider.
    pub provider: Uuid,
    /// Host.
    pub host: String,
    /// Node.
    pub node: String,
    /// Zone.
    pub zone: String,
    /// It answers.
    pub up: bool,
    /// The operator lets new servers onto it.
    pub enabled: bool,
    /// (total, used) by class.
    pub resources: BTreeMap<String, (i64, i64)>,
    /// Servers on it.
    pub instances: i64,
    /// Builds that run on it.
    pub io_ops: i64,
}

impl Placement {
    /// The service over a store; [`Placement::load`] fills its memory.
    pub fn new(store: Store, env: Env) -> Placement {
        Placement::with_options(store, env, Options::default())
    }
    /// The same, mounted elsewhere.
    pub fn with_options(store: Store, env: Env, options: Options) -> Placement {
        Placement { store, env, options: Arc::new(options), columns: Arc::default(), refresh: Arc::default() }
    }
    /// Reads all providers into memory. To be called at start, and where memory may have drifted.
    /// # Errors
    /// The store's.
    pub async fn load(&self) -> Result<()> {
        let _refresh = self.refresh.write().await;
        let all = self.store.read(register::load_all).await?;
        let mut c = self.write();
        c.retain(&all.iter().map(|l| l.provider.id).collect::<BTreeSet<_>>());
        for l in &all {
            c.upsert(l);
        }
        Ok(())
    }
    /// Reads one provider again, or drops it from memory if it is gone.
    /// # Errors
    /// The store's.
    pub async fn reload(&self, provider: Uuid) -> Result<()> {
        let _refresh = self.refresh.write().await;
        let loaded = self.store.read(move |tx| register::load_one(tx, provider)).await?;
        match &loaded {
            Some(l) => self.write().upsert(l),
            None => self.write().remove(provider),
        }
        Ok(())
    }
    /// Reads several providers again: where memory was found to be behind.
    /// # Errors
    /// The store's.
    pub async fn refresh(&self, providers: Vec<Uuid>) -> Result<()> {
        let _refresh = self.refresh.write().await;
        let ids = providers.clone();
        let loaded = self.store.read(move |tx| register::load_many(tx, &ids)).await?;
        let mut c = self.write();
        for id in providers {
            match loaded.get(&id) {
                Some(l) => c.upsert(l),
                None => c.remove(id),
            }
        }
        Ok(())
    }
    /// Makes a host's nodes known: providers, inventories and traits, one unit, and none if nothing changed. True if
    /// something was written. The host counts as down until [`Placement::set_up`].
    /// # Errors
    /// The store's; `Conflict` if another provider has the node's name.
    pub async fn register(&self, service: &Service) -> Result<bool> {
        let wanted = register::wanted(service);
        let _refresh = self.refresh.read().await;
        let w = wanted.clone();
        let read = move |tx: &mut store::Tx| Ok((register::differs(tx, &w)?, register::load_some(tx, &w)?));
        let (differs, mut rows) = self.store.read(read).await?;
        let mut gone = Vec::new();
        if differs {
            let (w, now) = (wanted, self.env.now());
            (rows, gone) = self.store.write(move |tx| register::apply(tx, &w, now)).await?;
        }
        let mut c = self.write();
        for id in gone {
            c.unregister(id);
        }
        for l in &rows {
            c.upsert(l);
        }
        for (id, node) in &service.nodes {
            let enabled = !service.disabled && !service.forced_down;
            let hypervisor_type = node.hypervisor_type.clone();
            c.set_facts(*id, &Facts { driver: service.driver.clone(), hypervisor_type, enabled });
        }
        Ok(differs)
    }
    /// Takes a host of another controller into the columns; that controller writes its rows.
    /// # Errors
    /// The store's.
    pub async fn adopt(&self, service: &Service, up: bool) -> Result<()> {
        let unknown = |c: &Columns| service.nodes.iter().any(|(id, _)| c.row(*id).is_none());
        if unknown(&self.read()) {
            self.refresh(service.nodes.iter().map(|(id, _)| *id).collect()).await?;
        }
        let enabled = !service.disabled && !service.forced_down;
        let mut c = self.write();
        for (id, node) in &service.nodes {
            let (driver, hypervisor_type) = (service.driver.clone(), node.hypervisor_type.clone());
            c.set_facts(*id, &Facts { driver, hypervisor_type, enabled });
        }
        c.flag_host(&service.host, UP, up);
        Ok(())
    }
    /// The host answers, or does not any more.
    pub fn set_up(&self, host: &str, up: bool) {
        self.write().flag_host(host, UP, up);
    }
    /// The operator lets new servers onto the host, or not.
    pub fn set_enabled(&self, host: &str, enabled: bool) {
        self.write().flag_host(host, ENABLED, enabled);
    }
    /// The host has left for good (its service was deleted): no new servers, whatever its rows say.
    pub fn forget(&self, host: &str) {
        self.write().flag_host(host, REGISTERED, false);
    }
    /// The host aggregates as they are now.
    pub fn set_aggregates(&self, aggregates: &[Aggregate]) {
        self.write().set_aggregates(aggregates);
    }
    /// Ranks hosts by what memory knows.
    pub fn rank(&self, spec: &RequestSpec) -> Ranked {
        self.rank_with(spec, self.env.random.u64())
    }
    /// The same, where the caller holds the rows that the answer rests on and draws the tie itself.
    pub fn rank_with(&self, spec: &RequestSpec, tie: u64) -> Ranked {
        let columns = self.read();
        quick::rank(&columns, spec, tie).unwrap_or_else(|| rank::rank(&columns, spec, tie))
    }
    /// Ranks hosts; where none is left, memory is read again before the answer is believed.
    /// # Errors
    /// The store's.
    pub async fn select(&self, spec: &RequestSpec) -> Result<Ranked> {
        let ranked = self.rank(spec);
        if !ranked.candidates.is_empty() {
            return Ok(ranked);
        }
        self.load().await?;
        Ok(self.rank(spec))
    }
    /// After the commit of a [`claim`].
    pub fn note_claimed(&self, provider: Uuid, resources: &Resources) {
        self.write().note(provider, resources, 1);
    }
    /// After the commit of a [`release`].
    pub fn note_released(&self, released: &[(Uuid, Resources)]) {
        let mut c = self.write();
        for (provider, resources) in released {
            c.note(*provider, resources, -1);
        }
    }
    /// A build, snapshot or the like began (1) or ended (-1) on a provider.
    pub fn note_io(&self, provider: Uuid, change: i64) {
        let mut c = self.write();
        if let Some(row) = c.row(provider) {
            c.io_ops[row] = (c.io_ops[row] + change).max(0);
        }
    }
    /// A build ended on a provider: failures weigh against it until one succeeds.
    pub fn note_build(&self, provider: Uuid, succeeded: bool) {
        let mut c = self.write();
        if let Some(row) = c.row(provider) {
            c.failed_builds[row] = if succeeded { 0 } else { c.failed_builds[row] + 1 };
        }
    }
    /// Zones with a host that could take servers, sorted.
    pub fn zones(&self) -> BTreeSet<String> {
        rank::zones_up(&self.read())
    }
    /// The nodes of all compute hosts, by host and node.
    pub fn hosts(&self) -> Vec<HostView> {
        let c = self.read();
        let offered = LIVE | REGISTERED;
        let mut out: Vec<HostView> = c
            .by_id()
            .filter(|r| c.state[*r] & offered == offered)
            .filter_map(|r| view(&c, r))
            .collect();
        out.sort_by(|a, b| (&a.host, &a.node).cmp(&(&b.host, &b.node)));
        out
    }
    /// One node by its provider.
    pub fn host(&self, provider: Uuid) -> Option<HostView> {
        let c = self.read();
        c.row(provider).and_then(|r| view(&c, r))
    }
    /// Is any host of this name known and able to take servers?
    pub fn is_ready(&self, host: &str) -> bool {
        let c = self.read();
        c.rows_of(host).iter().any(|r| c.state[*r as usize] & READY == READY)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Columns> {
        self.columns.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn write(&self) -> RwLockWriteGuard<'_, Columns> {
        self.columns.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn view(c: &Columns, row: usize) -> Option<HostView> {
    let p = c.provider[row].as_ref()?;
    let resources = c.classes.iter().filter(|k| k.has(row));
    Some(HostView {
        provider: p.id,
        host: c.host[row].to_string(),
        node: c.node(row).to_owned(),
        zone: c.zones.names.get(c.zone[row] as usize)?.to_string(),
        up: c.state[row] & UP != 0,
        enabled: c.state[row] & ENABLED != 0,
        resources: resources.map(|k| (k.name.to_string(), (k.total[row], k.used[row]))).collect(),
        instances: c.instances[row],
        io_ops: c.io_ops[row],
    })
}
