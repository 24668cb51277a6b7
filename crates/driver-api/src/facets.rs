//! The facets: small traits that are all or nothing, and [`FACETS`], the one list of them.
//!
//! From the list come the Placement traits of a host, its registration, the API's early refusal, the choice of
//! trials in the conformance kit and the printed support matrix.

use crate::{ComputeDriver, InstanceSpec, Observed, Op, Result};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use uuid::Uuid;

/// Stop the guest's CPUs, keep its memory (`pause`, `unpause`).
#[async_trait]
pub trait Pause: Send + Sync {
    /// Pauses; a paused guest stays paused.
    async fn pause(&self, instance: Uuid, op: &Op) -> Result<Observed>;
    /// Continues; a running guest stays running.
    async fn unpause(&self, instance: Uuid, op: &Op) -> Result<Observed>;
}

/// Memory to disk and back (`suspend`, `resume`).
#[async_trait]
pub trait Suspend: Send + Sync {
    /// Suspends; a suspended guest stays so.
    async fn suspend(&self, instance: Uuid, op: &Op) -> Result<Observed>;
    /// Resumes; a running guest stays running.
    async fn resume(&self, spec: &InstanceSpec, op: &Op) -> Result<Observed>;
}

/// Kinds of interactive console.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConsoleKind {
    /// RFB.
    Vnc,
    /// A serial line.
    Serial,
}

/// Both directions of an open console.
pub struct ConsoleStream {
    /// From the guest.
    pub reader: Box<dyn AsyncRead + Send + Unpin>,
    /// To the guest.
    pub writer: Box<dyn AsyncWrite + Send + Unpin>,
}

/// Interactive consoles (`get_vnc_console`, `get_serial_console`): a stream, never an address to dial.
#[async_trait]
pub trait Console: Send + Sync {
    /// Kinds this driver offers.
    fn kinds(&self) -> Vec<ConsoleKind>;
    /// Opens a console of a running guest.
    async fn open_console(&self, instance: Uuid, kind: ConsoleKind) -> Result<ConsoleStream>;
}

/// What the guest wrote on its console (`get_console_output`).
#[async_trait]
pub trait ConsoleLog: Send + Sync {
    /// The last `lines` lines, all that is kept if `None`; raw bytes, at most 1 MiB.
    async fn console_log(&self, instance: Uuid, lines: Option<u32>) -> Result<Vec<u8>>;
}

/// Counters of one disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticDisk {
    /// Device in the guest.
    pub device: String,
    /// Bytes read.
    pub read_bytes: u64,
    /// Reads.
    pub read_requests: u64,
    /// Bytes written.
    pub write_bytes: u64,
    /// Writes.
    pub write_requests: u64,
}

/// Counters of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticNic {
    /// MAC address.
    pub mac: String,
    /// Bytes received by the guest.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Packets dropped on receive.
    pub rx_drop: u64,
    /// Errors on receive.
    pub rx_errors: u64,
    /// Bytes sent by the guest.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Packets dropped on send.
    pub tx_drop: u64,
    /// Errors on send.
    pub tx_errors: u64,
}

/// Nova's standard diagnostics (microversion 2.48).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiagnosticsReport {
    /// `running`, `paused`, `shutdown`, `crashed`, `suspended`, `pending`.
    pub state: String,
    /// Driver's name, as Nova's field allows (`libvirt`, `fake`, …).
    pub driver: String,
    /// Hypervisor (`qemu`, …).
    pub hypervisor: String,
    /// Operating system of the hypervisor (`linux`).
    pub hypervisor_os: String,
    /// Seconds since the guest started.
    pub uptime: Option<u64>,
    /// CPU time of each virtual CPU, ns.
    pub cpu_time_ns: Vec<u64>,
    /// Memory given, MiB.
    pub memory_max_mib: u64,
    /// Memory in use, MiB.
    pub memory_used_mib: Option<u64>,
    /// Disks.
    pub disks: Vec<DiagnosticDisk>,
    /// Interfaces.
    pub nics: Vec<DiagnosticNic>,
    /// A config drive is attached.
    pub config_drive: bool,
}

/// Diagnostics of a guest (`get_instance_diagnostics`).
#[async_trait]
pub trait Diagnostics: Send + Sync {
    /// Counters now.
    async fn diagnostics(&self, instance: Uuid) -> Result<DiagnosticsReport>;
}

/// What a snapshot yielded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotResult {
    /// Format of the bytes uploaded.
    pub format: crate::DiskFormat,
    /// Bytes uploaded.
    pub size: u64,
}

/// Root disk to an image (`snapshot`).
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// Copies the root disk at one instant into the queued image `image`; the guest's state is as before.
    async fn snapshot(&self, spec: &InstanceSpec, image: Uuid, op: &Op) -> Result<SnapshotResult>;
}

/// One facet: its name, whether a driver has it, and what Placement is told.
pub struct Facet {
    /// Name, as `ACTIONS` and the support matrix use it.
    pub name: &'static str,
    /// Whether this driver has it.
    pub present: fn(&dyn ComputeDriver) -> bool,
    /// Traits that follow from it (names of os-traits where one exists).
    pub traits: fn(&dyn ComputeDriver) -> Vec<&'static str>,
}

/// Every facet of this protocol.
pub static FACETS: &[Facet] = &[
    Facet { name: "pause", present: |d| d.as_pause().is_some(), traits: |_| vec!["CUSTOM_COMPUTE_PAUSE"] },
    Facet { name: "suspend", present: |d| d.as_suspend().is_some(), traits: |_| vec!["CUSTOM_COMPUTE_SUSPEND"] },
    Facet { name: "console", present: |d| d.as_console().is_some(), traits: console_traits },
    Facet { name: "console_log", present: |d| d.as_console_log().is_some(), traits: |_| vec![] },
    Facet { name: "diagnostics", present: |d| d.as_diagnostics().is_some(), traits: |_| vec![] },
    Facet { name: "snapshot", present: |d| d.as_snapshot().is_some(), traits: |_| vec!["CUSTOM_COMPUTE_SNAPSHOT"] },
];

fn console_traits(driver: &dyn ComputeDriver) -> Vec<&'static str> {
    let kinds = driver.as_console().map(|c| c.kinds()).unwrap_or_default();
    let mut traits = Vec::new();
    if kinds.contains(&ConsoleKind::Vnc) {
        traits.push("COMPUTE_GRAPHICS_MODEL_VNC");
    }
    if kinds.contains(&ConsoleKind::Serial) {
        traits.push("CUSTOM_COMPUTE_SERIAL_CONSOLE");
    }
    traits
}

/// Names of the facets that `driver` has.
pub fn facets_of(driver: &dyn ComputeDriver) -> Vec<&'static str> {
    FACETS.iter().filter(|f| (f.present)(driver)).map(|f| f.name).collect()
}

/// Traits that follow from the facets that `driver` has and from the image formats it boots.
pub fn traits_of(driver: &dyn ComputeDriver) -> Vec<String> {
    let mut out: Vec<String> = FACETS
        .iter()
        .filter(|f| (f.present)(driver))
        .flat_map(|f| (f.traits)(driver))
        .map(str::to_owned)
        .collect();
    for format in driver.info().image_formats {
        out.push(format!("COMPUTE_IMAGE_TYPE_{}", format.as_str().to_uppercase()));
    }
    out.sort();
    out.dedup();
    out
}
