//! Facet `console_log`.

use crate::driver::Fake;
use crate::operation::Operation;
use async_trait::async_trait;
use driver_api::{ConsoleLog, Result};
use uuid::Uuid;

#[async_trait]
impl ConsoleLog for Fake {
    async fn console_log(&self, id: Uuid, lines: Option<u32>) -> Result<Vec<u8>> {
        self.ask(Operation::ConsoleLog, |state| {
            let console = &state.guest(id)?.console;
            let wanted = lines.map_or(console.len(), |n| usize::try_from(n).unwrap_or(usize::MAX));
            let tail = &console[console.len().saturating_sub(wanted)..];
            let mut bytes = tail.join("\n").into_bytes();
            if !bytes.is_empty() {
                bytes.push(b'\n');
            }
            Ok(bytes)
        })
        .await
    }
}
