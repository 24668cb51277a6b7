//! What a host remembers of the calls of one connection, so that a copy of a call does nothing twice and a call that was
//! overtaken by a later one undoes nothing of it. Pure, and bounded.

use crate::job::Answer;
use crate::lane::Verb;
use driver_api::Result;
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

/// Answers that are remembered, and guests whose last calls are.
const KEPT: usize = 1024;

/// The memory. Numbers rise with every call; 0 is a call that cannot come twice.
#[derive(Default)]
pub(crate) struct Repeats {
    answers: BTreeMap<u64, Result<Answer>>,
    /// Highest number whose answer was forgotten.
    forgotten: u64,
    /// Last destroy of a guest.
    destroyed: BTreeMap<Uuid, u64>,
    order: VecDeque<Uuid>,
    synced: u64,
}

impl Repeats {
    /// The answer that a call of this number got.
    pub(crate) fn answer(&self, number: u64) -> Option<&Result<Answer>> {
        self.answers.get(&number)
    }

    /// A call was answered.
    pub(crate) fn keep(&mut self, number: u64, answer: Result<Answer>) {
        self.answers.insert(number, answer);
        if self.answers.len() > KEPT
            && let Some((oldest, _)) = self.answers.pop_first()
        {
            self.forgotten = self.forgotten.max(oldest);
        }
    }

    /// A change of `id` begins to count.
    pub(crate) fn accepted(&mut self, id: Uuid, verb: Verb, number: u64) {
        if verb != Verb::Destroy || number == 0 {
            return;
        }
        if self.destroyed.insert(id, number).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.destroyed.remove(&oldest);
        }
    }

    /// Whether a change comes too late: a destroy that was sent after it is here already, or whether it was done before
    /// is not known any more.
    pub(crate) fn outdated(&self, id: Uuid, verb: Verb, number: u64) -> bool {
        let overtaken = self.destroyed.get(&id).is_some_and(|destroy| number < *destroy);
        number > 0 && (number <= self.forgotten || overtaken && verb != Verb::Destroy)
    }

    /// Takes a statement of everything that is assigned; false if a later one was taken before.
    pub(crate) fn sync(&mut self, number: u64) -> bool {
        let late = number < self.synced;
        self.synced = self.synced.max(number);
        !late
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_overtaken_by_a_destroy_is_outdated_and_memory_is_bounded() {
        let (mut r, id) = (Repeats::default(), Uuid::from_u128(1));
        assert!(!r.outdated(id, Verb::Spawn, 1));
        r.accepted(id, Verb::Spawn, 3);
        assert!(!r.outdated(id, Verb::Power, 2));
        r.accepted(id, Verb::Destroy, 4);
        assert!(r.outdated(id, Verb::Spawn, 3));
        assert!(!r.outdated(id, Verb::Spawn, 5), "sent after the destroy");
        assert!(!r.outdated(Uuid::from_u128(2), Verb::Spawn, 3), "another guest");
        assert!(!r.outdated(id, Verb::Spawn, 0), "cannot come twice");
        for n in 1..=KEPT as u64 + 5 {
            r.keep(n, Ok(Answer::Done));
        }
        assert_eq!(r.answers.len(), KEPT);
        assert!(r.answer(5).is_none() && r.outdated(id, Verb::Destroy, 5), "done before, perhaps");
        assert!(r.answer(6).is_some());
        assert!(r.sync(7) && r.sync(7) && !r.sync(6));
    }
}
