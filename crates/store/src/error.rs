//! What can go wrong with a unit. Never carries parameter values: they may be secrets.

/// A unit that did not happen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing of that identity is stored (or the caller may not see it).
    #[error("no {what} {id}")]
    NotFound {
        /// Kind of the thing, in the singular: `server`, `flavor`.
        what: &'static str,
        /// The identity asked for.
        id: String,
    },
    /// A uniqueness rule, a reference or a guard of an update refused it; the text names which.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The database stayed locked, or the unit lost every race; it may be tried again.
    #[error("the database is busy")]
    Busy,
    /// What is stored cannot be read as what it should be.
    #[error("corrupt {what}: {detail}")]
    Corrupt {
        /// Column, record or file.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The database cannot be reached or cannot write.
    #[error("database unavailable: {0}")]
    Unavailable(String),
    /// The statement is wrong: a bug of ours.
    #[error("SQL: {0}")]
    Sql(String),
    /// The unit itself gave up with an error of its own; see [`Error::abort`].
    #[error(transparent)]
    Aborted(Box<dyn std::error::Error + Send + Sync>),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Nothing of kind `what` with identity `id`.
    pub fn not_found(what: &'static str, id: impl std::fmt::Display) -> Error {
        Error::NotFound { what, id: id.to_string() }
    }
    /// What is stored under `what` cannot be read.
    pub fn corrupt(what: impl Into<String>, detail: impl std::fmt::Display) -> Error {
        Error::Corrupt { what: what.into(), detail: detail.to_string() }
    }
    /// Ends a unit with the caller's own error (or a text): everything it wrote is rolled back, and the
    /// caller takes it out again with [`Error::aborted_as`].
    pub fn abort(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Aborted(cause.into())
    }
    /// The caller's own error, if the unit was ended with one of this type.
    pub fn aborted_as<E: std::error::Error + 'static>(self) -> std::result::Result<E, Error> {
        match self {
            Error::Aborted(cause) => match cause.downcast::<E>() {
                Ok(own) => Ok(*own),
                Err(other) => Err(Error::Aborted(other)),
            },
            other => Err(other),
        }
    }
}
