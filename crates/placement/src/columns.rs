//! What is known of every provider, as columns: one vector per property, one row per provider.
//!
//! Memory proposes, the database disposes: a value here may be a moment old, and a claim that trusted it is
//! refused by the guarded update. Rows are reused after removal and never move, so a row number is stable
//! while its provider lives. Never does I/O.

use model::aggregate::{self, Aggregate};
use model::placement::{DISK_GB, Inventory, MEMORY_MB, Provider, Resources, VCPU};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// The slot holds a provider.
pub(crate) const LIVE: u8 = 1;
/// A host has registered it since the process began.
pub(crate) const REGISTERED: u8 = 2;
/// The operator lets new servers onto it.
pub(crate) const ENABLED: u8 = 4;
/// Its host answers.
pub(crate) const UP: u8 = 8;
/// All that a host needs to take a server.
pub(crate) const READY: u8 = LIVE | REGISTERED | ENABLED | UP;

/// Column of [`VCPU`].
pub(crate) const CPU: usize = 0;
/// Column of [`MEMORY_MB`].
pub(crate) const RAM: usize = 1;
/// Column of [`DISK_GB`].
pub(crate) const DISK: usize = 2;

/// One provider as the store holds it: what a row is filled from.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// The provider.
    pub provider: Provider,
    /// Its inventories.
    pub inventories: Vec<Inventory>,
    /// Its traits.
    pub traits: Vec<String>,
    /// Its Placement aggregates.
    pub aggregates: Vec<Uuid>,
    /// Consumers that hold something of it.
    pub consumers: i64,
}

/// What a host says of one of its nodes, for as long as the process lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Driver's name.
    pub driver: String,
    /// `hypervisor_type`.
    pub hypervisor_type: String,
    /// The operator lets new servers onto it.
    pub enabled: bool,
}

/// One resource class over all rows. A row without the class has capacity -1.
#[derive(Debug, Clone)]
pub(crate) struct ClassColumn {
    pub(crate) name: Arc<str>,
    pub(crate) total: Vec<i64>,
    pub(crate) capacity: Vec<i64>,
    pub(crate) used: Vec<i64>,
    /// `capacity - used`, kept beside them: the number that every filter and weigher reads.
    free: Vec<i64>,
    pub(crate) max: Vec<i64>,
    pub(crate) min: Vec<i64>,
    pub(crate) step: Vec<i64>,
    /// Some row has a least amount or a step other than 1.
    uneven: bool,
    /// No row's largest piece is smaller.
    least_max: i64,
}

impl ClassColumn {
    fn new(name: &str, rows: usize) -> ClassColumn {
        ClassColumn {
            name: name.into(),
            total: vec![0; rows],
            capacity: vec![-1; rows],
            used: vec![0; rows],
            free: vec![-1; rows],
            max: vec![0; rows],
            min: vec![1; rows],
            step: vec![1; rows],
            uneven: false,
            least_max: i64::MAX,
        }
    }
    fn grow(&mut self) {
        self.total.push(0);
        self.capacity.push(-1);
        self.used.push(0);
        self.free.push(-1);
        self.max.push(0);
        self.min.push(1);
        self.step.push(1);
    }
    fn clear(&mut self, row: usize) {
        (self.total[row], self.capacity[row], self.used[row], self.free[row]) = (0, -1, 0, -1);
        (self.min[row], self.max[row], self.step[row]) = (1, 0, 1);
    }
    fn set(&mut self, row: usize, i: &Inventory) {
        (self.total[row], self.capacity[row], self.used[row]) = (i.total, i.capacity(), i.used);
        (self.min[row], self.max[row], self.step[row]) = (i.min_unit, i.max_unit, i.step_size.max(1));
        self.free[row] = self.capacity[row] - i.used;
        self.uneven |= i.min_unit != 1 || i.step_size > 1;
        self.least_max = self.least_max.min(i.max_unit);
    }
    fn note(&mut self, row: usize, change: i64) {
        self.used[row] = (self.used[row] + change).max(0);
        self.free[row] = self.capacity[row] - self.used[row];
    }
    /// Has the row this class?
    pub(crate) fn has(&self, row: usize) -> bool {
        self.capacity[row] >= 0
    }
    /// Not promised yet.
    pub(crate) fn free(&self, row: usize) -> i64 {
        self.free[row]
    }
    /// The same of every row.
    pub(crate) fn frees(&self) -> &[i64] {
        &self.free
    }
    /// Every row promises any amount up to its largest piece.
    pub(crate) fn is_even(&self) -> bool {
        !self.uneven
    }
    /// No row's largest piece is smaller than this.
    pub(crate) fn least_max(&self) -> i64 {
        self.least_max
    }
    /// Could the row promise `amount`?
    pub(crate) fn fits(&self, row: usize, amount: i64) -> bool {
        self.free[row] >= amount
            && amount <= self.max[row]
            && (!self.uneven || (amount >= self.min[row] && amount % self.step[row] == 0))
    }
}

/// Words that many rows share, as numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words {
    pub(crate) names: Vec<Arc<str>>,
    ids: BTreeMap<Arc<str>, u32>,
}

impl Words {
    pub(crate) fn id(&self, word: &str) -> Option<u32> {
        self.ids.get(word).copied()
    }
    fn intern(&mut self, word: &str) -> u32 {
        if let Some(id) = self.ids.get(word) {
            return *id;
        }
        let id = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = word.into();
        self.names.push(name.clone());
        self.ids.insert(name, id);
        id
    }
}

/// The columns.
#[derive(Debug, Clone)]
pub struct Columns {
    rows: BTreeMap<Uuid, u32>,
    /// Rows of each host.
    by_host: BTreeMap<Arc<str>, Vec<u32>>,
    unused: Vec<u32>,
    pub(crate) provider: Vec<Option<Arc<Provider>>>,
    pub(crate) host: Vec<Arc<str>>,
    pub(crate) state: Vec<u8>,
    pub(crate) zone: Vec<u32>,
    pub(crate) kind: Vec<u32>,
    pub(crate) group: Vec<u32>,
    pub(crate) instances: Vec<i64>,
    pub(crate) io_ops: Vec<i64>,
    pub(crate) failed_builds: Vec<i64>,
    pub(crate) member_of: Vec<Vec<Uuid>>,
    pub(crate) classes: Vec<ClassColumn>,
    stride: usize,
    bits: Vec<u64>,
    pub(crate) traits: Words,
    pub(crate) zones: Words,
    /// `driver\0hypervisor_type`.
    pub(crate) kinds: Words,
    /// Each distinct set of host aggregates, as indices into `aggregates`.
    pub(crate) groups: Vec<Vec<u32>>,
    pub(crate) aggregates: Vec<Aggregate>,
}

impl Default for Columns {
    fn default() -> Columns {
        Columns::new()
    }
}

impl Columns {
    /// Without a row.
    pub fn new() -> Columns {
        Columns {
            rows: BTreeMap::new(),
            by_host: BTreeMap::new(),
            unused: Vec::new(),
            provider: Vec::new(),
            host: Vec::new(),
            state: Vec::new(),
            zone: Vec::new(),
            kind: Vec::new(),
            group: Vec::new(),
            instances: Vec::new(),
            io_ops: Vec::new(),
            failed_builds: Vec::new(),
            member_of: Vec::new(),
            classes: [VCPU, MEMORY_MB, DISK_GB].iter().map(|c| ClassColumn::new(c, 0)).collect(),
            stride: 1,
            bits: Vec::new(),
            traits: Words::default(),
            zones: Words::default(),
            kinds: Words::default(),
            groups: vec![Vec::new()],
            aggregates: Vec::new(),
        }
    }
    /// Providers known.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    /// None known.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
    /// The row of a provider.
    pub(crate) fn row(&self, id: Uuid) -> Option<usize> {
        self.rows.get(&id).map(|r| *r as usize)
    }
    /// Rows in use, by provider id: an order that does not depend on history.
    pub(crate) fn by_id(&self) -> impl Iterator<Item = usize> {
        self.rows.values().map(|r| *r as usize)
    }
    /// All slots, used or not.
    pub(crate) fn slots(&self) -> usize {
        self.state.len()
    }
    pub(crate) fn class(&self, name: &str) -> Option<&ClassColumn> {
        self.classes.iter().find(|c| &*c.name == name)
    }
    pub(crate) fn has_trait(&self, row: usize, id: u32) -> bool {
        self.bits[row * self.stride + id as usize / 64] & (1 << (id % 64)) != 0
    }
    /// 64 of a row's traits, as bits.
    pub(crate) fn trait_word(&self, row: usize, word: usize) -> u64 {
        self.bits[row * self.stride + word]
    }
    pub(crate) fn traits_of(&self, row: usize) -> impl Iterator<Item = &Arc<str>> {
        let has = move |(id, _): &(usize, &Arc<str>)| u32::try_from(*id).is_ok_and(|id| self.has_trait(row, id));
        self.traits.names.iter().enumerate().filter(has).map(|(_, n)| n)
    }
    /// The node's name of a row.
    pub(crate) fn node(&self, row: usize) -> &str {
        self.provider[row].as_ref().and_then(|p| p.node.as_deref()).unwrap_or("")
    }

    /// Adds or refreshes a provider's row. What only memory knows of it stays.
    pub fn upsert(&mut self, l: &Loaded) {
        let row = match self.row(l.provider.id) {
            Some(row) => row,
            None => self.add_row(l.provider.id),
        };
        self.state[row] |= LIVE;
        self.set_host(row, l.provider.host.as_deref().unwrap_or(""));
        self.provider[row] = Some(Arc::new(l.provider.clone()));
        self.instances[row] = l.consumers;
        self.member_of[row].clone_from(&l.aggregates);
        for c in &mut self.classes {
            c.clear(row);
        }
        for i in &l.inventories {
            let at = self.classes.iter().position(|c| *c.name == *i.class).unwrap_or_else(|| {
                self.classes.push(ClassColumn::new(&i.class, self.state.len()));
                self.classes.len() - 1
            });
            self.classes[at].set(row, i);
        }
        self.set_traits(row, &l.traits);
        self.place(row);
    }
    /// Removes a provider.
    pub fn remove(&mut self, id: Uuid) {
        let Some(number) = self.rows.remove(&id) else { return };
        let row = number as usize;
        self.set_host(row, "");
        self.state[row] = 0;
        self.provider[row] = None;
        for c in &mut self.classes {
            c.clear(row);
        }
        (self.io_ops[row], self.failed_builds[row], self.instances[row]) = (0, 0, 0);
        self.unused.push(number);
    }
    /// Providers that are not among `ids` are gone.
    pub(crate) fn retain(&mut self, ids: &BTreeSet<Uuid>) {
        let gone: Vec<Uuid> = self.rows.keys().filter(|id| !ids.contains(id)).copied().collect();
        for id in gone {
            self.remove(id);
        }
    }
    /// Notes what its host says of a provider; such a row may take servers.
    pub fn set_facts(&mut self, id: Uuid, facts: &Facts) {
        let Some(row) = self.row(id) else { return };
        self.kind[row] = self.kinds.intern(&format!("{}\0{}", facts.driver, facts.hypervisor_type));
        self.flag(row, REGISTERED, true);
        self.flag(row, ENABLED, facts.enabled);
    }
    /// Its host no longer offers this provider.
    pub(crate) fn unregister(&mut self, id: Uuid) {
        if let Some(row) = self.row(id) {
            self.flag(row, REGISTERED, false);
        }
    }
    /// Sets a flag of all rows of a host.
    pub(crate) fn flag_host(&mut self, host: &str, flag: u8, on: bool) {
        for row in self.rows_of(host).to_vec() {
            self.flag(row as usize, flag, on);
        }
    }
    /// Rows of a host's nodes.
    pub(crate) fn rows_of(&self, host: &str) -> &[u32] {
        self.by_host.get(host).map_or(&[], Vec::as_slice)
    }
    fn set_host(&mut self, row: usize, host: &str) {
        if *self.host[row] == *host {
            return;
        }
        let number = u32::try_from(row).unwrap_or(u32::MAX);
        let before = std::mem::replace(&mut self.host[row], host.into());
        if let Some(rows) = self.by_host.get_mut(&before) {
            rows.retain(|r| *r != number);
            if rows.is_empty() {
                self.by_host.remove(&before);
            }
        }
        if !host.is_empty() {
            self.by_host.entry(self.host[row].clone()).or_default().push(number);
        }
    }
    /// The host aggregates as they are now; zones follow from them.
    pub fn set_aggregates(&mut self, aggregates: &[Aggregate]) {
        self.aggregates = aggregates.to_vec();
        self.groups = vec![Vec::new()];
        for row in 0..self.slots() {
            self.place(row);
        }
    }
    /// Adds (`sign` 1) or takes away (-1) what a consumer holds of a provider.
    pub(crate) fn note(&mut self, id: Uuid, resources: &Resources, sign: i64) {
        let Some(row) = self.row(id) else { return };
        for (class, amount) in resources {
            if let Some(c) = self.classes.iter_mut().find(|c| *c.name == **class) {
                c.note(row, sign * amount);
            }
        }
        self.instances[row] = (self.instances[row] + sign).max(0);
    }

    fn flag(&mut self, row: usize, flag: u8, on: bool) {
        if on {
            self.state[row] |= flag;
        } else {
            self.state[row] &= !flag;
        }
    }
    fn add_row(&mut self, id: Uuid) -> usize {
        let row = match self.unused.pop() {
            Some(n) => n as usize,
            None => {
                self.provider.push(None);
                self.host.push("".into());
                self.state.push(0);
                self.zone.push(0);
                self.kind.push(u32::MAX);
                self.group.push(0);
                self.instances.push(0);
                self.io_ops.push(0);
                self.failed_builds.push(0);
                self.member_of.push(Vec::new());
                self.bits.extend(std::iter::repeat_n(0, self.stride));
                self.classes.iter_mut().for_each(ClassColumn::grow);
                self.state.len() - 1
            }
        };
        self.rows.insert(id, u32::try_from(row).unwrap_or(u32::MAX));
        row
    }
    fn set_traits(&mut self, row: usize, names: &[String]) {
        let ids: Vec<usize> = names.iter().map(|n| self.traits.intern(n) as usize).collect();
        let words = self.traits.names.len().div_ceil(64).max(1);
        if words > self.stride {
            let (old, slots) = (self.stride, self.slots());
            let mut bits = vec![0; slots * words];
            for r in 0..slots {
                bits[r * words..r * words + old].copy_from_slice(&self.bits[r * old..(r + 1) * old]);
            }
            (self.stride, self.bits) = (words, bits);
        }
        let start = row * self.stride;
        self.bits[start..start + self.stride].fill(0);
        for id in ids {
            self.bits[start + id / 64] |= 1 << (id % 64);
        }
    }
    /// Zone and aggregates of a row, from its host.
    fn place(&mut self, row: usize) {
        let host = self.host[row].clone();
        let zone = aggregate::zone_of(&host, &self.aggregates).to_owned();
        self.zone[row] = self.zones.intern(&zone);
        let set: Vec<u32> = (0u32..)
            .zip(&self.aggregates)
            .filter(|(_, a)| a.hosts.iter().any(|h| **h == *host))
            .map(|(i, _)| i)
            .collect();
        let at = self.groups.iter().position(|g| *g == set).unwrap_or_else(|| {
            self.groups.push(set);
            self.groups.len() - 1
        });
        self.group[row] = u32::try_from(at).unwrap_or(0);
    }
}
