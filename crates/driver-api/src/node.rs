//! What a host offers: one record a node, the source of its resource provider.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One schedulable node of a driver. Most drivers have one, named like the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Name, unique within the driver (`hypervisor_hostname`).
    pub name: String,
    /// `hypervisor_type` as Nova reports it: `QEMU`, `docker`, `fake`, …
    pub hypervisor_type: String,
    /// `hypervisor_version` as Nova encodes it (7.2.3 is 7002003).
    pub hypervisor_version: u64,
    /// Address of the host, where known.
    pub host_ip: Option<String>,
    /// Physical CPUs offered.
    pub vcpus: u64,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Disk, GiB.
    pub disk_gib: u64,
    /// Times a physical CPU may be promised (`cpu_allocation_ratio`).
    pub cpu_ratio: f64,
    /// Times memory may be promised.
    pub memory_ratio: f64,
    /// Times disk may be promised.
    pub disk_ratio: f64,
    /// Kept back from guests: vcpus.
    pub reserved_vcpus: u64,
    /// Kept back from guests: MiB.
    pub reserved_memory_mib: u64,
    /// Kept back from guests: GiB.
    pub reserved_disk_gib: u64,
    /// Resource classes beyond the three above, such as `CUSTOM_BAREMETAL_GOLD` → total.
    pub custom_inventory: BTreeMap<String, u64>,
    /// Placement traits of the hardware (those of the facets are derived).
    pub traits: Vec<String>,
    /// `cpu_info` of `os-hypervisors`, a JSON object.
    pub cpu_info: serde_json::Value,
    /// Seconds since the host booted, where known.
    pub uptime_seconds: Option<u64>,
}
