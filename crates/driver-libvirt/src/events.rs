//! The connection's life: connect, learn what runs, pass events on, reconnect with growing pauses.
//!
//! The process never ends because of a daemon: while it is away every verb answers `Unreachable`.

use crate::error::from_rpc;
use crate::host::{Change, Host, Link};
use crate::rpc::calls::{self, Domain};
use crate::rpc::client::{Client, RawEvent};
use driver_api::{DriverEvent, Error, ErrorKind, EventKind, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Events of the daemon that wait for us; a connection with more is given up and everything listed again.
const RAW_QUEUE: usize = 4_096;

/// Hands events to the platform and keeps the promise of losslessness: after a full queue it says `Connected`.
pub(crate) struct Emitter {
    sender: mpsc::Sender<DriverEvent>,
    lost: bool,
}

impl Emitter {
    pub(crate) fn new(sender: mpsc::Sender<DriverEvent>) -> Emitter {
        Emitter { sender, lost: false }
    }
    fn send(&mut self, host: &Host, id: Uuid, kind: EventKind) {
        let at = host.context.clock.now();
        if self.lost && self.sender.try_send(DriverEvent { id: Uuid::nil(), kind: EventKind::Connected, at }).is_ok() {
            self.lost = false;
        }
        if self.lost || self.sender.try_send(DriverEvent { id, kind, at }).is_err() {
            self.lost = true;
        }
    }
}

/// Runs until the driver stops.
pub(crate) async fn run(host: Arc<Host>, mut emitter: Emitter) {
    let mut pause = FIRST_PAUSE;
    let mut was_up = None;
    loop {
        let why = match connect(&host).await {
            Ok((client, events)) => {
                pause = FIRST_PAUSE;
                was_up = Some(true);
                tracing::info!(host = host.context.host, "connected to libvirt");
                host.link.send_replace(Link::Up(client.clone()));
                emitter.send(&host, Uuid::nil(), EventKind::Connected);
                pump(&host, &client, events, &mut emitter).await;
                // One that is lost already closes at once.
                client.close().await;
                "the connection was lost".to_owned()
            }
            Err(e) => e.detail.unwrap_or(e.message),
        };
        if host.stop.is_cancelled() {
            host.link.send_replace(Link::Down("the driver was stopped".into()));
            return;
        }
        host.link.send_replace(Link::Down(why.clone()));
        if was_up != Some(false) {
            was_up = Some(false);
            tracing::warn!(host = host.context.host, reason = why, "libvirt is not reachable");
            emitter.send(&host, Uuid::nil(), EventKind::Disconnected);
        }
        tokio::select! {
            biased;
            () = host.stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A stop while it is being made ends it in the daemon's order too.
async fn connect(host: &Host) -> Result<(Client, mpsc::Receiver<RawEvent>)> {
    let stopped = || Error::new(ErrorKind::Unreachable, "the driver was stopped");
    let (tx, rx) = mpsc::channel(RAW_QUEUE);
    let client = tokio::select! {
        biased;
        () = host.stop.cancelled() => return Err(stopped()),
        client = Client::connect(&host.address, tx) => client.map_err(from_rpc)?,
    };
    let prepare = async {
        client.register_events(calls::EVENT_ID_LIFECYCLE).await.map_err(from_rpc)?;
        client.register_events(calls::EVENT_ID_REBOOT).await.map_err(from_rpc)?;
        // Registered first and listed second, so that no guest falls between.
        for domain in client.list(false).await.map_err(from_rpc)? {
            if host.meta(&client, &domain).await?.is_some() {
                host.learn(domain.uuid);
            }
        }
        Ok(())
    };
    let prepared = tokio::select! {
        biased;
        () = host.stop.cancelled() => Err(stopped()),
        prepared = prepare => prepared,
    };
    match prepared {
        Ok(()) => Ok((client, rx)),
        Err(e) => {
            client.close().await;
            Err(e)
        }
    }
}

/// Passes events on until the connection ends or the driver stops.
async fn pump(host: &Host, client: &Client, mut events: mpsc::Receiver<RawEvent>, emitter: &mut Emitter) {
    loop {
        let event = tokio::select! {
            biased;
            () = host.stop.cancelled() => return,
            () = client.closed().cancelled() => return,
            e = events.recv() => e,
        };
        let Some(event) = event else { return };
        match event.procedure {
            calls::EVENT_LIFECYCLE => match calls::decode_lifecycle(&event.payload) {
                Ok((domain, what, why)) => lifecycle(host, &domain, what, why, emitter),
                Err(e) => tracing::warn!(error = %e, "an event of libvirt did not decode"),
            },
            calls::EVENT_REBOOT => {
                if let Ok(domain) = calls::decode_reboot(&event.payload) {
                    let _ = host.changes.send(Change::Rebooted(domain.uuid));
                }
            }
            _ => {}
        }
    }
}

fn lifecycle(host: &Host, domain: &Domain, what: i32, why: i32, emitter: &mut Emitter) {
    let id = domain.uuid;
    if !host.knows(id) {
        return;
    }
    let kind = meaning(what, why);
    match kind {
        Some(EventKind::Started) => host.set_started(id, Some(host.context.clock.now())),
        Some(EventKind::Stopped | EventKind::Suspended | EventKind::Crashed) => host.set_started(id, None),
        _ => {}
    }
    let _ = host.changes.send(Change::State(id));
    if let Some(kind) = kind {
        emitter.send(host, id, kind);
    }
}

/// What libvirt's event (`virDomainEventType`) and its reason mean.
fn meaning(what: i32, why: i32) -> Option<EventKind> {
    match (what, why) {
        (2, _) => Some(EventKind::Started),
        // Paused by an operator, an I/O error or a watchdog; not while migrating or for a snapshot's sake.
        (3, 0 | 2 | 3 | 4) => Some(EventKind::Paused),
        (4, _) => Some(EventKind::Resumed),
        (5, 2 | 5) | (8, _) => Some(EventKind::Crashed),
        (5, 4) => Some(EventKind::Suspended),
        // Migrated away: the guest runs on elsewhere.
        (5, 3) => None,
        (5, _) => Some(EventKind::Stopped),
        (7, _) => Some(EventKind::Suspended),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meanings() {
        assert_eq!(meaning(2, 0), Some(EventKind::Started));
        assert_eq!(meaning(3, 0), Some(EventKind::Paused));
        assert_eq!(meaning(4, 0), Some(EventKind::Resumed));
        assert_eq!(meaning(5, 0), Some(EventKind::Stopped));
        assert_eq!(meaning(5, 1), Some(EventKind::Stopped));
        assert_eq!(meaning(5, 2), Some(EventKind::Crashed));
        assert_eq!(meaning(5, 4), Some(EventKind::Suspended));
        assert_eq!(meaning(0, 0), None);
        assert_eq!(meaning(1, 0), None);
    }
}
