//! What libvirt's errors mean to the platform.
//!
//! The tenant's sentence never repeats the daemon's text, which may name paths and addresses of the host; that goes to
//! `detail`, for the operator.

use crate::rpc::{self, code};
use driver_api::{Error, ErrorKind};

/// The contract's error for a failed call.
pub(crate) fn from_rpc(e: rpc::Error) -> Error {
    let (kind, message) = match &e {
        rpc::Error::Connection(_) => (ErrorKind::Unreachable, "the hypervisor is not reachable"),
        rpc::Error::Auth(_) => (ErrorKind::Denied, "the hypervisor refuses this service"),
        rpc::Error::Decode(_) => (ErrorKind::Internal, "the hypervisor's answer was not understood"),
        rpc::Error::TimedOut(_) => (ErrorKind::TimedOut, "the hypervisor did not answer in time"),
        rpc::Error::Remote(r) => remote(r.code, &r.message),
    };
    Error::new(kind, message).detail(e)
}

fn remote(number: i32, text: &str) -> (ErrorKind, &'static str) {
    if text.contains("No space left")
        || text.contains("Cannot allocate memory")
        || text.contains("cannot set up guest memory")
    {
        return (ErrorKind::NoCapacity, "the host has no room for the guest");
    }
    match number {
        code::NO_DOMAIN => (ErrorKind::NotFound, "the guest is not on this host"),
        code::DOM_EXIST => (ErrorKind::AlreadyExists, "a guest of that name is on this host already"),
        code::OPERATION_TIMEOUT | code::RESOURCE_BUSY => (ErrorKind::Busy, "the hypervisor is at work on this guest"),
        code::NO_MEMORY => (ErrorKind::NoCapacity, "the host has no room for the guest"),
        code::OPERATION_DENIED | code::ACCESS_DENIED | code::AUTH_FAILED | code::AUTH_UNAVAILABLE => {
            (ErrorKind::Denied, "the hypervisor refuses this service")
        }
        code::CONFIG_UNSUPPORTED | code::NO_SUPPORT | code::XML_ERROR | code::XML_DETAIL => {
            (ErrorKind::UnsupportedSpec, "this hypervisor cannot run a guest so specified")
        }
        _ => (ErrorKind::Internal, "the hypervisor failed"),
    }
}

/// An I/O failure on the host, told to the tenant as `what` failing.
pub(crate) fn io(what: &str, e: &std::io::Error) -> Error {
    let kind = match e.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::NoCapacity,
        std::io::ErrorKind::PermissionDenied => ErrorKind::Denied,
        _ => ErrorKind::Internal,
    };
    Error::new(kind, format!("{what} failed on the host")).detail(e)
}

/// The guest is in no state for this.
pub(crate) fn wrong_state(verb: &str, state: &str) -> Error {
    Error::new(ErrorKind::InvalidSpec, format!("a guest that is {state} cannot be {verb}"))
}
