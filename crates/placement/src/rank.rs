//! Filters and weighers: which hosts can take a server, the best first, and why the others cannot.
//!
//! Pure: columns, request and a number that breaks ties in, ranking out. Each filter counts the hosts that fell
//! at it. Words (zones, drivers, aggregates) are judged once per distinct word, not once per host, so that ten
//! thousand hosts cost a few passes over flat numbers.

use crate::columns::{CPU, ClassColumn, Columns, DISK, ENABLED, LIVE, RAM, READY, REGISTERED, UP};
use crate::ops;
use crate::spec::RequestSpec;
use model::placement::{DISK_GB, MEMORY_MB, VCPU};
use model::server_group::Policy;
use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use uuid::Uuid;

/// A host that can take the server.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its provider.
    pub provider: Uuid,
    /// Host.
    pub host: String,
    /// Node.
    pub node: String,
    /// Zone of the host.
    pub zone: String,
    /// Higher is better.
    pub weight: f64,
}

/// How many hosts fell at one filter.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct FilterCount {
    /// The filter.
    pub filter: String,
    /// Hosts that fell.
    pub fell: usize,
    /// Why, in numbers; names no host.
    pub reason: String,
}

/// The outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Hosts looked at.
    pub considered: usize,
    /// The best first, at most as many as asked for.
    pub candidates: Vec<Candidate>,
    /// Filters at which hosts fell, in order.
    pub refusals: Vec<FilterCount>,
}

impl Ranked {
    /// The fault's text where no host is left: says per filter how many hosts fell and why.
    pub fn no_valid_host(&self) -> String {
        if self.considered == 0 {
            return "No valid host was found. No compute host has registered yet.".into();
        }
        let hosts = if self.considered == 1 { "host" } else { "hosts" };
        let fell: Vec<String> =
            self.refusals.iter().map(|r| format!("{} fell at {} ({})", r.fell, r.filter, r.reason)).collect();
        let fell = if fell.is_empty() { "all were taken by others meanwhile".to_owned() } else { fell.join(", ") };
        format!("No valid host was found. {} {hosts}: {fell}.", self.considered)
    }
}

/// The hosts still in question, and who fell.
struct Sieve {
    alive: Vec<u32>,
    refusals: Vec<FilterCount>,
}

impl Sieve {
    fn hold(&mut self, filter: &str, keep: impl Fn(usize) -> bool, reason: impl FnOnce() -> String) {
        let before = self.alive.len();
        self.alive.retain(|r| keep(*r as usize));
        let fell = before - self.alive.len();
        if fell > 0 {
            self.refusals.push(FilterCount { filter: filter.to_owned(), fell, reason: reason() });
        }
    }
}

impl Sieve {
    /// Holds a property that is a word: `met` judges each word once. Where all words pass, no host is looked at.
    fn hold_word(&mut self, filter: &str, words: &[u32], met: &[bool], reason: impl FnOnce() -> String) {
        if !met.iter().all(|m| *m) {
            self.hold(filter, |r| met.get(words[r] as usize).copied().unwrap_or(false), reason);
        }
    }
}

/// Ranks the hosts for `spec`. `tie` decides between hosts of equal weight.
pub fn rank(c: &Columns, spec: &RequestSpec, tie: u64) -> Ranked {
    let offered = LIVE | REGISTERED;
    let alive: Vec<u32> = (0u32..).zip(&c.state).filter(|(_, s)| **s & offered == offered).map(|(r, _)| r).collect();
    let considered = alive.len();
    let mut sieve = Sieve { alive, refusals: Vec::new() };
    filter_state(c, &mut sieve);
    filter_hosts(c, spec, &mut sieve);
    filter_words(c, spec, &mut sieve);
    filter_traits(c, spec, &mut sieve);
    filter_resources(c, spec, &mut sieve);
    filter_group(c, spec, &mut sieve);
    Ranked { considered, candidates: weigh(c, &sieve.alive, spec, tie), refusals: sieve.refusals }
}

fn filter_state(c: &Columns, sieve: &mut Sieve) {
    let (down, disabled) = (Cell::new(0), Cell::new(0));
    let keep = |r: usize| {
        let s = c.state[r];
        if s & UP == 0 {
            down.set(down.get() + 1);
        } else if s & ENABLED == 0 {
            disabled.set(disabled.get() + 1);
        }
        s & READY == READY
    };
    sieve.hold("ComputeFilter", keep, || format!("{} down, {} disabled", down.get(), disabled.get()));
}

fn filter_hosts(c: &Columns, spec: &RequestSpec, sieve: &mut Sieve) {
    let among = |hosts: &[String], r: usize| hosts.iter().any(|h| **h == *c.host[r]);
    if let Some(host) = &spec.forced_host {
        sieve.hold("ForcedHost", |r| *c.host[r] == **host, || "another host was asked for".into());
    }
    if let Some(node) = &spec.forced_node {
        sieve.hold("ForcedHost", |r| c.node(r) == node, || "another node was asked for".into());
    }
    if !spec.exclude_hosts.is_empty() {
        sieve.hold("RetryFilter", |r| !among(&spec.exclude_hosts, r), || "tried before and failed".into());
    }
    if let Some(hosts) = &spec.same_host {
        sieve.hold("SameHostFilter", |r| among(hosts, r), || "not a host of the servers in hint same_host".into());
    }
    if !spec.different_host.is_empty() {
        let reason = || "a host of the servers in hint different_host".into();
        sieve.hold("DifferentHostFilter", |r| !among(&spec.different_host, r), reason);
    }
}

fn filter_words(c: &Columns, spec: &RequestSpec, sieve: &mut Sieve) {
    if let Some(zone) = &spec.zone {
        let met: Vec<bool> = c.zones.names.iter().map(|z| **z == **zone).collect();
        sieve.hold_word("AvailabilityZoneFilter", &c.zone, &met, || format!("not in availability zone {zone}"));
    }
    if !spec.kinds.is_empty() {
        let met: Vec<bool> = c.kinds.names.iter().map(|k| spec.kinds.iter().all(|w| kind_meets(k, w))).collect();
        let reason = || format!("need hypervisor type {}", spec.kinds.join(" and "));
        sieve.hold_word("DriverKindFilter", &c.kind, &met, reason);
    }
    if !spec.aggregate_extra_specs.is_empty() {
        let met: Vec<bool> = c.groups.iter().map(|g| group_meets(c, g, spec)).collect();
        let keys: Vec<&str> = spec.aggregate_extra_specs.keys().map(String::as_str).collect();
        let reason = || format!("no aggregate with the flavor's {}", keys.join(", "));
        sieve.hold_word("AggregateInstanceExtraSpecsFilter", &c.group, &met, reason);
    }
}

/// `kind` is `driver\0hypervisor_type`. Nova calls the hypervisor QEMU with and without KVM, images say either.
fn kind_meets(kind: &str, want: &str) -> bool {
    let want = want.to_ascii_lowercase();
    kind.to_ascii_lowercase().split('\0').any(|have| {
        ops::matches(have, &want) || (have == "qemu" && ops::matches("kvm", &want))
    })
}

fn group_meets(c: &Columns, group: &[u32], spec: &RequestSpec) -> bool {
    spec.aggregate_extra_specs.iter().all(|(key, want)| {
        let values = group.iter().filter_map(|a| c.aggregates.get(*a as usize)?.metadata.get(key));
        values.flat_map(|v| v.split(',')).any(|have| ops::matches(have.trim(), want))
    })
}

fn filter_traits(c: &Columns, spec: &RequestSpec, sieve: &mut Sieve) {
    if let Some(format) = &spec.image_format {
        let id = c.traits.id(&format!("COMPUTE_IMAGE_TYPE_{}", format.to_uppercase()));
        let reason = || format!("cannot boot images of format {format}");
        sieve.hold("ImageFormatFilter", |r| id.is_some_and(|id| c.has_trait(r, id)), reason);
    }
    for name in &spec.required_traits {
        let id = c.traits.id(name);
        sieve.hold("TraitsFilter", |r| id.is_some_and(|id| c.has_trait(r, id)), || format!("trait {name} is missing"));
    }
    for name in &spec.forbidden_traits {
        if let Some(id) = c.traits.id(name) {
            sieve.hold("TraitsFilter", |r| !c.has_trait(r, id), || format!("trait {name} is forbidden"));
        }
    }
}

fn filter_resources(c: &Columns, spec: &RequestSpec, sieve: &mut Sieve) {
    for (class, need) in &spec.resources {
        let filter = match class.as_str() {
            VCPU => "VcpuFilter".to_owned(),
            MEMORY_MB => "RamFilter".to_owned(),
            DISK_GB => "DiskFilter".to_owned(),
            other => format!("ResourceFilter[{other}]"),
        };
        let Some(column) = c.class(class) else {
            sieve.hold(&filter, |_| false, || format!("need {need}, no host has any"));
            continue;
        };
        filter_class(column, *need, &filter, sieve);
    }
}

/// Last, so that a host that would do but for the group is counted here.
fn filter_group(c: &Columns, spec: &RequestSpec, sieve: &mut Sieve) {
    let Some(g) = &spec.group else { return };
    let (filter, why) = match g.group.policy {
        Policy::Affinity => ("ServerGroupAffinityFilter", "the group's servers are on another host"),
        Policy::AntiAffinity => ("ServerGroupAntiAffinityFilter", "as many of the group's servers as may be there are there"),
        Policy::SoftAffinity | Policy::SoftAntiAffinity => return,
    };
    sieve.hold(filter, |r| g.admits(&c.host[r]), || why.into());
}

fn filter_class(column: &ClassColumn, need: i64, filter: &str, sieve: &mut Sieve) {
    let (most, unit) = (Cell::new(0), Cell::new(0));
    let keep = |r: usize| {
        let fits = column.fits(r, need);
        if !fits {
            most.set(most.get().max(column.free(r)));
            unit.set(unit.get().max(column.max[r]));
        }
        fits
    };
    sieve.hold(filter, keep, || {
        if most.get() >= need && unit.get() < need {
            format!("need {need} in one piece, largest piece {}", unit.get())
        } else {
            format!("need {need}, most free {}", most.get())
        }
    });
}

/// Metrics that are weighed, as `nova/scheduler/weights` has them by default: more free memory, CPUs and disk are
/// better, running builds and failed ones are worse. Failures outweigh all else.
pub(crate) const MULTIPLIERS: [f64; 5] = [1.0, 1.0, 1.0, -1.0, -1_000_000.0];

/// An order of best hosts that a heap understands: weight, then the tie's own order, then the row.
#[derive(PartialEq)]
struct Key(f64, u64, u32);
impl Eq for Key {}
impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Key {
    fn cmp(&self, other: &Key) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0).then(self.1.cmp(&other.1)).then(other.2.cmp(&self.2))
    }
}

/// Weight of a soft policy: above all that is free together, below failed builds. (In the original it is one among
/// equals, and an emptier host may win over the group.)
const SOFT_GROUP: f64 = 10.0;

/// Adds a metric, scaled to its range over the hosts in question.
#[allow(clippy::cast_precision_loss)]
fn add_metric(weights: &mut [f64], alive: &[u32], multiplier: f64, value: impl Fn(usize) -> i64) {
    let (mut low, mut high) = (i64::MAX, i64::MIN);
    for r in alive {
        let v = value(*r as usize);
        (low, high) = (low.min(v), high.max(v));
    }
    // A metric that is the same everywhere says nothing.
    if high == low {
        return;
    }
    let scale = multiplier / (high - low) as f64;
    for (w, r) in weights.iter_mut().zip(alive) {
        *w += (value(*r as usize) - low) as f64 * scale;
    }
}

fn weigh(c: &Columns, alive: &[u32], spec: &RequestSpec, tie: u64) -> Vec<Candidate> {
    let limit = spec.limit;
    if alive.is_empty() || limit == 0 {
        return Vec::new();
    }
    let metrics: [&[i64]; 5] =
        [c.classes[RAM].frees(), c.classes[CPU].frees(), c.classes[DISK].frees(), &c.io_ops, &c.failed_builds];
    let mut weights = vec![0.0; alive.len()];
    for (values, multiplier) in metrics.into_iter().zip(MULTIPLIERS) {
        add_metric(&mut weights, alive, multiplier, |r| values[r]);
    }
    if let Some(g) = &spec.group {
        let members = |r: usize| g.hosts.get(&*c.host[r]).copied().unwrap_or(0);
        match g.group.policy {
            Policy::SoftAffinity => add_metric(&mut weights, alive, SOFT_GROUP, members),
            Policy::SoftAntiAffinity => add_metric(&mut weights, alive, -SOFT_GROUP, members),
            Policy::Affinity | Policy::AntiAffinity => {}
        }
    }
    let mut best = Best::new(limit.min(alive.len()), tie);
    for (weight, r) in weights.into_iter().zip(alive) {
        best.offer(weight, *r);
    }
    best.candidates(c)
}

/// The best so far, at most so many.
pub(crate) struct Best {
    heap: BinaryHeap<Reverse<Key>>,
    limit: usize,
    tie: u64,
    /// The worst that is kept, once so many are.
    floor: Key,
}

impl Best {
    pub(crate) fn new(limit: usize, tie: u64) -> Best {
        Best { heap: BinaryHeap::with_capacity(limit + 1), limit, tie, floor: Key(f64::NEG_INFINITY, 0, u32::MAX) }
    }
    /// Keeps a row if it is among the best.
    #[inline]
    pub(crate) fn offer(&mut self, weight: f64, row: u32) {
        if weight >= self.floor.0 {
            self.take(Key(weight, mix(self.tie, row), row));
        }
    }
    fn take(&mut self, key: Key) {
        if self.heap.len() == self.limit {
            if key < self.floor {
                return;
            }
            self.heap.pop();
        }
        self.heap.push(Reverse(key));
        if self.heap.len() == self.limit
            && let Some(worst) = self.heap.peek()
        {
            self.floor = Key(worst.0.0, worst.0.1, worst.0.2);
        }
    }
    /// They, the best first.
    pub(crate) fn candidates(self, c: &Columns) -> Vec<Candidate> {
        let mut keys: Vec<Key> = self.heap.into_iter().map(|k| k.0).collect();
        keys.sort_by(|a, b| b.cmp(a));
        keys.iter().filter_map(|k| candidate(c, k.2 as usize, k.0)).collect()
    }
}

fn candidate(c: &Columns, row: usize, weight: f64) -> Option<Candidate> {
    let p = c.provider[row].as_ref()?;
    Some(Candidate {
        provider: p.id,
        host: c.host[row].to_string(),
        node: c.node(row).to_owned(),
        zone: c.zones.names[c.zone[row] as usize].to_string(),
        weight,
    })
}

/// SplitMix64's finish: a different order of rows for every `tie`.
fn mix(tie: u64, row: u32) -> u64 {
    let mut z = tie ^ u64::from(row).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Zones in which a host could take servers, sorted.
pub(crate) fn zones_up(c: &Columns) -> BTreeSet<String> {
    let ready = (0..c.slots()).filter(|r| c.state[*r] & READY == READY);
    ready.map(|r| c.zones.names[c.zone[r] as usize].to_string()).collect()
}

#[cfg(test)]
mod tests;
