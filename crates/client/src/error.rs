//! What can go wrong between us and a cloud.

/// A call that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cloud cannot be reached.
    #[error("{url} does not answer: {reason}")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// The cloud refused; its own words.
    #[error("{message} (HTTP {status})")]
    Refused {
        /// Status.
        status: u16,
        /// What it said.
        message: String,
        /// Its id of the request, for its log.
        request_id: Option<String>,
    },
    /// The answer is not what the API says.
    #[error("{url} gave an answer that cannot be read: {reason}")]
    Malformed {
        /// Where.
        url: String,
        /// Why.
        reason: String,
    },
    /// Nothing, or too much, is called so.
    #[error("{0}")]
    Name(String),
    /// The catalog has no such service.
    #[error("the cloud's catalog has no service of type {0}")]
    NoService(String),
    /// A local file.
    #[error("{path}: {reason}")]
    File {
        /// Which.
        path: String,
        /// Why.
        reason: String,
    },
}

impl Error {
    /// The cloud said that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Refused { status: 404, .. })
    }
    /// Nobody answers there.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Error::Unreachable { .. })
    }
}
