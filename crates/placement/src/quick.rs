//! The ranking of an ordinary request in two passes over flat numbers. Same candidates, same weights, same order as
//! [`crate::rank::rank`], which a test holds it against; where a request names hosts, zones, kinds or groups, or no host is
//! left and somebody wants to know why, that one is asked. Pure.

use crate::columns::{CPU, ClassColumn, Columns, DISK, LIVE, RAM, READY, REGISTERED};
use crate::rank::{Best, Candidate, MULTIPLIERS, Ranked};
use crate::spec::RequestSpec;
use std::cell::RefCell;

/// Ranks if the request is ordinary and some host can take it. Refusals are not counted: nobody reads them then.
pub(crate) fn rank(c: &Columns, spec: &RequestSpec, tie: u64) -> Option<Ranked> {
    if !ordinary(c, spec) {
        return None;
    }
    let mut needs: Vec<(&ClassColumn, i64)> = Vec::with_capacity(spec.resources.len());
    for (class, need) in &spec.resources {
        needs.push((c.class(class).filter(|k| k.is_even())?, *need));
    }
    let words = trait_words(c, spec)?;
    ALIVE.with_borrow_mut(|alive| {
        let (considered, free) = pass(c, &needs, &words, alive);
        if alive.is_empty() {
            return None;
        }
        Some(Ranked { considered, candidates: weigh(c, alive, free, spec.limit, tie), refusals: Vec::new() })
    })
}

/// Nothing is asked but amounts and traits.
fn ordinary(c: &Columns, spec: &RequestSpec) -> bool {
    spec.zone.is_none()
        && spec.forced_host.is_none()
        && spec.forced_node.is_none()
        && spec.same_host.is_none()
        && spec.group.is_none()
        && spec.kinds.is_empty()
        && spec.aggregate_extra_specs.is_empty()
        && spec.different_host.is_empty()
        && spec.exclude_hosts.is_empty()
        && spec.limit > 0
        && [CPU, RAM, DISK].iter().all(|class| c.classes.len() > *class)
}

/// Bits that must be there and bits that must not, by word of a row's traits; words that ask for nothing are left out.
/// `None` if a required trait is unknown to every host.
fn trait_words(c: &Columns, spec: &RequestSpec) -> Option<Vec<(usize, u64, u64)>> {
    let mut words: Vec<(usize, u64, u64)> = Vec::new();
    let mut note = |id: u32, required: bool| {
        let (word, bit) = (id as usize / 64, 1 << (id % 64));
        let at = words.iter().position(|w| w.0 == word).unwrap_or_else(|| {
            words.push((word, 0, 0));
            words.len() - 1
        });
        if required {
            words[at].1 |= bit;
        } else {
            words[at].2 |= bit;
        }
    };
    if let Some(format) = &spec.image_format {
        note(c.traits.id(&format!("COMPUTE_IMAGE_TYPE_{}", format.to_uppercase()))?, true);
    }
    for name in &spec.required_traits {
        note(c.traits.id(name)?, true);
    }
    for id in spec.forbidden_traits.iter().filter_map(|name| c.traits.id(name)) {
        note(id, false);
    }
    Some(words)
}

thread_local! {
    /// Rows of the hosts in question: the same memory again and again, for it is large.
    static ALIVE: RefCell<Vec<u32>> = const { RefCell::new(Vec::new()) };
}

/// Least and largest value of a metric among the hosts in question.
#[derive(Clone, Copy)]
struct Range {
    low: i64,
    high: i64,
}

impl Range {
    const NONE: Range = Range { low: i64::MAX, high: i64::MIN };
    #[inline]
    fn see(&mut self, v: i64) {
        self.low = if v < self.low { v } else { self.low };
        self.high = if v > self.high { v } else { self.high };
    }
}

/// Columns that every request asks for; the others are held against the few.
const FLAT: usize = 3;

/// The first pass: how many hosts there are, the rows of those that can take it, and the range of what is free of each of
/// the three that are weighed.
fn pass(c: &Columns, needs: &[(&ClassColumn, i64)], words: &[(usize, u64, u64)], alive: &mut Vec<u32>) -> (usize, [Range; FLAT]) {
    let offered = LIVE | REGISTERED;
    let slots = c.slots();
    // Only amounts that some host could not give in one piece are held against each host's largest piece.
    let pieces = needs.iter().filter(|(k, need)| k.least_max() < *need).map(|(k, need)| (k.max.as_slice(), *need));
    let weighed = [&c.classes[RAM], &c.classes[CPU], &c.classes[DISK]];
    let free = weighed.map(|k| &k.frees()[..slots]);
    let need = weighed.map(|k| needs.iter().find(|(n, _)| n.name == k.name).map_or(i64::MIN, |(_, need)| *need));
    let others = needs.iter().filter(|(k, _)| weighed.iter().all(|w| w.name != k.name)).map(|(k, need)| (k.frees(), *need));
    let more: Vec<(&[i64], i64)> = others.chain(pieces).collect();
    let (mut considered, mut ranges) = (0, [Range::NONE; FLAT]);
    alive.clear();
    for (row, state) in c.state.iter().enumerate() {
        considered += usize::from(state & offered == offered);
        let have = [free[0][row], free[1][row], free[2][row]];
        let fits = (state & READY == READY) & (have[0] >= need[0]) & (have[1] >= need[1]) & (have[2] >= need[2]);
        if !fits || !words.iter().all(|w| c.trait_word(row, w.0) & (w.1 | w.2) == w.1) {
            continue;
        }
        if !more.iter().all(|(values, least)| values[row] >= *least) {
            continue;
        }
        for (range, v) in ranges.iter_mut().zip(have) {
            range.see(v);
        }
        alive.push(u32::try_from(row).unwrap_or(u32::MAX));
    }
    (considered, ranges)
}

/// A metric that differs between hosts: its values, the least of them, and what one more of it weighs.
struct Metric<'a> {
    values: &'a [i64],
    low: i64,
    scale: f64,
}

/// The second pass: weights as they are needed, in no memory but the best.
#[allow(clippy::cast_precision_loss)]
fn weigh(c: &Columns, alive: &[u32], free: [Range; FLAT], limit: usize, tie: u64) -> Vec<Candidate> {
    let [mut io, mut failed] = [Range::NONE; 2];
    for r in alive {
        io.see(c.io_ops[*r as usize]);
        failed.see(c.failed_builds[*r as usize]);
    }
    let columns: [&[i64]; 5] =
        [c.classes[RAM].frees(), c.classes[CPU].frees(), c.classes[DISK].frees(), &c.io_ops, &c.failed_builds];
    let ranges = [free[0], free[1], free[2], io, failed];
    let metrics: Vec<Metric<'_>> = columns
        .into_iter()
        .zip(ranges)
        .zip(MULTIPLIERS)
        .filter(|((_, r), _)| r.high != r.low)
        .map(|((values, r), multiplier)| Metric { values, low: r.low, scale: multiplier / (r.high - r.low) as f64 })
        .collect();
    let mut best = Best::new(limit.min(alive.len()), tie);
    for r in alive {
        let weight = metrics.iter().fold(0.0, |w, m| w + (m.values[*r as usize] - m.low) as f64 * m.scale);
        best.offer(weight, *r);
    }
    best.candidates(c)
}
