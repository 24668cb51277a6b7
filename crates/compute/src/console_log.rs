//! The console's log.

use crate::host::Host;
use driver_api::Result;
use uuid::Uuid;

impl Host {
    pub(crate) async fn console_log(&self, id: Uuid, lines: Option<u32>) -> Result<Vec<u8>> {
        self.driver.as_console_log().ok_or_else(|| self.cannot("show a console log"))?.console_log(id, lines).await
    }
}
