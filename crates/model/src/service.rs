//! A compute host as the operator sees it (`os-services`, `os-hypervisors`). Liveness is in memory; the row keeps
//! what survives: identity, the operator's switch, and what the host last registered.

use driver_api::{Node, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One compute service (table `services`, one row a host).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Identity (microversion 2.53).
    pub id: Uuid,
    /// Number, before that.
    pub number: i64,
    /// Host name; unique.
    pub host: String,
    /// Driver's name.
    pub driver: String,
    /// Disabled by the operator: no new servers.
    pub disabled: bool,
    /// Why.
    pub disabled_reason: Option<String>,
    /// Forced down by the operator.
    pub forced_down: bool,
    /// Facets that the driver registered.
    pub facets: Vec<String>,
    /// Traits that it registered.
    pub traits: Vec<String>,
    /// Nodes as last registered; each has a resource provider of its id.
    pub nodes: Vec<(Uuid, Node)>,
    /// Registered at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}
