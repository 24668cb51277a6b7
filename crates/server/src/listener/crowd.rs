//! Who is connected, for whom each connection waits, and whose place is given to the next when there is none.
//!
//! A connection that waits for its client may go; one that works for its client never does. The rule is a pure
//! function; the table knows neither sockets nor HTTP.

use super::Limits;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// For whom a connection waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// For the client: between two requests, or within a head.
    Idle = 0,
    /// For the client: within a body.
    Body = 1,
    /// For the client: it does not take its answer.
    Answer = 2,
    /// For us.
    Work = 3,
}

impl Phase {
    fn of(bits: u64) -> Phase {
        [Phase::Idle, Phase::Body, Phase::Answer, Phase::Work][(bits & 3) as usize]
    }
}

/// A client within a request has so long before its place is given away.
const GRACE: Duration = Duration::from_secs(1);
/// Longest wait for a place that was just taken from another.
const HANDOVER: Duration = Duration::from_millis(100);
/// Longest wait of a request for the place of one that was ended for it.
const REQUEST_HANDOVER: Duration = Duration::from_secs(1);

/// One connection as the rule sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub id: u64,
    pub phase: Phase,
    /// How long it has been waited for.
    pub waited: Duration,
    /// Connections of the same address.
    pub siblings: usize,
}

/// Which of them goes: of those that wait for their client the longest waiting one, first from the address that has
/// the most. Pure.
pub(super) fn victim(all: impl Iterator<Item = Candidate>) -> Option<u64> {
    let may_go = |c: &Candidate| match c.phase {
        Phase::Idle => true,
        Phase::Body | Phase::Answer => c.waited >= GRACE,
        Phase::Work => false,
    };
    // Between requests nothing is lost.
    all.filter(may_go).max_by_key(|c| (c.phase == Phase::Idle, c.siblings, c.waited, c.id)).map(|c| c.id)
}

/// All connections.
pub(super) struct Crowd {
    born: Instant,
    places: usize,
    seats: Mutex<Seats>,
    freed: Notify,
    requests: Arc<Semaphore>,
}

#[derive(Default)]
struct Seats {
    next: u64,
    taken: BTreeMap<u64, Arc<State>>,
    by_address: BTreeMap<IpAddr, usize>,
}

struct State {
    peer: IpAddr,
    /// Milliseconds since `born`, and the phase in the lowest two bits.
    since: AtomicU64,
    /// A client's bytes lie unread: closing at once would take our last words from it.
    unread: AtomicBool,
    leave: CancellationToken,
}

/// A connection's place; free again when it is dropped.
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    id: u64,
    state: Arc<State>,
}

impl Crowd {
    pub(super) fn new(limits: &Limits) -> Arc<Crowd> {
        let requests = Arc::new(Semaphore::new(limits.requests));
        let (seats, freed) = (Mutex::default(), Notify::new());
        Arc::new(Crowd { born: Instant::now(), places: limits.connections, seats, freed, requests })
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, if need be that of another; `None` where all are at work.
    pub(super) async fn seat(self: &Arc<Crowd>, peer: IpAddr) -> Option<Arc<Seat>> {
        while self.seats().taken.len() >= self.places {
            if !self.dismiss(|_| true) {
                return None;
            }
            let _ = tokio::time::timeout(HANDOVER, self.freed.notified()).await;
        }
        let state = Arc::new(State {
            peer,
            since: AtomicU64::new(self.stamp(Phase::Idle, Duration::ZERO)),
            unread: AtomicBool::new(false),
            leave: CancellationToken::new(),
        });
        let mut seats = self.seats();
        seats.next += 1;
        let id = seats.next;
        seats.taken.insert(id, state.clone());
        *seats.by_address.entry(peer).or_default() += 1;
        Some(Arc::new(Seat { crowd: self.clone(), id, state }))
    }

    /// A place for a request, if need be that of one whose client does not go on; `None` where all are at work.
    pub(super) async fn request(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.requests.clone().try_acquire_owned() {
            return Some(permit);
        }
        if !self.dismiss(|phase| phase != Phase::Idle) {
            return None;
        }
        tokio::time::timeout(REQUEST_HANDOVER, self.requests.clone().acquire_owned()).await.ok()?.ok()
    }

    /// Sends one away that waits for its client; false if there is none.
    pub(super) fn dismiss(&self, among: impl Fn(Phase) -> bool) -> bool {
        let now = self.millis();
        let seats = self.seats();
        let candidates = seats.taken.iter().filter(|(_, s)| !s.leave.is_cancelled()).map(|(id, s)| {
            let bits = s.since.load(Relaxed);
            let siblings = seats.by_address.get(&s.peer).copied().unwrap_or_default();
            let waited = Duration::from_millis(now.saturating_sub(bits >> 2));
            Candidate { id: *id, phase: Phase::of(bits), waited, siblings }
        });
        let found = victim(candidates.filter(|c| among(c.phase))).and_then(|id| seats.taken.get(&id));
        found.map(|s| s.leave.cancel()).is_some()
    }

    fn millis(&self) -> u64 {
        // Not from nothing: what was waited for before is taken off it.
        let beginning = Duration::from_secs(1 << 30);
        u64::try_from((beginning + self.born.elapsed()).as_millis()).unwrap_or(u64::MAX >> 2)
    }
    fn stamp(&self, phase: Phase, waited: Duration) -> u64 {
        let waited = u64::try_from(waited.as_millis()).unwrap_or(0);
        self.millis().saturating_sub(waited) << 2 | phase as u64
    }
}

impl Seat {
    /// Waits for `phase` from now on, and has done so for `waited` already.
    pub(super) fn waits(&self, phase: Phase, waited: Duration) {
        self.state.since.store(self.crowd.stamp(phase, waited), Relaxed);
    }
    pub(super) fn phase(&self) -> Phase {
        Phase::of(self.state.since.load(Relaxed))
    }
    pub(super) fn peer(&self) -> IpAddr {
        self.state.peer
    }
    /// Cancelled when the place is needed for another.
    pub(super) fn leave(&self) -> &CancellationToken {
        &self.state.leave
    }
    pub(super) fn set_unread(&self, unread: bool) {
        self.state.unread.store(unread, Relaxed);
    }
    pub(super) fn unread(&self) -> bool {
        self.state.unread.load(Relaxed)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.crowd.seats();
        seats.taken.remove(&self.id);
        if let Some(n) = seats.by_address.get_mut(&self.state.peer) {
            *n -= 1;
            if *n == 0 {
                seats.by_address.remove(&self.state.peer);
            }
        }
        drop(seats);
        self.crowd.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn candidate(id: u64, phase: Phase, seconds: u64, siblings: usize) -> Candidate {
        Candidate { id, phase, waited: Duration::from_secs(seconds), siblings }
    }

    #[test]
    fn who_goes_first() {
        let rows = [
            candidate(1, Phase::Work, 99, 500),
            candidate(2, Phase::Body, 50, 500),
            candidate(3, Phase::Idle, 70, 1),
            candidate(4, Phase::Idle, 3, 500),
            candidate(5, Phase::Idle, 9, 500),
            candidate(6, Phase::Body, 0, 500),
        ];
        // The address with the most, and of its own the oldest; never who is at work or has just begun.
        let mut left = rows.to_vec();
        let mut order = Vec::new();
        while let Some(id) = victim(left.iter().copied()) {
            left.retain(|c| c.id != id);
            order.push(id);
        }
        assert_eq!(order, [5, 4, 3, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn places_go_from_those_who_wait_to_those_who_come() {
        let limits = Limits { connections: 2, requests: 1, ..Limits::default() };
        let crowd = Crowd::new(&limits);
        let [a, b]: [IpAddr; 2] = ["10.0.0.1", "10.0.0.2"].map(|t| t.parse().unwrap());
        let (first, second) = (crowd.seat(a).await.unwrap(), crowd.seat(a).await.unwrap());
        first.waits(Phase::Work, Duration::ZERO);
        let leaving = second.leave().clone();
        let leaver = tokio::spawn(async move {
            second.leave().cancelled().await;
        });
        let third = crowd.seat(b).await.unwrap();
        assert!(leaving.is_cancelled());
        leaver.await.unwrap();
        third.waits(Phase::Work, Duration::ZERO);
        assert!(crowd.seat(b).await.is_none(), "all are at work");

        let permit = crowd.request().await.unwrap();
        assert!(crowd.request().await.is_none());
        // The one that has it does not go on: its place is for the next.
        first.waits(Phase::Body, Duration::from_secs(5));
        let leave = first.leave().clone();
        tokio::spawn(async move {
            leave.cancelled().await;
            drop(permit);
        });
        assert!(crowd.request().await.is_some());
        drop((first, third));
        assert!(crowd.seats().by_address.is_empty() && crowd.seats().taken.is_empty());
    }
}
