//! `snapshot`: the root disk to a queued image.

use crate::host::Host;
use driver_api::{Op, Result, SnapshotResult};
use messaging::Assignment;
use uuid::Uuid;

impl Host {
    pub(crate) async fn snapshot(&self, a: &Assignment, image: Uuid, op: &Op) -> Result<SnapshotResult> {
        let facet = self.driver.as_snapshot().ok_or_else(|| self.cannot("snapshot"))?;
        facet.snapshot(&self.with_devices(&a.spec), image, op).await
    }
}
