//! What the identity service refuses, and how that looks to a client.

use axum::http::StatusCode;
use web::Fault;

/// A refusal or failure. No text holds a password, a secret or a token.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request cannot be understood; the text names the field.
    #[error("{0}")]
    Invalid(String),
    /// Nobody, or not the one claimed. One text for every cause, so that nothing can be learned from it.
    #[error("The request you have made requires authentication: the user, its secret or the scope is not valid.")]
    Unauthorized,
    /// A login that lacks something which may be told.
    #[error("{0}")]
    Refused(String),
    /// Known, but not allowed to.
    #[error("You are not authorized to perform the requested action: {0}.")]
    Forbidden(String),
    /// There is no such thing.
    #[error("Could not find {what}: {id}.")]
    NotFound {
        /// Kind, in the singular.
        what: &'static str,
        /// As asked for.
        id: String,
    },
    /// It exists already.
    #[error("{0}")]
    Conflict(String),
    /// More logins wait than can be checked soon, or too many controllers change the directory at once.
    #[error("The identity service is busy; try again.")]
    Busy,
    /// Too many failures from one address.
    #[error("too many failed logins from one address; again after {0} s")]
    TooMany(u64),
    /// A thing of the original that is not built.
    #[error("{0} is not built in this release; see docs/compat.md.")]
    NotBuilt(&'static str),
    /// The hash function refused its parameters, or a worker thread died.
    #[error("password hashing failed: {0}")]
    Hashing(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// There is no `what` of that id.
    pub fn not_found(what: &'static str, id: impl Into<String>) -> Error {
        Error::NotFound { what, id: id.into() }
    }
    /// The field's value breaks a rule, in the original's words.
    pub fn field(field: &str, problem: impl std::fmt::Display) -> Error {
        Error::Invalid(format!("Invalid input for field '{field}': {problem}"))
    }
    /// A name is taken.
    pub fn duplicate(what: &str, detail: impl std::fmt::Display) -> Error {
        Error::Conflict(format!("Conflict occurred attempting to store {what} - {detail}."))
    }
}

impl From<Error> for Fault {
    fn from(e: Error) -> Fault {
        let status = match e {
            Error::Invalid(_) => StatusCode::BAD_REQUEST,
            Error::Unauthorized | Error::Refused(_) => StatusCode::UNAUTHORIZED,
            Error::Forbidden(_) => StatusCode::FORBIDDEN,
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::Conflict(_) => StatusCode::CONFLICT,
            Error::NotBuilt(_) => StatusCode::NOT_IMPLEMENTED,
            Error::TooMany(after) => return web::too_many_failures(after),
            Error::Busy => return Fault::unavailable(e.to_string()),
            Error::Hashing(_) => return Fault::internal(e),
            Error::Store(e) => return e.into(),
        };
        Fault::new(status, e.to_string())
    }
}
