//! Diagnostics of a guest.

use crate::host::Host;
use driver_api::{DiagnosticsReport, Result};
use uuid::Uuid;

impl Host {
    pub(crate) async fn diagnostics(&self, id: Uuid) -> Result<DiagnosticsReport> {
        self.driver.as_diagnostics().ok_or_else(|| self.cannot("show diagnostics"))?.diagnostics(id).await
    }
}
