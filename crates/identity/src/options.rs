//! What an operator may set.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Options of the identity service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Life of a token, seconds (Keystone's `[token] expiration`).
    pub token_expiration: u64,
    /// Path under which the server mounts this service.
    pub public_prefix: String,
    /// Scheme and authority for links and the catalogue (`https://cloud.example:8774`); if absent, what the client used.
    pub public_origin: Option<String>,
    /// Region of the built-in endpoints.
    pub region: String,
    /// Services of this process, for the catalogue.
    pub services: Vec<BuiltIn>,
    /// Cost of a password hash.
    pub hashing: Hashing,
    /// Failed logins that an address may have in a minute; 0 is any number. (Nothing of the original's.)
    pub failed_logins: u32,
    /// Failed logins after which an account is closed; 0 never (Keystone's `[security_compliance]`).
    pub lockout_failure_attempts: u32,
    /// For how long, seconds.
    pub lockout_duration: u64,
    /// Hashes on the calling thread: for simulations, whose order of events must not depend on a second thread.
    #[serde(skip)]
    pub inline: bool,
}

/// A service of this process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuiltIn {
    /// Type in the catalogue.
    pub kind: String,
    /// Name in the catalogue.
    pub name: String,
    /// Path of its endpoint, from the root of the server.
    pub path: String,
}

/// Argon2id parameters. The defaults are the least that OWASP advises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hashing {
    /// Memory, KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
    /// Hashes computed at once; 0 is one per processor.
    pub parallel: usize,
    /// How long a password that was right is known to be right, seconds; 0 hashes at each login.
    pub remember: u64,
}

impl Default for Hashing {
    fn default() -> Hashing {
        Hashing { memory_kib: 19 * 1024, passes: 2, parallel: 0, remember: 60 }
    }
}

impl Default for Options {
    fn default() -> Options {
        let built_in =
            |kind: &str, name: &str, path: &str| BuiltIn { kind: kind.into(), name: name.into(), path: path.into() };
        Options {
            token_expiration: 3600,
            public_prefix: "/identity".into(),
            public_origin: None,
            region: "RegionOne".into(),
            services: vec![
                built_in("compute", "nova", "/compute/v2.1"),
                built_in("identity", "keystone", "/identity"),
                built_in("image", "glance", "/image"),
                built_in("network", "neutron", "/network"),
                built_in("placement", "placement", "/placement"),
            ],
            hashing: Hashing::default(),
            failed_logins: 64,
            lockout_failure_attempts: 0,
            lockout_duration: 1800,
            inline: false,
        }
    }
}

impl Options {
    pub(crate) fn token_life(&self) -> Duration {
        Duration::from_secs(self.token_expiration)
    }
}
