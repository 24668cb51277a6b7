//! What every verb has in its hands.

use crate::assignments::Assignments;
use crate::ledger::DiskLedger;
use crate::wiring::{Wired, Wiring};
use driver_api::{ComputeDriver, Error, ErrorKind, Op, Result};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use uuid::Uuid;

/// One host: its driver, its wires and what it knows.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) driver: Arc<dyn ComputeDriver>,
    pub(crate) wiring: Option<Arc<dyn Wiring>>,
    pub(crate) assignments: Assignments,
    /// The agent's own notes; the driver has another ledger.
    pub(crate) notes: DiskLedger,
    /// Guests with a note, so that those without cost no look at the disk.
    pub(crate) noted: Mutex<BTreeSet<Uuid>>,
    pub(crate) builds: Semaphore,
    /// What is wired; held while wires change.
    pub(crate) wired: tokio::sync::Mutex<Wired>,
    /// Told when wires of a guest that is gone were left.
    pub(crate) left_wires: Notify,
    /// Guests whose wires are not yet what their assignments say.
    pub(crate) stale: Mutex<BTreeSet<Uuid>>,
}

impl Host {
    /// A place among the guests that are built at the same time.
    pub(crate) async fn build_slot(&self, op: &Op) -> Result<SemaphorePermit<'_>> {
        tokio::select! {
            biased;
            () = op.cancel.cancelled() => Err(cancelled()),
            slot = self.builds.acquire() => slot.map_err(|e| Error::internal("the host is stopping", e)),
        }
    }

    /// The refusal of an operation whose facet the driver has not.
    pub(crate) fn cannot(&self, what: &str) -> Error {
        let driver = self.driver.info().name;
        Error::new(ErrorKind::UnsupportedSpec, format!("driver {driver} of host {} cannot {what}", self.name))
    }
}

pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the operation was cancelled")
}
