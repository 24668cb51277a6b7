//! What can be asked of a host: one variant per verb.

use driver_api::{
    ConsoleKind, ConsoleStream, DestroyMode, DiagnosticsReport, InstanceSpec, Observed, Power, RebootKind,
    SnapshotResult,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A guest assigned to a host: what it shall be, and what it may read about itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assignment {
    /// For the driver and the host's network.
    pub spec: InstanceSpec,
    /// For the metadata service and the config drive; holds secrets, never reaches the driver.
    pub guest: guestdata::Guest,
}

/// A call to a host. Every mutating one carries the whole assignment, so a host needs no memory to obey.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Call {
    /// Plug and spawn.
    Spawn(Box<Assignment>),
    /// Destroy and unplug.
    Destroy {
        /// Which.
        instance: Uuid,
        /// Generation of the intent.
        generation: u64,
        /// What stays.
        mode: DestroyMode,
    },
    /// Start or stop.
    Power(Box<Assignment>, Power),
    /// Reboot.
    Reboot(Box<Assignment>, RebootKind),
    /// Pause in memory.
    Pause(Box<Assignment>),
    /// Continue.
    Unpause(Box<Assignment>),
    /// To disk.
    Suspend(Box<Assignment>),
    /// From disk.
    Resume(Box<Assignment>),
    /// Root disk to the queued image.
    Snapshot(Box<Assignment>, Uuid),
    /// Destroy the disks and spawn anew from the assignment; ports stay plugged.
    Rebuild(Box<Assignment>),
    /// Changes that are no operations: rules, ports, metadata. Also tells a fresh agent what runs here.
    Refresh(Vec<Assignment>),
    /// Everything assigned to this host, all of it: what else the agent has wired is unwired.
    Sync(Vec<Assignment>),
    /// All guests of the backend.
    List,
    /// One guest.
    Get(Uuid),
    /// The console's log.
    ConsoleLog {
        /// Which.
        instance: Uuid,
        /// Last lines; all if `None`.
        lines: Option<u32>,
    },
    /// An interactive console.
    OpenConsole {
        /// Which.
        instance: Uuid,
        /// Which kind.
        kind: ConsoleKind,
    },
    /// Diagnostics.
    Diagnostics(Uuid),
}

impl Call {
    /// The guest it is for, where it is for one.
    pub fn instance(&self) -> Option<Uuid> {
        match self {
            Call::Spawn(a)
            | Call::Power(a, _)
            | Call::Reboot(a, _)
            | Call::Pause(a)
            | Call::Unpause(a)
            | Call::Suspend(a)
            | Call::Resume(a)
            | Call::Snapshot(a, _)
            | Call::Rebuild(a) => Some(a.spec.id),
            Call::Destroy { instance, .. }
            | Call::Get(instance)
            | Call::ConsoleLog { instance, .. }
            | Call::OpenConsole { instance, .. }
            | Call::Diagnostics(instance) => Some(*instance),
            Call::Refresh(_) | Call::Sync(_) | Call::List => None,
        }
    }
    /// The verb: name of the file that obeys it on every floor.
    pub fn verb(&self) -> &'static str {
        match self {
            Call::Spawn(_) => "spawn",
            Call::Destroy { .. } => "destroy",
            Call::Power(..) => "power",
            Call::Reboot(..) => "reboot",
            Call::Pause(_) => "pause",
            Call::Unpause(_) => "unpause",
            Call::Suspend(_) => "suspend",
            Call::Resume(_) => "resume",
            Call::Snapshot(..) => "snapshot",
            Call::Rebuild(_) => "rebuild",
            Call::Refresh(_) => "refresh",
            Call::Sync(_) => "sync",
            Call::List => "list",
            Call::Get(_) => "get",
            Call::ConsoleLog { .. } => "console_log",
            Call::OpenConsole { .. } => "console",
            Call::Diagnostics(_) => "diagnostics",
        }
    }
}

/// A host's answer.
pub enum Outcome {
    /// Done, nothing to tell.
    Done,
    /// The guest after the operation.
    Observed(Observed),
    /// All guests.
    Listed(Vec<Observed>),
    /// Console log, raw.
    Log(Vec<u8>),
    /// An open console.
    Console(ConsoleStream),
    /// Counters.
    Diagnostics(DiagnosticsReport),
    /// What the snapshot yielded.
    Snapshot(SnapshotResult),
}
