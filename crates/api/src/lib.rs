//! The Compute API v2.1, microversions 2.1 to 2.104.
//!
//! A request comes in through [`negotiate`], which agrees on the microversion; its handler reads the body by `api-types`,
//! resolves every name in it, and hands a typed request to the conductor or writes a row that is no action. Never
//! speaks to a host or a backend, and holds no state but console tokens.

mod actions;
mod aggregates;
mod ask;
mod console;
mod diagnostics;
mod extensions;
mod fault;
mod flavors;
mod hypervisors;
mod instance_actions;
mod interfaces;
mod keypairs;
mod limits;
mod negotiate;
mod outside;
mod query;
mod routes;
mod server_groups;
mod server_password;
mod servers;
mod services;
mod table;
mod usage;
mod versions;
mod zones;

pub use console::{Consoles, router as console_router};
pub use routes::not_built;

use axum::Router;
use conductor::Conductor;
use identity::Identity;
use image::Images;
use model::Env;
use network::Network;
use placement::Placement;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::Store;
use web::{FaultShape, RouteInfo};

/// Where a built route does less than the original, or other than it: what, and how. For `docs/compat.md`.
pub const WEAKER: &[(&str, &str)] = &[
    ("POST /servers with volumes", "block devices other than the image on a local disk answer 501: there is no volume service"),
    ("POST /servers, rebuild with personality", "a list that is not empty answers 501; user data does the same"),
    ("POST /servers with the hint `group`", "400, since there are no server groups"),
    ("GET /servers, sort_key", "access_ip_v4, access_ip_v6, auto_disk_config, config_drive, display_description, hostname, kernel_id, launch_index, progress, ramdisk_id, root_device_name and terminated_at answer 501"),
    ("POST /os-keypairs of type x509", "501"),
    ("POST /os-keypairs without a public key (until 2.91)", "makes an Ed25519 pair, not RSA"),
    ("os-quota-sets with user_id", "PUT and DELETE answer 501; GET shows the project's limits"),
    ("os-extra_specs from 2.86 on", "values are not held against a list of known extra specs"),
    ("os-services", "lists compute services only: API, scheduler and conductor are one process without hosts of their own"),
    ("actions that the server's driver lacks", "501 before anything is stored, where the original accepts and fails later"),
    ("diagnostics from 2.48 on", "`driver` may be a name that the original's enumeration does not have"),
    ("remote-consoles", "novnc and serial only; the vnc page names the websocket instead of bringing a viewer"),
];

/// How the service behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Path under which the service is mounted, for links (`/compute`).
    pub public_prefix: String,
    /// Scheme and authority for links (`https://cloud.example:8774`); if absent, what the client used.
    pub public_origin: Option<String>,
    /// Path under which the image service is mounted, for the address of a snapshot (`/image`).
    pub image_prefix: String,
    /// Path under which [`console_router`] is mounted (`/console`).
    pub console_prefix: String,
    /// How long the address of a console is good.
    pub console_ttl: Duration,
    /// Longest page of a list (Nova's `max_limit`).
    pub max_limit: usize,
    /// Default limits of the compute quotas, where they differ from Nova's: the conductor's.
    pub quota: BTreeMap<String, i64>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            public_prefix: "/compute".into(),
            public_origin: None,
            image_prefix: "/image".into(),
            console_prefix: "/console".into(),
            console_ttl: Duration::from_secs(600),
            max_limit: 1000,
            quota: BTreeMap::new(),
        }
    }
}

/// What the service needs of the floors below.
#[derive(Clone)]
pub struct Parts {
    /// Rows.
    pub store: Store,
    /// Time and randomness.
    pub env: Env,
    /// Projects.
    pub identity: Identity,
    /// Images.
    pub images: Images,
    /// Networks.
    pub network: Network,
    /// Zones and use of hosts.
    pub placement: Placement,
    /// Flows.
    pub conductor: Conductor,
}

/// The service. Cheap to clone.
#[derive(Clone)]
pub struct Api(Arc<Inner>);

struct Inner {
    parts: Parts,
    consoles: Consoles,
    options: Options,
}

impl Api {
    /// The service over its parts.
    pub fn new(parts: Parts, options: Options) -> Api {
        let consoles = Consoles::new(options.console_ttl);
        Api(Arc::new(Inner { parts, consoles, options }))
    }
    pub(crate) fn store(&self) -> &Store {
        &self.0.parts.store
    }
    pub(crate) fn env(&self) -> &Env {
        &self.0.parts.env
    }
    pub(crate) fn identity(&self) -> &Identity {
        &self.0.parts.identity
    }
    pub(crate) fn images(&self) -> &Images {
        &self.0.parts.images
    }
    pub(crate) fn network(&self) -> &Network {
        &self.0.parts.network
    }
    pub(crate) fn placement(&self) -> &Placement {
        &self.0.parts.placement
    }
    pub(crate) fn conductor(&self) -> &Conductor {
        &self.0.parts.conductor
    }
    pub(crate) fn consoles(&self) -> &Consoles {
        &self.0.consoles
    }
    pub(crate) fn options(&self) -> &Options {
        &self.0.options
    }
}

/// The router, to be nested at [`Options::public_prefix`] behind the authentication layer.
pub fn router(api: Api) -> Router {
    let inner = web::router(FaultShape::Compute, routes::routes(), api.clone());
    Router::new().fallback(negotiate::enter).with_state(negotiate::Door { inner, api })
}

/// The routes without their handlers, for generated documents.
pub fn route_infos() -> Vec<RouteInfo> {
    routes::routes().into_iter().map(|r| r.info).collect()
}
