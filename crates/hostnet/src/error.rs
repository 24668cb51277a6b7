//! What can go wrong on a host's network.

use uuid::Uuid;

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program refused; its own words.
    #[error("{program} failed: {message}")]
    Command {
        /// Program and its purpose.
        program: String,
        /// Standard error.
        message: String,
    },
    /// A file, socket or process.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// What a program printed is not what it prints.
    #[error("{program} printed something else than expected")]
    Output {
        /// Program and its purpose.
        program: String,
        /// Where it differs.
        source: serde_json::Error,
    },
    /// Another agent wires guests in this network namespace; two would undo each other's work.
    #[error("another Kilonova wires guests in network namespace {0:?}")]
    InUse(String),
    /// The network namespace of the host is not there.
    #[error("there is no network namespace {0:?} in /run/netns")]
    NoNamespace(String),
    /// A port cannot be wired as described.
    #[error("port {port}: {reason}")]
    BadPort {
        /// Which port.
        port: Uuid,
        /// Why.
        reason: String,
    },
    /// A network cannot be made on this host.
    #[error("network {network}: {reason}")]
    BadNetwork {
        /// Which network.
        network: Uuid,
        /// Why.
        reason: String,
    },
    /// The interface of a physical network is missing or used otherwise.
    #[error("physical network {physical_network:?}: {reason}")]
    Uplink {
        /// `provider:physical_network`.
        physical_network: String,
        /// Why.
        reason: String,
    },
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
        let what = what.into();
        move |source| Error::Io { what, source }
    }
}
