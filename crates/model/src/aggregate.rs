//! Host aggregates; one with metadata `availability_zone` makes a zone.

use driver_api::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Zone of hosts in no aggregate with a zone (Nova's `default_availability_zone`).
pub const DEFAULT_ZONE: &str = "nova";

/// One aggregate (table `aggregates`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Aggregate {
    /// Number, as the API shows it.
    pub id: i64,
    /// Identity (microversion 2.41).
    pub uuid: Uuid,
    /// Name; unique.
    pub name: String,
    /// Hosts, sorted.
    pub hosts: Vec<String>,
    /// Metadata; `availability_zone` among it.
    pub metadata: BTreeMap<String, String>,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Option<Timestamp>,
}

impl Aggregate {
    /// The zone it makes.
    pub fn zone(&self) -> Option<&str> {
        self.metadata.get("availability_zone").map(String::as_str)
    }
}

/// Zone of `host`.
pub fn zone_of<'a>(host: &str, aggregates: &'a [Aggregate]) -> &'a str {
    aggregates
        .iter()
        .find_map(|a| a.zone().filter(|_| a.hosts.iter().any(|h| h == host)))
        .unwrap_or(DEFAULT_ZONE)
}
