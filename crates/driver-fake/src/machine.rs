//! The simulated hypervisor: guests, their consoles' sessions, and whether it answers at all.
//!
//! It outlives the driver in front of it. Tests use it as the hand that pulls the plug.

use crate::events::Watcher;
use crate::faults::{FaultPlan, Strike};
use crate::guest::Guest;
use crate::operation::Operation;
use crate::persist;
use driver_api::{Clock, Error, ErrorKind, EventKind, PowerState, Result, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A simulated host's hypervisor.
#[derive(Default)]
pub struct Machine {
    state: Mutex<State>,
    /// Writes of records, one at a time, each of the state at its moment.
    writing: tokio::sync::Mutex<()>,
}

/// Everything that changes.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) guests: BTreeMap<Uuid, Guest>,
    /// Guests that an operation is at work on.
    busy: BTreeSet<Uuid>,
    /// Open consoles end when their guest stops.
    sessions: BTreeMap<Uuid, CancellationToken>,
    down: bool,
    watcher: Option<Watcher>,
    faults: FaultPlan,
    dir: Option<PathBuf>,
    pub(crate) clock: Option<Clock>,
}

impl State {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.as_ref().map(Clock::now).unwrap_or_default()
    }

    /// The defined guest `id`.
    pub(crate) fn guest(&mut self, id: Uuid) -> Result<&mut Guest> {
        self.guests.get_mut(&id).filter(|g| g.defined).ok_or_else(|| Error::no_instance(id))
    }

    pub(crate) fn emit(&mut self, id: Uuid, kind: EventKind) {
        let now = self.now();
        if let Some(watcher) = &mut self.watcher {
            watcher.send(id, kind, now);
        }
    }

    /// Ends the open consoles of `id`.
    pub(crate) fn hang_up(&mut self, id: Uuid) {
        if let Some(session) = self.sessions.remove(&id) {
            session.cancel();
        }
    }

    /// Fires when the guest that runs now stops.
    pub(crate) fn session(&mut self, id: Uuid) -> CancellationToken {
        self.sessions.entry(id).or_default().clone()
    }

    /// Stops a guest, if it is not off.
    pub(crate) fn halt(&mut self, id: Uuid, line: &str) -> Result<()> {
        let guest = self.guest(id)?;
        if guest.power != PowerState::Shutdown {
            guest.power = PowerState::Shutdown;
            guest.started_at = None;
            guest.log(line.to_owned());
            self.hang_up(id);
            self.emit(id, EventKind::Stopped);
        }
        Ok(())
    }
}

impl Machine {
    /// A machine without guests, in memory.
    pub fn new() -> Arc<Machine> {
        Arc::default()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a driver in front of the machine.
    pub(crate) fn attach(&self, clock: Clock, dir: Option<PathBuf>, faults: FaultPlan, watcher: Option<Watcher>) {
        let mut state = self.lock();
        state.clock = Some(clock);
        state.dir = dir;
        state.faults = faults;
        state.watcher = watcher;
        if !state.down {
            state.emit(Uuid::nil(), EventKind::Connected);
        }
    }

    /// Takes over guests of an earlier life.
    pub(crate) fn adopt(&self, guests: Vec<Guest>) {
        let mut state = self.lock();
        for guest in guests {
            state.guests.entry(guest.id).or_insert(guest);
        }
    }

    /// The driver lets go; guests run on.
    pub(crate) fn detach(&self) {
        self.lock().watcher = None;
    }

    /// Makes the machine answer or not, as a hypervisor's daemon that stops and comes back.
    pub fn set_reachable(&self, reachable: bool) {
        let mut state = self.lock();
        if state.down == reachable {
            state.down = !reachable;
            let kind = if reachable { EventKind::Connected } else { EventKind::Disconnected };
            state.emit(Uuid::nil(), kind);
        }
    }

    /// Whether it answers.
    pub fn is_reachable(&self) -> bool {
        !self.lock().down
    }

    /// The guest dies by itself.
    /// # Errors
    /// `NotFound`.
    pub fn crash(&self, id: Uuid) -> Result<()> {
        let mut state = self.lock();
        let guest = state.guest(id)?;
        guest.power = PowerState::Crashed;
        guest.log("Kernel panic - not syncing: asked to".to_owned());
        state.hang_up(id);
        state.emit(id, EventKind::Crashed);
        Ok(())
    }

    /// The guest shuts itself down.
    /// # Errors
    /// `NotFound`.
    pub fn guest_shutdown(&self, id: Uuid) -> Result<()> {
        self.lock().halt(id, "reboot: Power down")
    }

    /// The guest disappears behind the platform's back.
    pub fn lose(&self, id: Uuid) {
        let mut state = self.lock();
        if state.guests.remove(&id).is_some() {
            state.hang_up(id);
            state.emit(id, EventKind::Stopped);
        }
    }

    /// A guest appears behind the platform's back, running.
    pub fn plant(&self, id: Uuid) {
        let mut state = self.lock();
        state.guests.entry(id).or_insert_with(|| Guest::stranger(id));
        state.emit(id, EventKind::Started);
    }

    /// Nothing fails by plan any more, until the next driver stands in front of the machine.
    pub fn forget_faults(&self) {
        self.lock().faults = FaultPlan::default();
    }

    /// How often a planned fault struck since a driver stands in front of the machine.
    pub fn struck(&self) -> u64 {
        self.lock().faults.struck()
    }

    /// Everything there is, disks without guest included: what a test counts at the end.
    pub fn remains(&self) -> Vec<Guest> {
        self.lock().guests.values().cloned().collect()
    }

    /// Counts the call and says whether a fault strikes it.
    pub(crate) fn strike(&self, operation: Operation) -> Option<Strike> {
        self.lock().faults.next(operation)
    }

    pub(crate) fn check_reachable(&self) -> Result<()> {
        if self.lock().down {
            return Err(Error::new(ErrorKind::Unreachable, "the simulated hypervisor does not answer"));
        }
        Ok(())
    }

    /// Reserves `id` for one operation.
    pub(crate) fn claim(&self, id: Uuid) -> Result<Claim<'_>> {
        if !self.lock().busy.insert(id) {
            return Err(Error::new(ErrorKind::Busy, format!("another operation is at work on instance {id}")));
        }
        Ok(Claim { machine: self, id })
    }

    /// Writes the record of `id` down, where guests shall survive.
    pub(crate) async fn save(&self, id: Uuid) -> Result<()> {
        let failed = |e: &dyn std::fmt::Display| Error::internal("the simulated host could not keep its record", e);
        if self.lock().dir.is_none() {
            return Ok(());
        }
        let _turn = self.writing.lock().await;
        let (dir, guest) = {
            let state = self.lock();
            let Some(dir) = state.dir.clone() else { return Ok(()) };
            (dir, state.guests.get(&id).cloned())
        };
        tokio::task::spawn_blocking(move || persist::save(&dir, id, guest.as_ref()))
            .await
            .map_err(|e| failed(&e))?
            .map_err(|e| failed(&e))
    }
}

/// A guest reserved for one operation, until dropped.
pub(crate) struct Claim<'a> {
    machine: &'a Machine,
    id: Uuid,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.machine.lock().busy.remove(&self.id);
    }
}
