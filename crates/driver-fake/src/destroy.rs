//! `destroy`: the guest goes; the absent is gone already.

use crate::driver::Fake;
use crate::operation::Operation;
use driver_api::{DestroyMode, Op, PowerState, Result};
use uuid::Uuid;

impl Fake {
    pub(crate) async fn do_destroy(&self, id: Uuid, mode: DestroyMode, op: &Op) -> Result<()> {
        self.change(
            Operation::Destroy,
            id,
            op,
            |state| {
                if state.guest(id).is_ok_and(|g| g.power != PowerState::Shutdown) {
                    state.halt(id, "destroyed")?;
                }
                match (mode, state.guests.get_mut(&id)) {
                    (DestroyMode::KeepDisks, Some(guest)) => guest.defined = false,
                    _ => drop(state.guests.remove(&id)),
                }
                Ok(())
            },
            |_| {},
        )
        .await
    }
}
