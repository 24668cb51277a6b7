//! What a backend says about its guests: state, and changes of state.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Power state with Nova's numbers (`nova/objects/fields.py`, `InstancePowerState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PowerState {
    /// Unknown or not there (0).
    NoState,
    /// Running (1).
    Running,
    /// Paused in memory (3).
    Paused,
    /// Off (4).
    Shutdown,
    /// The guest or its process died (6).
    Crashed,
    /// Suspended to disk (7).
    Suspended,
}

impl PowerState {
    /// Nova's number of this state.
    pub fn code(self) -> i64 {
        match self {
            PowerState::NoState => 0,
            PowerState::Running => 1,
            PowerState::Paused => 3,
            PowerState::Shutdown => 4,
            PowerState::Crashed => 6,
            PowerState::Suspended => 7,
        }
    }
    /// The state of Nova's number; unknown numbers are `NoState`.
    pub fn from_code(code: i64) -> PowerState {
        match code {
            1 => PowerState::Running,
            3 => PowerState::Paused,
            4 => PowerState::Shutdown,
            6 => PowerState::Crashed,
            7 => PowerState::Suspended,
            _ => PowerState::NoState,
        }
    }
}

/// One guest as the backend sees it now. The backend is the truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// Identity given at spawn.
    pub id: Uuid,
    /// Generation given at the last spawn or refresh, where the backend keeps it.
    pub generation: u64,
    /// Power state.
    pub power: PowerState,
    /// Node it runs on, for drivers with several.
    pub node: String,
    /// Name at the backend (`OS-EXT-SRV-ATTR:instance_name`), such as `instance-3f2a…`.
    pub backend_name: String,
    /// Device of the root disk (`/dev/vda`), where there is one.
    pub root_device: Option<String>,
}

/// A change that the backend reported by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriverEvent {
    /// Which guest.
    pub id: Uuid,
    /// What happened.
    pub kind: EventKind,
    /// When we learned of it.
    pub at: Timestamp,
}

/// Kinds of lifecycle events (`nova/virt/event.py`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The guest runs.
    Started,
    /// The guest is off.
    Stopped,
    /// The guest is paused.
    Paused,
    /// The guest continues.
    Resumed,
    /// The guest went to disk.
    Suspended,
    /// The guest crashed.
    Crashed,
    /// The connection to the backend was lost; `id` is nil. The host is down until `Connected`.
    Disconnected,
    /// The connection is back; `id` is nil. Everything must be listed again.
    Connected,
}

/// Events of one driver; ends when the driver stops. Lossless: a driver that had to drop one sends `Connected`.
pub type EventStream = tokio::sync::mpsc::Receiver<DriverEvent>;
