//! Flows and reconcilers: everything that happens to a server after the API has understood the request.
//!
//! A request becomes one durable unit, the intent ([`accept`], [`build`]): state, flow row, claim, quota, ports. The
//! flow then runs in memory ([`run`], [`flows`]): it asks the host, and ends with one durable unit, the result
//! ([`finish`]). A lasting property (power state, orphans, stuck flows) is a reconciler ([`reconcilers`]).
//! Nothing here speaks HTTP, SQL or to a backend.

mod accept;
mod assign;
mod build;
mod error;
mod finish;
mod flows;
mod groups;
mod hosts;
mod invariants;
mod peers;
mod read;
mod reconcilers;
mod request;
mod run;
mod tasks;

pub use error::Error;
pub use flows::Step;
pub use hosts::HostView;
pub use invariants::{Limits, invariants};
pub use request::{
    Accepted, ActionRequest, BuildRequest, NetworkRequest, NicRequest, RebuildRequest,
};

use hosts::Hosts;
use model::Env;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use store::Store;
use tasks::Tasks;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How the conductor behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of this controller; owner of the flows it runs. Unique among controllers that share a database, and among
    /// the lives of one: what bears another name was left by an earlier life.
    pub name: String,
    /// Name of this controller that stays from life to life; empty where it is alone.
    pub controller: String,
    /// How long a flow belongs to its controller without renewal.
    pub lease: Duration,
    /// Nothing else shares the database, so every unfinished flow found at start is ours to run.
    pub alone: bool,
    /// Hosts tried for one build, the first included (Nova's `max_attempts`).
    pub attempts: usize,
    /// How long a guest may take to shut down before the plug is pulled (`shutdown_timeout`).
    pub shutdown_grace: Duration,
    /// Longest time of one operation on a host.
    pub deadline: Duration,
    /// How often lasting properties are looked at without a nudge.
    pub reconcile_every: Duration,
    /// Default limits of the compute quotas, where they differ from Nova's.
    pub quota: std::collections::BTreeMap<String, i64>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            name: "controller".into(),
            controller: String::new(),
            lease: Duration::from_secs(60),
            alone: true,
            attempts: 3,
            shutdown_grace: Duration::from_secs(60),
            deadline: Duration::from_secs(1800),
            reconcile_every: Duration::from_secs(60),
            quota: std::collections::BTreeMap::new(),
        }
    }
}

/// The conductor. Cheap to clone.
#[derive(Clone)]
pub struct Conductor(Arc<Inner>);

/// What every clone of a conductor shares; its fields are this crate's own.
pub struct Inner {
    store: Store,
    env: Env,
    placement: placement::Placement,
    network: network::Network,
    images: image::Images,
    options: Options,
    hosts: Hosts,
    tasks: Tasks,
    peers: peers::Peers,
    identity_news: tokio::sync::watch::Sender<u64>,
    running: TaskTracker,
    stop: CancellationToken,
    probe: OnceLock<Probe>,
}

/// Where a test reaches into the flows.
pub type Probe = Arc<dyn flow::Probe<Step, driver_api::Error>>;

impl std::ops::Deref for Conductor {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl Conductor {
    /// A conductor without hosts; [`Conductor::attach`] gives it some, [`Conductor::start`] makes it work.
    pub fn new(
        store: Store,
        env: Env,
        placement: placement::Placement,
        network: network::Network,
        images: image::Images,
        options: Options,
    ) -> Conductor {
        Conductor(Arc::new(Inner {
            store,
            env,
            placement,
            network,
            images,
            options,
            hosts: Hosts::default(),
            tasks: Tasks::default(),
            peers: peers::Peers::default(),
            identity_news: tokio::sync::watch::Sender::new(0),
            running: TaskTracker::new(),
            stop: CancellationToken::new(),
            probe: OnceLock::new(),
        }))
    }
    /// Has `probe` asked at every moment of every flow from now on. Only tests have one, and it stays.
    pub fn probed_by(&self, probe: Probe) {
        if self.probe.set(probe).is_err() {
            tracing::error!("a second probe is not asked");
        }
    }
    /// Grows when another controller changed the identity directory.
    pub fn identity_news(&self) -> tokio::sync::watch::Receiver<u64> {
        self.identity_news.subscribe()
    }
    /// Stops taking work and waits for what runs to be cut off at its next await; the next start takes it up again.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }
    /// Waits until no flow runs. For tests and the end of a simulation.
    pub async fn idle(&self) {
        let mut pause = Duration::from_millis(5);
        while !self.tasks.flows().is_empty() {
            self.env.clock.sleep(pause).await;
            // Long waits are looked at seldom: in virtual time a look costs more than the wait.
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }
}
