//! A flavor.

use driver_api::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One flavor (table `flavors`; extra specs and access lists are JSON columns).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Flavor {
    /// `flavorid` that users see; unique.
    pub id: String,
    /// Name; unique.
    pub name: String,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Root disk, GiB.
    pub root_gib: u64,
    /// Ephemeral disk, GiB.
    pub ephemeral_gib: u64,
    /// Swap, MiB.
    pub swap_mib: u64,
    /// `rxtx_factor`.
    pub rxtx_factor: f64,
    /// Visible to all projects.
    pub is_public: bool,
    /// Projects that may use it when it is not public, sorted.
    pub access: Vec<String>,
    /// Disabled (never shown otherwise than false by the API).
    pub disabled: bool,
    /// Description (microversion 2.55).
    pub description: Option<String>,
    /// Extra specs.
    pub extra_specs: BTreeMap<String, String>,
    /// Made at.
    pub created_at: Timestamp,
}

impl Flavor {
    /// May `project` use it?
    pub fn usable_by(&self, project: &str, admin: bool) -> bool {
        self.is_public || admin || self.access.iter().any(|p| p == project)
    }
    /// The copy that a server keeps.
    pub fn snapshot(&self) -> crate::server::FlavorSnapshot {
        crate::server::FlavorSnapshot {
            id: self.id.clone(),
            name: self.name.clone(),
            vcpus: self.vcpus,
            memory_mib: self.memory_mib,
            root_gib: self.root_gib,
            ephemeral_gib: self.ephemeral_gib,
            swap_mib: self.swap_mib,
            extra_specs: self.extra_specs.clone(),
        }
    }
}
