//! Why the conductor refuses. The doors map each to a status; texts are for users.

use model::actions::Refusal;
use uuid::Uuid;

/// A refusal, before anything is stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such server (or not the caller's).
    #[error("Instance {0} could not be found.")]
    NoServer(Uuid),
    /// State, task or lock does not admit the action.
    #[error("{message}")]
    State {
        /// Why.
        refusal: Refusal,
        /// Nova's sentence.
        message: String,
    },
    /// The host's driver cannot.
    #[error("Driver {driver} of host {host} cannot {action}; servers on a host with the facet {facet} can.")]
    NoFacet {
        /// Driver's name.
        driver: String,
        /// Host.
        host: String,
        /// Action's word.
        action: String,
        /// Missing facet.
        facet: String,
    },
    /// A quota does not admit it.
    #[error("Quota exceeded for {resources}: Requested {requested}, but already used {used} of {limit} {resources}")]
    Quota {
        /// Resource names.
        resources: String,
        /// Asked for.
        requested: String,
        /// In use.
        used: String,
        /// Limit.
        limit: String,
    },
    /// A limit that is said in Nova's own sentence.
    #[error("{0}")]
    Limit(String),
    /// The request itself is wrong.
    #[error("{0}")]
    Invalid(String),
    /// It contradicts what is.
    #[error("{0}")]
    Conflict(String),
    /// The host does not answer.
    #[error("Host {host} is down: {reason}")]
    HostDown {
        /// Host.
        host: String,
        /// Why.
        reason: String,
    },
    /// Another controller holds the host, and this cannot be asked of it from here.
    #[error("Host {host} is held by controller {controller}; ask there.")]
    Elsewhere {
        /// Host.
        host: String,
        /// Controller's name.
        controller: String,
    },
    /// The network service refused.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// The host answered with an error (synchronous reads).
    #[error("{0}")]
    Driver(#[from] driver_api::Error),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
}
