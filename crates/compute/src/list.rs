//! `list` and `get`: the backend is the truth.

use crate::host::Host;
use driver_api::{Observed, Result};
use uuid::Uuid;

impl Host {
    pub(crate) async fn list(&self) -> Result<Vec<Observed>> {
        let mut all = self.driver.list().await?;
        all.sort_by_key(|o| o.id);
        Ok(all)
    }

    pub(crate) async fn get(&self, id: Uuid) -> Result<Observed> {
        self.driver.get(id).await
    }
}
