//! `spawn`: plug, then make the guest. Nova's order; its undo is beside it.

use crate::host::Host;
use driver_api::{ErrorKind, Observed, Op, Phase, Result};
use messaging::Assignment;

impl Host {
    pub(crate) async fn spawn(&self, a: &Assignment, op: &Op) -> Result<Observed> {
        let _slot = self.build_slot(op).await?;
        op.report(Phase::Networking);
        let made = match self.wire(&a.spec).await {
            Ok(spec) => match op.check() {
                Ok(()) => self.driver.spawn(&spec, op).await,
                Err(e) => Err(e),
            },
            Err(e) => Err(e),
        };
        if made.is_err() {
            self.unwire_if_gone(a).await;
        }
        made
    }

    /// The undo: no guest, no wires. A guest that is there all the same (a repeated spawn that failed, a backend that
    /// fell silent) keeps its wires, because a tap that is made again does not reconnect a running guest; the destroy
    /// that follows takes them away.
    async fn unwire_if_gone(&self, a: &Assignment) {
        let id = a.spec.id;
        if self.wires().is_none() {
            return;
        }
        let gone = matches!(self.driver.get(id).await, Err(e) if e.kind == ErrorKind::NotFound);
        if gone && self.unwire(id, Some(&a.spec)).await {
            self.left_wires.notify_one();
        }
    }
}
