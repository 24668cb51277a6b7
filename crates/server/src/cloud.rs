//! The whole cloud in one process: every service, the conductor, and a host agent for each `[[compute]]` entry.
//!
//! The binary and the test cluster both start here, so there is no second way to put the parts together. It composes;
//! it decides nothing about servers.

use crate::audit::{self, Auditor};
use crate::config::{ComputeHost, Config};
use crate::seed;
use hostnet::{HostNet, HostNetOptions};
use axum::Router;
use axum::middleware::from_fn_with_state;
use compute::{Agent, Assignments, Parts};
use conductor::Conductor;
use driver_api::ComputeDriver;
use identity::Identity;
use image::Images;
use model::{Env, Secret};
use network::Network;
use placement::Placement;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use store::Store;

/// Why a cloud cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] crate::config::Error),
    /// The database.
    #[error("database: {0}")]
    Store(#[from] store::Error),
    /// A driver's options.
    #[error("[[compute]] {host}: {source}")]
    Driver {
        /// Which host.
        host: String,
        /// Why.
        source: drivers::Error,
    },
    /// A host that cannot be started at all.
    #[error("[[compute]] {host}: {reason}")]
    Host {
        /// Which host.
        host: String,
        /// Why.
        reason: String,
    },
    /// A service that cannot be started.
    #[error("{service}: {reason}")]
    Service {
        /// Which.
        service: &'static str,
        /// Why.
        reason: String,
    },
}

/// A running cloud.
pub struct Cloud {
    /// Everything it serves.
    pub router: Router,
    /// For tests and for the end.
    pub conductor: Conductor,
    /// Users and tokens.
    pub identity: Identity,
    /// Its database.
    pub store: Store,
    images: Images,
    agents: BTreeMap<String, Agent>,
}

/// What a cloud is made of.
pub struct Ingredients<'a> {
    /// What the operator says.
    pub config: &'a Config,
    /// The data directory.
    pub data: &'a Path,
    /// The database, open.
    pub store: Store,
    /// Time and randomness.
    pub env: Env,
    /// The administrator's password.
    pub admin_password: Secret<String>,
    /// Drivers made elsewhere, by host: for tests that hold the other end. Others come from the list.
    pub drivers: BTreeMap<String, Arc<dyn ComputeDriver>>,
    /// File work on the calling thread and cheap password hashes: for simulations.
    pub simulated: bool,
    /// The way to the hosts, where messages shall be lost: for simulations. Without it nothing is.
    pub link: Option<Arc<dyn messaging::Link>>,
    /// Asked at every moment of every flow: for tests.
    pub probe: Option<conductor::Probe>,
}

fn service<E: std::fmt::Display>(service: &'static str) -> impl Fn(E) -> Error {
    move |e| Error::Service { service, reason: e.to_string() }
}

impl Cloud {
    /// Puts a cloud together and starts it.
    /// # Errors
    /// What keeps it from starting. A backend that is down does not.
    pub async fn start(i: Ingredients<'_>) -> Result<Cloud, Error> {
        i.config.check()?;
        let (store, env) = (i.store.clone(), i.env.clone());
        let identity = Identity::new(store.clone(), env.clone(), identity_options(&i)).await.map_err(service("identity"))?;
        let seeded = identity.bootstrap(&i.admin_password).await.map_err(service("identity"))?;
        let image_options = image::Options {
            dir: i.config.image_dir.clone().unwrap_or_else(|| i.data.join("images")),
            public_origin: i.config.public_url.clone(),
            inline: i.simulated,
            ..image::Options::default()
        };
        let images = Images::new(store.clone(), env.clone(), image_options).map_err(service("image"))?;
        let controller = controller_name(&i).map_err(service("conductor"))?;
        if company(&store, &controller).await? {
            tracing::info!("other controllers run: uploads that were interrupted are cleaned up by the first that starts without them");
        } else {
            images.recover().await.map_err(service("image"))?;
        }
        let physical: Vec<String> = i.config.compute.iter().flat_map(|c| c.physical_networks.keys().cloned()).collect();
        let network_options = network::Options { physical_networks: physical, ..network::Options::default() };
        let network = Network::new(store.clone(), env.clone(), network_options);
        seed::run(&store, &env, &network, &seeded.project_id, i.config).await?;
        let placement = Placement::new(store.clone(), env.clone());
        let alone = i.config.database == "sqlite";
        let conductor_options = conductor::Options {
            name: format!("{controller}#{}", env.uuid().simple()),
            alone,
            controller: if alone { String::new() } else { controller.clone() },
            lease: std::time::Duration::from_secs(i.config.lease_seconds),
            quota: i.config.quota.clone(),
            ..conductor::Options::default()
        };
        let conductor = Conductor::new(
            store.clone(),
            env.clone(),
            placement.clone(),
            network.clone(),
            images.clone(),
            conductor_options,
        );
        if let Some(probe) = &i.probe {
            conductor.probed_by(probe.clone());
        }
        let mut agents = BTreeMap::new();
        let mut wires = BTreeMap::new();
        for host in &i.config.compute {
            let (agent, wire) = start_host(&i, host, &images, &conductor).await?;
            agents.insert(host.name.clone(), agent);
            if let Some(w) = wire {
                wires.insert(host.name.clone(), w);
            }
        }
        conductor.start().await.map_err(service("conductor"))?;
        follow_identity(&conductor, &identity);
        let auditor = Auditor {
            store: store.clone(),
            conductor: conductor.clone(),
            images: images.clone(),
            network: network.clone(),
            placement: placement.clone(),
            env: env.clone(),
            wires,
        };
        let router = router(&i, &identity, images.clone(), network, placement, &conductor, auditor);
        Ok(Cloud { router, conductor, identity, store, images, agents })
    }

    /// Ends a host's agent as if its process had died, and starts it again with the driver that `i` has for it. For
    /// hosts without wiring of their own: what listens in a host's network is not given back so fast.
    /// # Errors
    /// What keeps it from starting.
    pub async fn restart_agent(&mut self, i: &Ingredients<'_>, host: &ComputeHost) -> Result<(), Error> {
        drop(self.agents.remove(&host.name));
        let (agent, _) = start_host(i, host, &self.images, &self.conductor).await?;
        self.agents.insert(host.name.clone(), agent);
        Ok(())
    }

    /// Ends in order: no new work, running calls cut off, agents let their backends go. Guests go on.
    pub async fn stop(self) {
        self.conductor.stop().await;
        for agent in self.agents.into_values() {
            agent.stop().await;
        }
    }
}

/// Other controllers that did not leave in order: perhaps they run.
async fn company(store: &Store, me: &str) -> Result<bool, Error> {
    let all = store.read(store::controllers::list).await?;
    Ok(all.iter().any(|c| !c.ended && c.name != me))
}

/// The name of this controller that stays from life to life: the configuration's, else one that the data directory keeps.
fn controller_name(i: &Ingredients<'_>) -> std::io::Result<String> {
    if let Some(name) = &i.config.controller {
        return Ok(name.clone());
    }
    if i.config.database == "sqlite" {
        return Ok("embedded".to_owned());
    }
    let file = i.data.join("controller");
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => {
            let name = format!("controller-{}", &i.env.uuid().simple().to_string()[..12]);
            std::fs::write(&file, &name)?;
            Ok(name)
        }
    }
}

/// The identity directory follows what other controllers changed of it.
fn follow_identity(conductor: &Conductor, identity: &Identity) {
    let (mut news, identity) = (conductor.identity_news(), identity.clone());
    tokio::spawn(async move {
        // Ends with the conductor.
        while news.changed().await.is_ok() {
            if let Err(error) = identity.refresh().await {
                tracing::error!(%error, "the identity directory may be behind the database");
                // The next change, or the next write, tries again.
            }
        }
    });
}

fn identity_options(i: &Ingredients<'_>) -> identity::Options {
    let mut options = identity::Options {
        token_expiration: i.config.token_seconds,
        failed_logins: i.config.limits.failed_logins,
        lockout_failure_attempts: i.config.limits.lockout_failure_attempts,
        lockout_duration: i.config.limits.lockout_duration,
        region: i.config.region.clone(),
        public_origin: i.config.public_url.clone(),
        ..identity::Options::default()
    };
    let (kind, name, path) = ("kilonova".to_owned(), "kilonova".to_owned(), "/kilonova".to_owned());
    options.services.push(identity::BuiltIn { kind, name, path });
    if i.simulated {
        options.inline = true;
        options.hashing = identity::Hashing { memory_kib: 64, passes: 1, ..options.hashing };
    }
    options
}

/// Whether a host wires ports: as configured, else as its driver usually does.
pub(crate) fn wires_ports(host: &ComputeHost) -> bool {
    host.networking.unwrap_or_else(|| drivers::find(&host.driver).is_ok_and(|row| row.wires_ports))
}

async fn start_host(
    i: &Ingredients<'_>,
    host: &ComputeHost,
    images: &Images,
    conductor: &Conductor,
) -> Result<(Agent, Option<Arc<HostNet>>), Error> {
    let wrong = |source| Error::Driver { host: host.name.clone(), source };
    let options = serde_json::to_value(&host.options).map_err(|e| Error::Host { host: host.name.clone(), reason: e.to_string() })?;
    // Guests' processes may pass through to what is theirs; nobody may look around.
    let data_dir = i.data.join("hosts").join(&host.name);
    let mut private = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(private.recursive(true), 0o711);
    private.create(&data_dir).map_err(|e| Error::Host { host: host.name.clone(), reason: format!("{}: {e}", data_dir.display()) })?;
    let driver: Arc<dyn ComputeDriver> = match i.drivers.get(&host.name) {
        Some(d) => d.clone(),
        None => Arc::from((drivers::find(&host.driver).map_err(wrong)?.make)(&options).map_err(wrong)?),
    };
    let assignments = Assignments::default();
    let wires = if wires_ports(host) {
        let opened = HostNet::open(HostNetOptions {
            host: host.name.clone(),
            netns: host.netns.clone(),
            vtep: host.vtep,
            physical_networks: host.physical_networks.clone(),
            metadata: Arc::new(assignments.clone()),
        });
        Some(Arc::new(opened.await.map_err(|e| Error::Host { host: host.name.clone(), reason: e.to_string() })?))
    } else {
        None
    };
    let (client, reports, server) = match &i.link {
        Some(link) => messaging::in_process_over(&host.name, link.clone(), i.env.clock.clone()),
        None => messaging::in_process(&host.name),
    };
    conductor.attach(client, reports);
    let agent = Agent::start(Parts {
        server,
        driver,
        wiring: wires.clone().map(|w| w as Arc<dyn compute::Wiring>),
        assignments,
        images: Arc::new(images.source()),
        clock: i.env.clock.clone(),
        data_dir,
        netns: host.netns.clone(),
        vtep: host.vtep,
        options: compute::Options::default(),
        inline_io: i.simulated,
    })
    .map_err(|e| Error::Host { host: host.name.clone(), reason: e.to_string() })?;
    Ok((agent, wires))
}

#[allow(clippy::too_many_arguments)] // Every part once, by its only caller.
fn router(
    i: &Ingredients<'_>,
    identity: &Identity,
    images: Images,
    network: Network,
    placement: Placement,
    conductor: &Conductor,
    auditor: Auditor,
) -> Router {
    let parts = api::Parts {
        store: i.store.clone(),
        env: i.env.clone(),
        identity: identity.clone(),
        images: images.clone(),
        network: network.clone(),
        placement: placement.clone(),
        conductor: conductor.clone(),
    };
    let api = api::Api::new(parts, api::Options {
        quota: i.config.quota.clone(),
        public_origin: i.config.public_url.clone(),
        ..api::Options::default()
    });
    let auth = web::authenticate_layer(Arc::new(identity.clone()), i.env.random.clone());
    let auth = auth.limited(web::Failures::per_minute(i.config.limits.failed_tokens), i.env.clock.clone());
    let services = [
        ("/identity", identity::router(identity.clone())),
        ("/image", image::router(images)),
        ("/network", network::http::router(network)),
        ("/placement", placement::http::router(placement)),
        ("/kilonova", audit::router(auditor)),
        ("/console", api::console_router(api.clone())),
        ("/compute", api::router(api)),
    ];
    services
        .into_iter()
        .fold(crate::root::router(), |app, (prefix, service)| web::mount(app, prefix, service))
        .layer(from_fn_with_state(auth, web::AuthState::run))
}
