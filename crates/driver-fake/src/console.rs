//! Facet `console`: a real conversation on either kind, over a pipe in memory. One task an open console, none else.

use crate::driver::Fake;
use crate::machine::Machine;
use crate::operation::Operation;
use crate::{rfb, serial};
use async_trait::async_trait;
use driver_api::{Console, ConsoleKind, ConsoleStream, Error, ErrorKind, PowerState, Result};
use std::sync::Arc;
use tokio::io::DuplexStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Bytes that wait in the pipe.
const PIPE: usize = 64 * 1024;

#[async_trait]
impl Console for Fake {
    fn kinds(&self) -> Vec<ConsoleKind> {
        vec![ConsoleKind::Vnc, ConsoleKind::Serial]
    }

    async fn open_console(&self, id: Uuid, kind: ConsoleKind) -> Result<ConsoleStream> {
        let (hostname, session) = self
            .ask(Operation::OpenConsole, |state| {
                let guest = state.guest(id)?;
                if !matches!(guest.power, PowerState::Running | PowerState::Paused) {
                    return Err(Error::new(ErrorKind::InvalidSpec, format!("instance {id} is not running")));
                }
                let hostname = guest.hostname.clone();
                Ok((hostname, state.session(id)))
            })
            .await?;
        let (ours, theirs) = tokio::io::duplex(PIPE);
        tokio::spawn(serve(Arc::clone(&self.machine), id, hostname, kind, ours, session));
        let (reader, writer) = tokio::io::split(theirs);
        Ok(ConsoleStream { reader: Box::new(reader), writer: Box::new(writer) })
    }
}

/// Talks until the other side hangs up or the guest stops.
async fn serve(
    machine: Arc<Machine>,
    id: Uuid,
    hostname: String,
    kind: ConsoleKind,
    pipe: DuplexStream,
    session: CancellationToken,
) {
    let talk = async {
        match kind {
            ConsoleKind::Vnc => rfb::serve(pipe, &hostname).await,
            ConsoleKind::Serial => serial::serve(pipe, &machine, id, &hostname).await,
        }
    };
    // How a conversation ended is nobody's business: the pipe closes, which is all the other side may see.
    tokio::select! {
        biased;
        () = session.cancelled() => {}
        _ = talk => {}
    }
}
