//! `Console`: the display as a socket that the daemon hands over, the serial line as a stream of its protocol.

use crate::Libvirt;
use crate::error::{from_rpc, wrong_state};
use crate::rpc::calls::State;
use crate::rpc::{graphics, stream};
use async_trait::async_trait;
use driver_api::{Console, ConsoleKind, ConsoleStream, Error, ErrorKind, Result, external};
use uuid::Uuid;

#[async_trait]
impl Console for Libvirt {
    fn kinds(&self) -> Vec<ConsoleKind> {
        let mut kinds = vec![ConsoleKind::Serial];
        if self.offers_vnc() {
            kinds.insert(0, ConsoleKind::Vnc);
        }
        kinds
    }

    async fn open_console(&self, instance: Uuid, kind: ConsoleKind) -> Result<ConsoleStream> {
        let host = self.host()?;
        if !self.kinds().contains(&kind) {
            return Err(Error::new(ErrorKind::UnsupportedSpec, "this host offers no console of that kind"));
        }
        let client = host.client()?;
        let (domain, _) = host.must_find(&client, instance).await?;
        if !matches!(
            client.state(&domain).await.map_err(from_rpc)?,
            State::Running | State::Paused | State::ShuttingDown
        ) {
            return Err(wrong_state("looked at", "off"));
        }
        match kind {
            ConsoleKind::Serial => {
                let line = external("libvirt.open_console", stream::open_console(&host.address, &domain))
                    .await
                    .map_err(from_rpc)?;
                let (user, carry) = line.split(&host.stop);
                host.tasks.spawn(carry);
                let (reader, writer) = tokio::io::split(user);
                Ok(ConsoleStream { reader: Box::new(reader), writer: Box::new(writer) })
            }
            ConsoleKind::Vnc => {
                let address = host.address.clone();
                let display = tokio::task::spawn_blocking(move || graphics::open_display(&address, &domain))
                    .await
                    .map_err(|e| Error::internal("the display was not opened", e))?
                    .map_err(from_rpc)?;
                let display = tokio::net::UnixStream::from_std(display)
                    .map_err(|e| Error::internal("the display was not opened", e))?;
                let (reader, writer) = display.into_split();
                Ok(ConsoleStream { reader: Box::new(reader), writer: Box::new(writer) })
            }
        }
    }
}
