//! Interactive consoles: a stream, never an address to dial.

use crate::host::Host;
use driver_api::{ConsoleKind, ConsoleStream, Result};
use uuid::Uuid;

impl Host {
    pub(crate) async fn open_console(&self, id: Uuid, kind: ConsoleKind) -> Result<ConsoleStream> {
        let facet = self.driver.as_console().ok_or_else(|| self.cannot("open a console"))?;
        if !facet.kinds().contains(&kind) {
            let word = match kind {
                ConsoleKind::Vnc => "open a VNC console",
                ConsoleKind::Serial => "open a serial console",
            };
            return Err(self.cannot(word));
        }
        facet.open_console(id, kind).await
    }
}
