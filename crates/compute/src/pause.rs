//! `pause` and `unpause`.

use crate::host::Host;
use driver_api::{Observed, Op, Result};
use uuid::Uuid;

impl Host {
    pub(crate) async fn pause(&self, id: Uuid, op: &Op) -> Result<Observed> {
        self.driver.as_pause().ok_or_else(|| self.cannot("pause"))?.pause(id, op).await
    }

    pub(crate) async fn unpause(&self, id: Uuid, op: &Op) -> Result<Observed> {
        self.driver.as_pause().ok_or_else(|| self.cannot("unpause"))?.unpause(id, op).await
    }
}
