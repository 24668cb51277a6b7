//! Our own client of libvirt's RPC: no libvirt library is linked, nothing blocks, nothing panics on what the daemon sends.
//!
//! Numbers of procedures and layouts of structures are facts read from libvirt's `remote_protocol.x`, `virnetprotocol.x`
//! and `virterror.h`; they are stable since every libvirt client of the last ten years relies on them.

pub mod address;
pub mod calls;
pub mod client;
pub mod frame;
pub mod graphics;
pub mod stream;
pub mod xdr;

use frame::RemoteError;
use xdr::XdrError;

/// A call that failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The daemon cannot be reached or the connection broke.
    #[error("connection to libvirt: {0}")]
    Connection(String),
    /// The daemon refuses us.
    #[error("libvirt refuses the connection: {0}")]
    Auth(String),
    /// The daemon sent what we do not understand.
    #[error("libvirt sent a message that does not decode: {0}")]
    Decode(#[from] XdrError),
    /// No answer in time.
    #[error("libvirt did not answer within {0} s")]
    TimedOut(u64),
    /// The daemon answered with an error.
    #[error("libvirt error {}: {}", .0.code, .0.message)]
    Remote(RemoteError),
}

/// Result of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Numbers of libvirt's errors that we tell apart.
pub mod code {
    /// Out of memory.
    pub const NO_MEMORY: i32 = 2;
    /// The driver cannot.
    pub const NO_SUPPORT: i32 = 3;
    /// An argument is wrong.
    pub const INVALID_ARG: i32 = 8;
    /// The hypervisor failed.
    pub const OPERATION_FAILED: i32 = 9;
    /// The description is not well formed.
    pub const XML_ERROR: i32 = 27;
    /// A domain of that name exists.
    pub const DOM_EXIST: i32 = 28;
    /// Read-only connection.
    pub const OPERATION_DENIED: i32 = 29;
    /// A detail of a description is wrong.
    pub const XML_DETAIL: i32 = 35;
    /// No such domain.
    pub const NO_DOMAIN: i32 = 42;
    /// Authentication failed.
    pub const AUTH_FAILED: i32 = 45;
    /// Not in this state of the domain.
    pub const OPERATION_INVALID: i32 = 55;
    /// The description asks for what this hypervisor has not.
    pub const CONFIG_UNSUPPORTED: i32 = 67;
    /// Another job holds the domain.
    pub const OPERATION_TIMEOUT: i32 = 68;
    /// A job was aborted.
    pub const OPERATION_ABORTED: i32 = 78;
    /// The domain has no such metadata.
    pub const NO_DOMAIN_METADATA: i32 = 80;
    /// In use.
    pub const RESOURCE_BUSY: i32 = 87;
    /// Denied by policy.
    pub const ACCESS_DENIED: i32 = 88;
    /// No way to authenticate.
    pub const AUTH_UNAVAILABLE: i32 = 94;
}

impl Error {
    /// Whether the daemon answered with the error `code`.
    pub fn is(&self, code: i32) -> bool {
        matches!(self, Error::Remote(e) if e.code == code)
    }
}
