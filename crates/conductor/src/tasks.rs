//! What runs now, in memory: the cancellation of each flow and the fine phase that is shown as `task_state`.
//! Nothing here is stored; after a crash it is derived again from the flows' rows.

use driver_api::{Phase, Timestamp};
use model::Action;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

#[derive(Debug)]
struct Task {
    flow: Uuid,
    action: Action,
    since: Timestamp,
    phase: Option<Phase>,
    cancel: CancellationToken,
}

/// Flows that run in this process, by server.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tasks(Arc<Mutex<BTreeMap<Uuid, Task>>>);

impl Tasks {
    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<Uuid, Task>) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// A flow begins; one that ran on the same server is cancelled.
    pub fn begin(&self, server: Uuid, flow: Uuid, action: Action, since: Timestamp) -> CancellationToken {
        let cancel = CancellationToken::new();
        let task = Task { flow, action, since, phase: None, cancel: cancel.clone() };
        if let Some(before) = self.with(|m| m.insert(server, task)) {
            before.cancel.cancel();
        }
        cancel
    }
    /// A flow ended.
    pub fn end(&self, server: Uuid, flow: Uuid) {
        self.with(|m| {
            if m.get(&server).is_some_and(|t| t.flow == flow) {
                m.remove(&server);
            }
        });
    }
    pub fn phase(&self, server: Uuid, flow: Uuid, phase: Phase) {
        self.with(|m| {
            if let Some(t) = m.get_mut(&server).filter(|t| t.flow == flow) {
                t.phase = Some(phase);
            }
        });
    }
    /// Whether `flow` runs here.
    pub fn runs(&self, server: Uuid, flow: Uuid) -> bool {
        self.with(|m| m.get(&server).is_some_and(|t| t.flow == flow))
    }
    /// Flows that run since before `then`.
    pub fn before(&self, then: Timestamp) -> Vec<Uuid> {
        self.with(|m| m.values().filter(|t| t.since <= then).map(|t| t.flow).collect())
    }
    /// Cancels the flows begun before `then` that are not among `mine`.
    pub fn cancel_others(&self, mine: &[Uuid], then: Timestamp) {
        self.with(|m| m.values().filter(|t| t.since <= then && !mine.contains(&t.flow)).for_each(|t| t.cancel.cancel()));
    }
    /// What runs here: server, flow and since when.
    pub fn ages(&self) -> Vec<(Uuid, Uuid, Timestamp)> {
        self.with(|m| m.iter().map(|(server, t)| (*server, t.flow, t.since)).collect())
    }
    /// Flows that run here.
    pub fn flows(&self) -> Vec<Uuid> {
        self.with(|m| m.values().map(|t| t.flow).collect())
    }
    /// Nova's finer `task_state` of the flow that runs on `server`.
    pub fn task_state(&self, server: Uuid) -> Option<&'static str> {
        self.with(|m| m.get(&server).and_then(|t| t.phase.and_then(|p| fine(t.action, p))))
    }
    /// Percent of the bytes, where the phase counts any.
    pub fn progress(&self, server: Uuid) -> Option<u8> {
        self.with(|m| match m.get(&server)?.phase? {
            Phase::BlockDevices { done, total } if total > 0 => u8::try_from(done.min(total) * 100 / total).ok(),
            _ => None,
        })
    }
}

/// Nova's word for a phase of an action.
fn fine(action: Action, phase: Phase) -> Option<&'static str> {
    Some(match (action, phase) {
        (Action::Build, Phase::Networking) => "networking",
        (Action::Build, Phase::BlockDevices { .. }) => "block_device_mapping",
        (Action::Build, Phase::Spawning) => "spawning",
        (Action::Rebuild, Phase::BlockDevices { .. }) => "rebuild_block_device_mapping",
        (Action::Rebuild, Phase::Spawning) => "rebuild_spawning",
        (Action::RebootSoft, _) => "reboot_started",
        (Action::RebootHard, _) => "reboot_started_hard",
        (Action::Snapshot, Phase::ImagePending) => "image_pending_upload",
        (Action::Snapshot, Phase::ImageUploading) => "image_uploading",
        _ => return None,
    })
}
