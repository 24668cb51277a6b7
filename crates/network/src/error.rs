//! What the service refuses, in Neutron's words. Status codes are the router's business.

use store::quotas::Exceeded;

/// Why not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing of that id is there, or the caller may not know of it.
    #[error("{}", not_found(.what, .id))]
    NotFound {
        /// `Network`, `Subnet`, `Port`, `SecurityGroup`, `SecurityGroupRule`.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// The state of things does not admit it.
    #[error("{message}")]
    Conflict {
        /// Neutron's exception.
        kind: &'static str,
        /// What to tell the caller.
        message: String,
    },
    /// The request makes no sense.
    #[error("{message}")]
    Invalid {
        /// Neutron's exception.
        kind: &'static str,
        /// What to tell the caller.
        message: String,
    },
    /// Policy.
    #[error("{0}")]
    Forbidden(String),
    /// A limit of the project.
    #[error("Quota exceeded for resources: ['{}'].", .0.resource)]
    OverQuota(Exceeded),
    /// Not built in this release.
    #[error("{0} is not built in this release; see docs/compat.md.")]
    NotBuilt(String),
    /// The database.
    #[error(transparent)]
    Store(store::Error),
}

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn not_found(what: &str, id: &str) -> String {
    match what {
        "SecurityGroup" => format!("Security group {id} does not exist"),
        "SecurityGroupRule" => format!("Security group rule {id} does not exist"),
        _ => format!("{what} {id} could not be found."),
    }
}

impl Error {
    pub(crate) fn not_found(what: &'static str, id: impl std::fmt::Display) -> Error {
        Error::NotFound { what, id: id.to_string() }
    }
    pub(crate) fn conflict(kind: &'static str, message: impl Into<String>) -> Error {
        Error::Conflict { kind, message: message.into() }
    }
    pub(crate) fn invalid(kind: &'static str, message: impl Into<String>) -> Error {
        Error::Invalid { kind, message: message.into() }
    }
    /// Neutron's `InvalidInput`.
    pub(crate) fn input(message: impl std::fmt::Display) -> Error {
        Error::invalid("InvalidInput", format!("Invalid input for operation: {message}."))
    }
    /// As a unit of the store ends with it.
    pub fn into_store(self) -> store::Error {
        match self {
            Error::Store(e) => e,
            own => store::Error::abort(own),
        }
    }
}

impl From<store::Error> for Error {
    fn from(e: store::Error) -> Error {
        match e.aborted_as::<Error>() {
            Ok(own) => own,
            Err(e) => match e.aborted_as::<Exceeded>() {
                Ok(over) => Error::OverQuota(over),
                Err(e) => Error::Store(e),
            },
        }
    }
}
