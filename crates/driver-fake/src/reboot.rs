//! `reboot`: soft needs a running guest and falls back to hard; hard works in any state.

use crate::driver::Fake;
use crate::operation::Operation;
use driver_api::{InstanceSpec, Observed, Op, RebootKind, Result};

impl Fake {
    pub(crate) async fn do_reboot(&self, spec: &InstanceSpec, kind: RebootKind, op: &Op) -> Result<Observed> {
        let id = spec.id;
        self.change(
            Operation::Reboot,
            id,
            op,
            |state| {
                let guest = state.guest(id)?;
                // The same operation again has its effect once: a guest must not lose its uptime twice.
                if guest.did(op.id) {
                    return Ok(guest.observed());
                }
                guest.remember(op.id);
                guest.define(spec);
                let line = match kind {
                    RebootKind::Soft => "reboot: Restarting system",
                    RebootKind::Hard => "reset",
                };
                state.halt(id, line)?;
                let now = state.now();
                let event = state.guest(id)?.boot(now);
                state.emit(id, event);
                Ok(state.guest(id)?.observed())
            },
            |_| {},
        )
        .await
    }
}
