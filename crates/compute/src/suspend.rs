//! `suspend` and `resume`. A resume starts a process again, so the wires are made sure of first.

use crate::host::Host;
use driver_api::{Observed, Op, Result};
use messaging::Assignment;

impl Host {
    pub(crate) async fn suspend(&self, a: &Assignment, op: &Op) -> Result<Observed> {
        self.driver.as_suspend().ok_or_else(|| self.cannot("suspend"))?.suspend(a.spec.id, op).await
    }

    pub(crate) async fn resume(&self, a: &Assignment, op: &Op) -> Result<Observed> {
        let facet = self.driver.as_suspend().ok_or_else(|| self.cannot("resume"))?;
        let spec = self.wire(&a.spec).await?;
        facet.resume(&spec, op).await
    }
}
