//! The hands in the machinery: what a flow's probe answers, and the door that a process dies in.

use conductor::Step;
use driver_api::Error;
use flow::{Fault, Mode, Moment, Probe, Verdict};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Door;
use tokio_util::sync::CancellationToken;

/// What shall happen to a step.
#[derive(Clone)]
enum Wish {
    /// It goes wrong.
    Fault(Arc<Fault<Step, Error>>),
    /// It waits there, once, until it is let go.
    Hold { moment: Moment, reached: CancellationToken, until: CancellationToken },
}

#[derive(Default)]
struct State {
    wish: Option<Wish>,
    steps: Vec<Step>,
    undone: BTreeSet<Step>,
}

/// A probe whose mind can be changed while the cloud runs.
#[derive(Default)]
pub struct Plan(Mutex<State>);

impl Plan {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// Nothing goes wrong from now on, and what was seen is forgotten.
    pub fn clear(&self) {
        *self.state() = State::default();
    }
    /// `step` goes wrong.
    pub fn fault(&self, step: Step, mode: Mode, error: Error) -> Arc<Fault<Step, Error>> {
        let fault = Arc::new(Fault::new(step, mode, error));
        self.state().wish = Some(Wish::Fault(fault.clone()));
        fault
    }
    /// The next step waits at `moment`: what says that it is there, and what lets it go.
    pub fn hold(&self, moment: Moment) -> (CancellationToken, CancellationToken) {
        let (reached, until) = (CancellationToken::new(), CancellationToken::new());
        self.state().wish = Some(Wish::Hold { moment, reached: reached.clone(), until: until.clone() });
        (reached, until)
    }
    /// Steps that began since it was cleared, each once, in order.
    pub fn steps(&self) -> Vec<Step> {
        self.state().steps.clone()
    }
    /// Steps whose undo ran since then.
    pub fn undone(&self) -> BTreeSet<Step> {
        self.state().undone.clone()
    }
}

impl Probe<Step, Error> for Plan {
    fn at(&self, step: Step, moment: Moment) -> Verdict<Error> {
        let mut state = self.state();
        if moment == Moment::BeforeAction && !state.steps.contains(&step) {
            state.steps.push(step);
        }
        if moment == Moment::AfterUndo {
            state.undone.insert(step);
        }
        match state.wish.clone() {
            Some(Wish::Fault(fault)) => fault.at(step, moment),
            Some(Wish::Hold { moment: there, reached, until }) if there == moment && !reached.is_cancelled() => {
                reached.cancel();
                Verdict::Hold(until)
            }
            _ => Verdict::Go,
        }
    }
}

/// Closes for good at the n-th point, where points are counted before and after each writing unit. Open at first.
pub struct Gate {
    passed: AtomicU64,
    closes_at: AtomicU64,
    closed: Mutex<CancellationToken>,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { passed: AtomicU64::new(0), closes_at: AtomicU64::new(u64::MAX), closed: Mutex::default() }
    }
}

impl Gate {
    /// Open, and counting from nothing.
    pub fn open(&self) {
        self.close_at(u64::MAX);
    }
    /// Open until `point` more points are passed.
    pub fn close_at(&self, point: u64) {
        self.passed.store(0, SeqCst);
        self.closes_at.store(point, SeqCst);
        *self.closed.lock().unwrap_or_else(PoisonError::into_inner) = CancellationToken::new();
    }
    /// Points since it was opened.
    pub fn points(&self) -> u64 {
        self.passed.load(SeqCst)
    }
    /// Fires when somebody stands before it in vain.
    pub fn closed(&self) -> CancellationToken {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    fn pass(&self) -> bool {
        // Who comes late stays outside too: the process is dead.
        let open = self.passed.fetch_add(1, SeqCst) < self.closes_at.load(SeqCst);
        if !open {
            self.closed().cancel();
        }
        open
    }
}

impl Door for Gate {
    fn before(&self) -> bool {
        self.pass()
    }
    fn after(&self, _: bool) -> bool {
        self.pass()
    }
}
