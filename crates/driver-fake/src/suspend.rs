//! Facet `suspend`.

use crate::driver::Fake;
use crate::operation::Operation;
use async_trait::async_trait;
use driver_api::{EventKind, InstanceSpec, Observed, Op, PowerState, Result, Suspend};
use uuid::Uuid;

#[async_trait]
impl Suspend for Fake {
    async fn suspend(&self, id: Uuid, op: &Op) -> Result<Observed> {
        let way = [PowerState::Running, PowerState::Suspended];
        let observed = self.move_between(Operation::Suspend, id, op, way, EventKind::Suspended).await?;
        // Its memory is on disk now: nobody is at the other end of an open console.
        self.machine.lock().hang_up(id);
        Ok(observed)
    }

    async fn resume(&self, spec: &InstanceSpec, op: &Op) -> Result<Observed> {
        let way = [PowerState::Suspended, PowerState::Running];
        self.move_between(Operation::Resume, spec.id, op, way, EventKind::Resumed).await
    }
}
