//! The event channel of one driver: bounded, and still lossless in the sense of the contract.

use driver_api::{DriverEvent, EventKind, EventStream, Timestamp};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Events that wait for the agent before the rest is summed up as one `Connected`.
const DEPTH: usize = 256;

/// The sending half. One place of the channel is kept back for the `Connected` that stands for dropped events:
/// who reads it lists everything again, so nothing is lost however slow the reader is.
pub(crate) struct Watcher {
    sender: mpsc::Sender<DriverEvent>,
    kept: Option<mpsc::OwnedPermit<DriverEvent>>,
}

impl Watcher {
    pub(crate) fn channel() -> (Watcher, EventStream) {
        Watcher::with_depth(DEPTH)
    }

    fn with_depth(depth: usize) -> (Watcher, EventStream) {
        let (sender, receiver) = mpsc::channel(depth);
        let kept = sender.clone().try_reserve_owned().ok();
        (Watcher { sender, kept }, receiver)
    }

    pub(crate) fn send(&mut self, id: Uuid, kind: EventKind, at: Timestamp) {
        if self.kept.is_none() {
            match self.sender.clone().try_reserve_owned() {
                Ok(permit) => self.kept = Some(permit),
                // Full, and the last thing in it is our `Connected`: this event is covered by it.
                Err(_) => return,
            }
        }
        if self.sender.try_send(DriverEvent { id, kind, at }).is_err()
            && let Some(permit) = self.kept.take()
        {
            permit.send(DriverEvent { id: Uuid::nil(), kind: EventKind::Connected, at });
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_slow_reader_is_told_to_list_again_after_the_last_event_it_got() {
        let (mut watcher, mut stream) = Watcher::with_depth(3);
        for _ in 0..10 {
            watcher.send(Uuid::from_u128(1), EventKind::Started, Timestamp(1));
        }
        assert_eq!(stream.try_recv().unwrap().kind, EventKind::Started);
        assert_eq!(stream.try_recv().unwrap().kind, EventKind::Started);
        assert_eq!(stream.try_recv().unwrap().kind, EventKind::Connected);
        watcher.send(Uuid::from_u128(1), EventKind::Stopped, Timestamp(2));
        assert_eq!(stream.try_recv().unwrap().kind, EventKind::Stopped);
    }
}
