//! Names of the operations, as the fault plan and the latency table know them.

use serde::{Deserialize, Serialize};

/// One operation of the driver contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// `nodes`
    Nodes,
    /// `list`
    List,
    /// `get`
    Get,
    /// `spawn`
    Spawn,
    /// `destroy`
    Destroy,
    /// `power`
    Power,
    /// `reboot`
    Reboot,
    /// `pause`
    Pause,
    /// `unpause`
    Unpause,
    /// `suspend`
    Suspend,
    /// `resume`
    Resume,
    /// `open_console`
    OpenConsole,
    /// `console_log`
    ConsoleLog,
    /// `diagnostics`
    Diagnostics,
    /// `snapshot`
    Snapshot,
}
