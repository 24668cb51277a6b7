//! The lane of one guest: what becomes of a change that arrives. Pure: no task, no clock, no I/O.
//!
//! One change runs, the others wait in order. The same change again joins the one that is there. A change of an older
//! intent than one already accepted is refused (fencing). A destroy cancels what runs and what waits.

use std::collections::VecDeque;
use uuid::Uuid;

/// Changes that may wait for one guest before a further one is refused.
pub const DEPTH: usize = 32;

/// What a change does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names are those of the contract")]
pub enum Verb {
    Spawn,
    Destroy,
    Power,
    Reboot,
    Pause,
    Unpause,
    Suspend,
    Resume,
    Snapshot,
    Rebuild,
}

/// Identity of a change in its lane. A flow's undo carries the flow's id too, so the verb belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket {
    /// Operation.
    pub op: Uuid,
    /// What it does.
    pub verb: Verb,
    /// Generation of the intent.
    pub generation: u64,
}

impl Ticket {
    fn is_same(&self, other: &Ticket) -> bool {
        self.op == other.op && self.verb == other.verb
    }
}

/// Why a change is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// A newer intent was accepted before.
    Stale {
        /// Generation of that intent.
        accepted: u64,
    },
    /// Too many changes wait.
    Full,
}

/// What becomes of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It runs now.
    Start,
    /// It waits for its turn.
    Wait,
    /// It is this one, which runs or waits already.
    Join(Ticket),
    /// These are cancelled (the running one among them keeps the lane until it ended); it runs after them.
    Preempt(Vec<Ticket>),
    /// No.
    Refuse(Refusal),
}

/// One guest's changes. `J` is what the caller keeps with each.
#[derive(Debug)]
pub struct Lane<J> {
    fence: u64,
    running: Option<(Ticket, J)>,
    waiting: VecDeque<(Ticket, J)>,
}

impl<J> Default for Lane<J> {
    fn default() -> Lane<J> {
        Lane::fenced(0)
    }
}

impl<J> Lane<J> {
    /// An idle lane that refuses what is older than `fence`.
    pub fn fenced(fence: u64) -> Lane<J> {
        Lane { fence, running: None, waiting: VecDeque::new() }
    }

    /// Youngest generation accepted.
    pub fn fence(&self) -> u64 {
        self.fence
    }

    /// Learns of an intent without a change.
    pub fn raise(&mut self, generation: u64) {
        self.fence = self.fence.max(generation);
    }

    /// Nothing runs and nothing waits.
    pub fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    /// What would become of `ticket`.
    pub fn decide(&self, ticket: &Ticket) -> Decision {
        let there = self.running.iter().chain(&self.waiting).map(|(t, _)| t);
        if let Some(same) = there.clone().find(|t| t.is_same(ticket)) {
            return Decision::Join(*same);
        }
        if ticket.generation < self.fence {
            return Decision::Refuse(Refusal::Stale { accepted: self.fence });
        }
        if ticket.verb == Verb::Destroy {
            let victims: Vec<Ticket> = there.filter(|t| t.verb != Verb::Destroy).copied().collect();
            if !victims.is_empty() {
                return Decision::Preempt(victims);
            }
        }
        match self.running {
            None => Decision::Start,
            Some(_) if self.waiting.len() >= DEPTH => Decision::Refuse(Refusal::Full),
            Some(_) => Decision::Wait,
        }
    }

    /// Takes `ticket` in, as `decide` said. For `Join` and `Refuse` what runs and waits stays as it is and `job` comes
    /// back; one that joins is an intent all the same: what is older than it is refused from now on.
    pub fn accept(&mut self, ticket: Ticket, job: J) -> (Decision, Option<J>) {
        let decision = self.decide(&ticket);
        match &decision {
            Decision::Join(_) => {
                self.raise(ticket.generation);
                return (decision, Some(job));
            }
            Decision::Refuse(_) => return (decision, Some(job)),
            Decision::Start => self.running = Some((ticket, job)),
            Decision::Wait | Decision::Preempt(_) => self.waiting.push_back((ticket, job)),
        }
        self.raise(ticket.generation);
        (decision, None)
    }

    /// The job of a change that runs or waits.
    pub fn job(&self, ticket: &Ticket) -> Option<&J> {
        self.running.iter().chain(&self.waiting).find(|(t, _)| t == ticket).map(|(_, j)| j)
    }

    /// The change `ticket` ended, run or not. If the lane is free now, the next one takes it and is returned.
    pub fn ended(&mut self, ticket: &Ticket) -> Option<&J> {
        if self.running.as_ref().is_some_and(|(t, _)| t == ticket) {
            self.running = None;
        } else {
            self.waiting.retain(|(t, _)| t != ticket);
        }
        if self.running.is_none() {
            self.running = self.waiting.pop_front();
            return self.running.as_ref().map(|(_, j)| j);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;

    fn ticket(op: u128, verb: Verb, generation: u64) -> Ticket {
        Ticket { op: Uuid::from_u128(op), verb, generation }
    }

    #[test]
    fn the_same_operation_joins_but_its_undo_does_not() {
        let mut lane = Lane::default();
        let spawn = ticket(1, Verb::Spawn, 1);
        assert_eq!(lane.accept(spawn, ()).0, Decision::Start);
        assert_eq!(lane.accept(spawn, ()).0, Decision::Join(spawn));
        assert_eq!(lane.accept(ticket(1, Verb::Destroy, 1), ()).0, Decision::Preempt(vec![spawn]));
    }

    #[test]
    fn who_joins_under_a_newer_intent_shuts_out_the_older_one() {
        let mut lane = Lane::default();
        let spawn = ticket(1, Verb::Spawn, 1);
        assert_eq!(lane.accept(spawn, ()).0, Decision::Start);
        // Another controller took the flow over and asks again; the one before then wants to undo.
        assert_eq!(lane.accept(ticket(1, Verb::Spawn, 2), ()).0, Decision::Join(spawn));
        assert_eq!(lane.accept(ticket(1, Verb::Destroy, 1), ()).0, Decision::Refuse(Refusal::Stale { accepted: 2 }));
    }

    #[test]
    fn an_older_intent_is_refused_even_when_the_guest_is_gone() {
        let mut lane = Lane::default();
        let destroy = ticket(2, Verb::Destroy, 5);
        assert_eq!(lane.accept(destroy, ()).0, Decision::Start);
        assert!(lane.ended(&destroy).is_none());
        let mut later: Lane<()> = Lane::fenced(lane.fence());
        let late = ticket(1, Verb::Spawn, 4);
        assert_eq!(later.accept(late, ()).0, Decision::Refuse(Refusal::Stale { accepted: 5 }));
    }

    const VERBS: [Verb; 10] = [
        Verb::Spawn,
        Verb::Destroy,
        Verb::Power,
        Verb::Reboot,
        Verb::Pause,
        Verb::Unpause,
        Verb::Suspend,
        Verb::Resume,
        Verb::Snapshot,
        Verb::Rebuild,
    ];

    /// Either something arrives, or what runs (or the n-th that waits) ends.
    #[derive(Debug, Clone)]
    enum Event {
        Arrive(Ticket),
        RunningEnds,
        WaitingEnds(usize),
    }

    fn event() -> impl Strategy<Value = Event> {
        let arrive = (0_u128..6, 0_usize..VERBS.len(), 0_u64..6).prop_map(|(o, v, g)| Event::Arrive(ticket(o, VERBS[v], g)));
        prop_oneof![4 => arrive, 2 => Just(Event::RunningEnds), 1 => (0_usize..4).prop_map(Event::WaitingEnds)]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever arrives in whatever order: one runs at a time, generations never go back, the same change is in
        /// the lane once, every accepted change runs or is cancelled by a destroy, and nothing waits
        /// behind a free lane.
        #[test]
        fn a_lane_keeps_its_promises(events in prop::collection::vec(event(), 1..120)) {
            let mut lane: Lane<()> = Lane::default();
            let mut inside: Vec<Ticket> = Vec::new();
            let mut running: Option<Ticket> = None;
            let mut cancelled: Vec<Ticket> = Vec::new();
            let mut last_started = 0;
            for event in events {
                match event {
                    Event::Arrive(t) => {
                        let fence = lane.fence();
                        match lane.accept(t, ()).0 {
                            Decision::Start => { prop_assert!(running.is_none()); running = Some(t); inside.push(t); }
                            Decision::Wait => { prop_assert!(running.is_some()); inside.push(t); }
                            Decision::Join(s) => prop_assert!(inside.contains(&s) && s.is_same(&t)),
                            Decision::Preempt(v) => {
                                prop_assert!(t.verb == Verb::Destroy && v.iter().all(|s| s.verb != Verb::Destroy));
                                cancelled.extend(v);
                                inside.push(t);
                            }
                            Decision::Refuse(Refusal::Stale { accepted }) => {
                                prop_assert!(t.generation < accepted);
                                prop_assert_eq!(fence, lane.fence());
                            }
                            Decision::Refuse(Refusal::Full) => prop_assert!(inside.len() > DEPTH),
                        }
                    }
                    Event::RunningEnds => if let Some(t) = running {
                        lane.ended(&t);
                        inside.retain(|i| *i != t);
                        running = inside.first().copied();
                    },
                    Event::WaitingEnds(n) => {
                        let waiting: Vec<Ticket> = inside.iter().copied().filter(|i| Some(*i) != running).collect();
                        if let Some(t) = waiting.get(n) {
                            prop_assert!(lane.ended(t).is_none());
                            inside.retain(|i| i != t);
                        }
                    }
                }
                prop_assert_eq!(lane.running.as_ref().map(|(t, ())| *t), running);
                prop_assert_eq!(lane.waiting.len() + usize::from(running.is_some()), inside.len());
                prop_assert!(running.is_some() || lane.is_idle());
                if let Some(t) = running {
                    prop_assert!(t.generation >= last_started, "an older intent ran after a newer one");
                    last_started = t.generation;
                }
                prop_assert!(inside.iter().all(|t| t.generation <= lane.fence()));
            }
            // After a destroy was accepted, every change that stood before it is marked as cancelled.
            if let Some(at) = inside.iter().rposition(|t| t.verb == Verb::Destroy) {
                prop_assert!(inside[..at].iter().all(|t| t.verb == Verb::Destroy || cancelled.contains(t)));
            }
        }
    }
}
