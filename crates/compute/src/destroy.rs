//! `destroy`: the guest goes, then its wires, then what was known of it.

use crate::host::Host;
use driver_api::{DestroyMode, Op, Result};
use uuid::Uuid;

impl Host {
    pub(crate) async fn destroy(&self, id: Uuid, mode: DestroyMode, op: &Op) -> Result<()> {
        self.driver.destroy(id, mode, op).await?;
        // Forgotten first: a `sync` that runs meanwhile must not wire it again.
        let known = self.assignments.get(id);
        self.assignments.remove(id);
        if self.unwire(id, known.as_ref().map(|a| &a.spec)).await {
            self.left_wires.notify_one();
        }
        self.forget_rebuild(id).await
    }
}
