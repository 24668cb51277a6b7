//! `destroy`: the guest goes, then its wires, then what was known of it.

use crate::host::Host;
use driver_api::{DestroyMode, Op, Result};
use uuid::Uuid;

impl Host {
    pub(crate) async fn destroy(&self, id: Uuid, mode: DestroyMode, op: &Op) -> Result<()> {
        self.driver.destroy(id, mode, op).await?;
        if let Some(wiring) = self.wires() {
            wiring.unplug(id).await?;
        }
        self.forget_rebuild(id).await?;
        self.assignments.remove(id);
        Ok(())
    }
}
