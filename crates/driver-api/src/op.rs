//! What every operation carries: its identity, its deadline, its cancellation and its progress.

use crate::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Where a long operation is. The platform shows it as `task_state` or as progress; it is never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Plugging network interfaces.
    Networking,
    /// Making disks; bytes of the image fetched so far and in all, where known.
    BlockDevices {
        /// Bytes that are there.
        done: u64,
        /// Bytes in all; 0 where unknown.
        total: u64,
    },
    /// Starting the guest.
    Spawning,
    /// A snapshot's bytes are made on the host.
    ImagePending,
    /// A snapshot's bytes go to the image service.
    ImageUploading,
}

/// Receiver of progress.
pub type Progress = Arc<dyn Fn(Phase) + Send + Sync>;

/// One operation. Every mutating call carries one; the same `id` again means "the same call again".
#[derive(Clone)]
pub struct Op {
    /// Identity of the operation (the flow's id).
    pub id: Uuid,
    /// The caller stops waiting then; the driver should give up before.
    pub deadline: Option<Timestamp>,
    /// Fires when the operation is no longer wanted; the driver returns [`crate::ErrorKind::Cancelled`] soon.
    pub cancel: CancellationToken,
    /// Receives progress.
    pub progress: Progress,
}

impl std::fmt::Debug for Op {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Op").field("id", &self.id).field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

impl Op {
    /// An operation without deadline whose progress nobody reads.
    pub fn new(id: Uuid) -> Op {
        Op { id, deadline: None, cancel: CancellationToken::new(), progress: Arc::new(|_| {}) }
    }
    /// Fails with `Cancelled` if the operation is no longer wanted.
    pub fn check(&self) -> crate::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(crate::Error::new(crate::ErrorKind::Cancelled, "the operation was cancelled"));
        }
        Ok(())
    }
    /// Reports progress.
    pub fn report(&self, phase: Phase) {
        (self.progress)(phase);
    }
}
