//! The trait that every driver implements, and the few types only it uses.

use crate::{
    Console, ConsoleLog, Diagnostics, EventStream, HostContext, InstanceSpec, Node, Observed, Op, Pause, Result,
    Snapshot, Suspend,
};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// What the backend does by itself, so that flows skip those steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owns {
    /// The backend makes and wires ports.
    pub network: bool,
    /// The backend keeps images.
    pub images: bool,
    /// The backend decides where guests run.
    pub placement: bool,
}

/// What a driver says about itself before anything starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverInfo {
    /// The driver's name in configuration: `fake`, `libvirt`, …
    pub name: String,
    /// Version of the driver.
    pub version: String,
    /// What its backend owns.
    pub owns: Owns,
    /// Image formats it can boot (`is_supported_fs_format` and `COMPUTE_IMAGE_TYPE_*`).
    pub image_formats: Vec<crate::DiskFormat>,
}

/// What `destroy` leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DestroyMode {
    /// Nothing of the guest remains.
    Everything,
    /// The guest's definition goes, its disks stay (rebuild on other hosts, evacuation).
    KeepDisks,
}

/// A power change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Start it.
    On,
    /// Stop it: ask the guest, and after `grace` pull the plug. Zero pulls at once.
    Off {
        /// How long the guest may take.
        grace: Duration,
    },
}

/// Kind of a reboot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RebootKind {
    /// Ask the guest; fall back to hard.
    Soft,
    /// Stop it, define it again from the specification, start it.
    Hard,
}

/// A compute driver.
///
/// Rules: every operation is idempotent, the same `op.id` again has the same effect once; `destroy` and
/// `power(Off)` of the absent or of the stopped succeed; if `spawn` fails, nothing of the guest remains;
/// the backend is the truth and `list` after a restart shows what ran; an operation whose `op.cancel` fires
/// returns soon with `Cancelled` and leaves what a repeated `destroy` removes.
#[async_trait]
pub trait ComputeDriver: Send + Sync {
    /// Connects to the backend. A backend that is down is no error of `start`: the driver goes on trying,
    /// reports `Unreachable` meanwhile, and sends `Connected` when it is there.
    /// # Errors
    /// Only what no waiting mends, such as a wrong option.
    async fn start(&self, context: HostContext) -> Result<()>;
    /// Lets go of the backend; guests go on running.
    async fn stop(&self);
    /// Static facts.
    fn info(&self) -> DriverInfo;
    /// What it offers now.
    /// # Errors
    /// `Unreachable` while the backend is down.
    async fn nodes(&self) -> Result<Vec<Node>>;
    /// Every guest of ours, whoever made it in an earlier life of the process.
    /// # Errors
    /// `Unreachable` while the backend is down.
    async fn list(&self) -> Result<Vec<Observed>>;
    /// One guest.
    /// # Errors
    /// `NotFound`, `Unreachable`.
    async fn get(&self, instance: Uuid) -> Result<Observed>;
    /// Makes and starts a guest. A guest of that id that is there already is brought to running and returned.
    /// # Errors
    /// Any; nothing of the guest remains, as far as the backend can still be reached.
    async fn spawn(&self, spec: &InstanceSpec, op: &Op) -> Result<Observed>;
    /// Removes a guest.
    /// # Errors
    /// Any but `NotFound`.
    async fn destroy(&self, instance: Uuid, mode: DestroyMode, op: &Op) -> Result<()>;
    /// Starts or stops a guest. The specification serves drivers that must define the guest again.
    /// # Errors
    /// `NotFound` and others.
    async fn power(&self, spec: &InstanceSpec, to: Power, op: &Op) -> Result<Observed>;
    /// Reboots a guest; hard works in any state.
    /// # Errors
    /// `NotFound` and others.
    async fn reboot(&self, spec: &InstanceSpec, kind: RebootKind, op: &Op) -> Result<Observed>;
    /// The stream of lifecycle events; taken once, by the host agent.
    fn events(&self) -> Option<EventStream>;

    /// Pause in memory.
    fn as_pause(&self) -> Option<&dyn Pause> {
        None
    }
    /// Suspend to disk.
    fn as_suspend(&self) -> Option<&dyn Suspend> {
        None
    }
    /// Interactive consoles.
    fn as_console(&self) -> Option<&dyn Console> {
        None
    }
    /// The console's log.
    fn as_console_log(&self) -> Option<&dyn ConsoleLog> {
        None
    }
    /// Diagnostics.
    fn as_diagnostics(&self) -> Option<&dyn Diagnostics> {
        None
    }
    /// Snapshot to an image.
    fn as_snapshot(&self) -> Option<&dyn Snapshot> {
        None
    }
}
