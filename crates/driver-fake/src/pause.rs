//! Facet `pause`.

use crate::driver::Fake;
use crate::operation::Operation;
use async_trait::async_trait;
use driver_api::{Error, ErrorKind, EventKind, Observed, Op, Pause, PowerState, Result};
use uuid::Uuid;

#[async_trait]
impl Pause for Fake {
    async fn pause(&self, id: Uuid, op: &Op) -> Result<Observed> {
        self.move_between(Operation::Pause, id, op, [PowerState::Running, PowerState::Paused], EventKind::Paused).await
    }

    async fn unpause(&self, id: Uuid, op: &Op) -> Result<Observed> {
        self.move_between(Operation::Unpause, id, op, [PowerState::Paused, PowerState::Running], EventKind::Resumed)
            .await
    }
}

impl Fake {
    /// A guest that is in `to` stays so, one in `from` goes there, any other is refused.
    pub(crate) async fn move_between(
        &self,
        operation: Operation,
        id: Uuid,
        op: &Op,
        [from, to]: [PowerState; 2],
        event: EventKind,
    ) -> Result<Observed> {
        self.change(
            operation,
            id,
            op,
            |state| {
                let guest = state.guest(id)?;
                if guest.power == from {
                    guest.power = to;
                    let observed = guest.observed();
                    state.emit(id, event);
                    return Ok(observed);
                }
                if guest.power == to {
                    return Ok(guest.observed());
                }
                let text = format!("instance {id} is {:?}; that needs {from:?}", guest.power);
                Err(Error::new(ErrorKind::InvalidSpec, text))
            },
            |_| {},
        )
        .await
    }
}
