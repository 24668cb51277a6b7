//! What the image service refuses or fails at. Texts are Glance's own where it has one, and safe to show.

use axum::http::StatusCode;
use std::io::ErrorKind as Io;
use uuid::Uuid;
use web::Fault;

/// Why a call of the image service came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is none, or the caller may not know of it.
    #[error("{0}")]
    NotFound(String),
    /// The caller may know of it but not do this.
    #[error("{0}")]
    Forbidden(String),
    /// The request is wrong; names the field.
    #[error("{0}")]
    Invalid(String),
    /// The image's state forbids it.
    #[error("{0}")]
    Conflict(String),
    /// It was deleted while its bytes came.
    #[error("{0}")]
    Gone(String),
    /// A limit is passed.
    #[error("{0}")]
    TooLarge(String),
    /// The bytes are not what was declared, or not harmless.
    #[error("Image data is not acceptable: {0}.")]
    Refused(#[from] imagefmt::Refusal),
    /// The content type is not the one the call takes.
    #[error("{0}")]
    ContentType(String),
    /// The sender stopped before the end.
    #[error("{0}")]
    Incomplete(String),
    /// The database.
    #[error("the database refused")]
    Store(#[from] store::Error),
    /// The disk; `doing` names no path.
    #[error("the image store failed {doing}")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// No such image, for this caller.
    pub fn no_image(id: impl std::fmt::Display) -> Error {
        Error::NotFound(format!("No image found with ID {id}"))
    }
    /// The caller sees the image but lacks the right named by Glance's policy.
    pub(crate) fn denied(policy: &str) -> Error {
        Error::Forbidden(format!("You are not authorized to complete {policy} action."))
    }
    pub(crate) fn gone(id: Uuid) -> Error {
        Error::Gone(format!(
            "Image {id} could not be found after upload. The image may have been deleted during the upload, cleaning up \
             the chunks uploaded."
        ))
    }
    pub(crate) fn disk(doing: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        move |source| match source.kind() {
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => Error::TooLarge(
                "Image storage media is full: There is not enough disk space on the image storage media.".into(),
            ),
            _ => Error::Disk { doing, source },
        }
    }
    /// An error of ours that ended a unit of the database comes out as itself.
    pub(crate) fn from_unit(e: store::Error) -> Error {
        match e.aborted_as::<Error>() {
            Ok(own) => own,
            Err(other) => Error::Store(other),
        }
    }
}

impl From<Error> for Fault {
    fn from(e: Error) -> Fault {
        let message = e.to_string();
        match e {
            Error::NotFound(_) => Fault::not_found(message),
            Error::Forbidden(_) => Fault::forbidden(message),
            Error::Invalid(_) | Error::Incomplete(_) => Fault::bad_request(message),
            Error::Conflict(_) => Fault::conflict(message),
            Error::Gone(_) => Fault::new(StatusCode::GONE, message),
            Error::TooLarge(_) => Fault::too_large(message),
            Error::Refused(_) | Error::ContentType(_) => Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message),
            Error::Store(e) => e.into(),
            Error::Disk { doing, source } => Fault::internal(format!("{doing}: {source}")),
        }
    }
}

/// What a driver is told.
impl From<Error> for driver_api::Error {
    fn from(e: Error) -> driver_api::Error {
        use driver_api::ErrorKind as Kind;
        let kind = match &e {
            Error::NotFound(_) | Error::Gone(_) => Kind::NotFound,
            Error::TooLarge(_) => Kind::NoCapacity,
            Error::Refused(_) | Error::Invalid(_) => Kind::InvalidSpec,
            Error::Conflict(_) => Kind::Busy,
            Error::Forbidden(_) => Kind::Denied,
            Error::Store(_) => Kind::Unreachable,
            Error::ContentType(_) | Error::Incomplete(_) | Error::Disk { .. } => Kind::Internal,
        };
        let error = driver_api::Error::new(kind, e.to_string());
        match std::error::Error::source(&e) {
            Some(source) => error.detail(source),
            None => error,
        }
    }
}
