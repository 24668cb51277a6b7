//! What went wrong with a server, as its owner reads it.

use driver_api::Timestamp;
use serde::{Deserialize, Serialize};

/// The `fault` of a server. `message` is safe for the tenant, `details` for admins only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerFault {
    /// HTTP-like code, as Nova stores it.
    pub code: u16,
    /// One sentence.
    pub message: String,
    /// More, for administrators.
    pub details: Option<String>,
    /// When.
    pub created_at: Timestamp,
}
