//! A flow's row: the intent, the command to the host and the instance action in one.
//!
//! It is written with the state change that begins an action (commit 1), leased at birth to the controller that runs
//! it, and finished with the result (commit 2). `os-instance-actions` reads these rows.

use crate::Action;
use driver_api::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a flow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// Its steps run, or shall run.
    Running,
    /// It failed and its undos could not all be done yet.
    Unwinding,
    /// It ended well.
    Done,
    /// It ended badly; everything is undone.
    Failed,
    /// Another flow took its server over.
    Superseded,
}

impl FlowState {
    /// Word in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            FlowState::Running => "running",
            FlowState::Unwinding => "unwinding",
            FlowState::Done => "done",
            FlowState::Failed => "failed",
            FlowState::Superseded => "superseded",
        }
    }
    /// State of the word.
    pub fn parse(word: &str) -> Option<FlowState> {
        [FlowState::Running, FlowState::Unwinding, FlowState::Done, FlowState::Failed, FlowState::Superseded]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
    /// Nothing remains to be done.
    pub fn is_final(self) -> bool {
        matches!(self, FlowState::Done | FlowState::Failed | FlowState::Superseded)
    }
}

/// One step as it went: an event of the instance action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// The step's word (`compute_spawn` …).
    pub name: String,
    /// Began.
    pub started_at: Timestamp,
    /// Ended; `None` while it runs.
    pub finished_at: Option<Timestamp>,
    /// `Success`, `Error`, or `None` while it runs.
    pub result: Option<String>,
    /// Host it ran on.
    pub host: Option<String>,
    /// What went wrong, for administrators.
    pub detail: Option<String>,
}

/// A flow's row (table `flows`).
#[derive(Debug, Clone, PartialEq)]
pub struct FlowRow {
    /// Identity; the operation id that hosts see.
    pub id: Uuid,
    /// What it does.
    pub action: Action,
    /// Version of the flow's code; a row of another version is parked.
    pub version: i64,
    /// Server it works on.
    pub server_id: Uuid,
    /// Project of the server.
    pub project_id: String,
    /// Who asked.
    pub user_id: String,
    /// Request that asked (`req-…`).
    pub request_id: String,
    /// Where it stands.
    pub state: FlowState,
    /// Arguments, JSON of the flow's input type.
    pub input: serde_json::Value,
    /// Steps so far (written at the end; remote steps at once).
    pub steps: Vec<StepRecord>,
    /// What to tell the user, such as the reason of a failure.
    pub message: Option<String>,
    /// Controller that runs it.
    pub owner: String,
    /// Until then the owner alone may run it.
    pub lease_until: Timestamp,
    /// Cancellation was asked for.
    pub cancel: bool,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}
