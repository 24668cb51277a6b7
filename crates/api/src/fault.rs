//! Refusals of the floors below, as the Compute API says them.

use api_types::Invalid;
use axum::http::StatusCode;
use conductor::Error;
use driver_api::ErrorKind;
use web::Fault;

/// A body that was not understood: 400.
pub fn bad(e: Invalid) -> Fault {
    Fault::bad_request(e.0)
}

/// A refusal of the conductor. `action` is the word of the request, for Nova's sentence.
pub fn refused(e: Error) -> Fault {
    match e {
        Error::NoServer(id) => no_server(&id),
        Error::State { message, .. } | Error::Conflict(message) => Fault::conflict(message),
        e @ Error::NoFacet { .. } => Fault::new(StatusCode::NOT_IMPLEMENTED, e.to_string()),
        e @ Error::Quota { .. } => Fault::forbidden(e.to_string()),
        Error::Limit(message) => Fault::forbidden(message),
        Error::Invalid(message) => Fault::bad_request(message),
        e @ Error::HostDown { .. } => Fault::conflict(e.to_string()),
        e @ Error::Elsewhere { .. } => Fault::new(StatusCode::SERVICE_UNAVAILABLE, e.to_string()),
        Error::Network(e) => crate::outside::network_fault(e),
        Error::Driver(e) => driver(&e),
        Error::Store(e) => e.into(),
    }
}

/// What a host said to a synchronous read.
fn driver(e: &driver_api::Error) -> Fault {
    if let Some(detail) = &e.detail {
        tracing::warn!(%detail, kind = ?e.kind, "a host refused");
    }
    match e.kind {
        ErrorKind::NotFound => Fault::not_found(e.message.clone()),
        ErrorKind::UnsupportedSpec => Fault::new(StatusCode::NOT_IMPLEMENTED, e.message.clone()),
        ErrorKind::InvalidSpec => Fault::bad_request(e.message.clone()),
        ErrorKind::Internal | ErrorKind::Denied => Fault::internal(e),
        ErrorKind::AlreadyExists
        | ErrorKind::Busy
        | ErrorKind::NoCapacity
        | ErrorKind::Unreachable
        | ErrorKind::TimedOut
        | ErrorKind::Cancelled => Fault::conflict(e.message.clone()),
    }
}

/// Nova's sentence for a server that is not there or not the caller's.
pub fn no_server(id: &dyn std::fmt::Display) -> Fault {
    Fault::not_found(format!("Instance {id} could not be found."))
}
