//! `reboot`. A hard one defines the guest again, so its wires are made sure of first.

use crate::host::Host;
use driver_api::{Observed, Op, RebootKind, Result};
use messaging::Assignment;

impl Host {
    pub(crate) async fn reboot(&self, a: &Assignment, kind: RebootKind, op: &Op) -> Result<Observed> {
        // A soft reboot may fall back to a hard one.
        let spec = self.wire(&a.spec).await?;
        self.driver.reboot(&spec, kind, op).await
    }
}
