//! What a host says by itself.

use driver_api::{DriverEvent, DriverInfo, Node};
use serde::{Deserialize, Serialize};

/// What a host offers; sent when it comes up and whenever it changes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// The driver.
    pub driver: DriverInfo,
    /// Facets it has.
    pub facets: Vec<String>,
    /// Traits: the hardware's and those of the facets.
    pub traits: Vec<String>,
    /// Nodes with their inventory.
    pub nodes: Vec<Node>,
    /// Tunnel endpoint for networks that span hosts.
    pub vtep: Option<std::net::IpAddr>,
    /// The host wires ports itself (false: `networks: none` only, or the backend owns the network).
    pub networking: bool,
}

/// A report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum HostReport {
    /// The backend answers; this is what it offers. The control plane answers with `Call::Sync`.
    Up(Box<Registration>),
    /// The backend does not answer; why, and what to do about it.
    Down {
        /// One sentence for operators.
        reason: String,
    },
    /// A guest changed by itself.
    Event(DriverEvent),
    /// A guest posted its encrypted password, which it may do once. The answer is a `Call::Refresh` that has it.
    Password {
        /// Which.
        instance: uuid::Uuid,
        /// As it was posted.
        password: guestdata::Secret,
    },
}
