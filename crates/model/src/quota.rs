//! Quotas: limits and what is used of them.
//!
//! Counted resources (`instances`, `cores`, `ram`, ports, networks …) keep a row of use that is changed by guarded
//! updates in the transaction that makes or removes the thing; the rest are limits that a request is held against.

use serde::{Deserialize, Serialize};

/// A limited resource with its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resource {
    /// Name in the database: Nova's or Neutron's own.
    pub name: &'static str,
    /// Limit where none is set; -1 is unlimited.
    pub default: i64,
    /// A row of use exists.
    pub counted: bool,
}

const fn counted(name: &'static str, default: i64) -> Resource {
    Resource { name, default, counted: true }
}
const fn limit(name: &'static str, default: i64) -> Resource {
    Resource { name, default, counted: false }
}

/// Nova's resources with Nova's defaults (`nova/conf/quota.py`).
pub static COMPUTE: &[Resource] = &[
    counted("instances", 10),
    counted("cores", 20),
    counted("ram", 50 * 1024),
    limit("metadata_items", 128),
    limit("injected_files", 5),
    limit("injected_file_content_bytes", 10 * 1024),
    limit("injected_file_path_bytes", 255),
    limit("key_pairs", 100),
    counted("server_groups", 10),
    limit("server_group_members", 10),
];

/// Neutron's resources with Neutron's defaults (`neutron/conf/quota.py`).
pub static NETWORK: &[Resource] = &[
    counted("network", 100),
    counted("subnet", 100),
    counted("port", 500),
    counted("security_group", 10),
    counted("security_group_rule", 100),
    counted("router", 10),
    counted("floatingip", 50),
    counted("rbac_policy", 10),
    counted("subnetpool", -1),
];

/// Limit and use of one resource of one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Resource name.
    pub resource: String,
    /// Limit; -1 is unlimited.
    pub limit: i64,
    /// In use.
    pub used: i64,
}
