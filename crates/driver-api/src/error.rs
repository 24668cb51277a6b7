//! The one error of the contract. What to do about it is [`ErrorKind::advice`] and nothing else.

use serde::{Deserialize, Serialize};

/// What went wrong, as far as the platform must tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The guest (or what was named) is not there.
    NotFound,
    /// Something of that identity is there already and is not ours to take.
    AlreadyExists,
    /// The backend is at work on the same guest; the call may be made again.
    Busy,
    /// The specification is wrong whoever would run it.
    InvalidSpec,
    /// The specification is right but this backend cannot do it.
    UnsupportedSpec,
    /// The host has no room.
    NoCapacity,
    /// The backend does not answer.
    Unreachable,
    /// The deadline passed; the effect may or may not have happened.
    TimedOut,
    /// The operation was cancelled on request.
    Cancelled,
    /// The backend refused us.
    Denied,
    /// Anything else.
    Internal,
}

/// What the caller may do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Undo here, then try another host.
    Reschedule,
    /// The same call may succeed on the same host later.
    Retry,
    /// No repetition helps.
    Stop,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [ErrorKind; 11] = [
        ErrorKind::NotFound,
        ErrorKind::AlreadyExists,
        ErrorKind::Busy,
        ErrorKind::InvalidSpec,
        ErrorKind::UnsupportedSpec,
        ErrorKind::NoCapacity,
        ErrorKind::Unreachable,
        ErrorKind::TimedOut,
        ErrorKind::Cancelled,
        ErrorKind::Denied,
        ErrorKind::Internal,
    ];
    /// What the conductor does about an error of this kind.
    pub fn advice(self) -> Advice {
        match self {
            ErrorKind::Busy => Advice::Retry,
            ErrorKind::UnsupportedSpec
            | ErrorKind::NoCapacity
            | ErrorKind::Unreachable
            | ErrorKind::TimedOut
            | ErrorKind::Internal => Advice::Reschedule,
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::InvalidSpec
            | ErrorKind::Cancelled
            | ErrorKind::Denied => Advice::Stop,
        }
    }
}

/// A failed operation. `message` is safe to show to a tenant; `detail` is for the operator's log.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Class of the failure.
    pub kind: ErrorKind,
    /// One sentence without secrets, paths or addresses of the host.
    pub message: String,
    /// What the backend said, for the log.
    pub detail: Option<String>,
}

/// Result of the contract.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` with a message that a tenant may read.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), detail: None }
    }
    /// The same error with what the backend said, for the operator.
    #[must_use]
    pub fn detail(mut self, detail: impl std::fmt::Display) -> Error {
        self.detail = Some(detail.to_string());
        self
    }
    /// The guest `id` is not on this host.
    pub fn no_instance(id: uuid::Uuid) -> Error {
        Error::new(ErrorKind::NotFound, format!("instance {id} is not on this host"))
    }
    /// An internal failure: `message` for the tenant, `detail` for the log.
    pub fn internal(message: impl Into<String>, detail: impl std::fmt::Display) -> Error {
        Error::new(ErrorKind::Internal, message).detail(detail)
    }
}
