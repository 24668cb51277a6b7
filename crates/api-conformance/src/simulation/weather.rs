//! The weather on the way to the hosts: what a seed does to each message.

use messaging::{Link, Way};
use model::Random;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How bad it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Climate {
    /// Of a hundred messages, those that are lost.
    pub lost: u64,
    /// Those that arrive twice.
    pub doubled: u64,
    /// Those that are late, each copy for itself: messages overtake each other.
    pub late: u64,
    /// How late, at most, milliseconds.
    pub delay: u64,
}

impl Climate {
    /// From a drizzle to the worst that is promised: 30 % lost, 30 % doubled, late and out of order.
    pub fn drawn(dice: &Random) -> Climate {
        match dice.below(3) {
            0 => super::worst(),
            1 => Climate { lost: dice.below(31), doubled: dice.below(31), late: dice.below(60), delay: 1 + dice.below(5000) },
            _ => Climate { lost: 0, doubled: dice.below(50), late: 80, delay: 1 + dice.below(20_000) },
        }
    }
}

/// A link with weather.
pub struct Weather {
    dice: Random,
    climate: Option<Climate>,
    calm: AtomicBool,
    cut: Mutex<BTreeSet<String>>,
}

impl Weather {
    /// The weather of a seed.
    pub fn new(seed: u64, climate: Option<Climate>) -> Weather {
        let dice = Random::seeded(seed.rotate_left(17) ^ 0x3ea7_4e12);
        Weather { dice, climate, calm: AtomicBool::new(false), cut: Mutex::default() }
    }
    /// Cuts the way to a host, or mends it.
    pub fn cut(&self, host: &str, cut: bool) {
        let mut all = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        if cut {
            all.insert(host.to_owned());
        } else {
            all.remove(host);
        }
    }
    /// From now on every message arrives at once and once.
    pub fn cease(&self) {
        self.calm.store(true, SeqCst);
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Link for Weather {
    fn copies(&self, host: &str, _: Way) -> Vec<Duration> {
        let Some(climate) = self.climate.as_ref().filter(|_| !self.calm.load(SeqCst)) else { return vec![Duration::ZERO] };
        if self.cut.lock().unwrap_or_else(PoisonError::into_inner).contains(host) {
            return Vec::new();
        }
        let hit = |of: u64| self.dice.below(100) < of;
        if hit(climate.lost) {
            return Vec::new();
        }
        let count = if hit(climate.doubled) { 2 } else { 1 };
        let delay = |_| if hit(climate.late) { Duration::from_millis(self.dice.below(climate.delay)) } else { Duration::ZERO };
        (0..count).map(delay).collect()
    }
}
