//! Hypervisors: views.

use crate::services::ServiceId;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

/// Service of a hypervisor.
#[derive(Debug, Serialize)]
pub struct Service {
    /// Identity.
    pub id: ServiceId,
    /// Host.
    pub host: String,
    /// Why disabled.
    pub disabled_reason: Option<String>,
}

/// A server on a hypervisor.
#[derive(Debug, Serialize)]
pub struct Server {
    /// Name at the backend.
    pub name: String,
    /// Identity.
    pub uuid: Uuid,
}

/// A hypervisor.
#[derive(Debug, Serialize)]
pub struct View {
    /// Identity.
    pub id: ServiceId,
    /// Node.
    pub hypervisor_hostname: String,
    /// `up` or `down`.
    pub state: &'static str,
    /// `enabled` or `disabled`.
    pub status: &'static str,
    /// Details.
    #[serde(flatten)]
    pub detail: Option<Detail>,
    /// Servers, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers: Option<Vec<Server>>,
    /// How long the host is up; the inner `None` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Option<String>>,
}

/// Details.
#[derive(Debug, Serialize)]
pub struct Detail {
    /// `QEMU`, …
    pub hypervisor_type: String,
    /// Version as Nova encodes it.
    pub hypervisor_version: u64,
    /// Address.
    pub host_ip: Option<String>,
    /// Service.
    pub service: Service,
    /// Counters (until 2.87).
    #[serde(flatten)]
    pub counters: Option<Counters>,
    /// Processor: a text until 2.27, an object until 2.87.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_info: Option<Value>,
}

/// Counters of a hypervisor, or their sums.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Counters {
    /// CPUs.
    pub vcpus: u64,
    /// MiB.
    pub memory_mb: u64,
    /// GiB.
    pub local_gb: u64,
    /// CPUs promised.
    pub vcpus_used: u64,
    /// MiB promised.
    pub memory_mb_used: u64,
    /// GiB promised.
    pub local_gb_used: u64,
    /// MiB left.
    pub free_ram_mb: i64,
    /// GiB left.
    pub free_disk_gb: i64,
    /// Builds, snapshots and the like that run.
    pub current_workload: u64,
    /// Servers.
    pub running_vms: u64,
    /// GiB left at the least.
    pub disk_available_least: Option<i64>,
}
