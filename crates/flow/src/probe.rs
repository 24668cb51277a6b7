//! Where a test reaches into a flow: before and after every effect, record and undo. Nothing else may.
//!
//! A sweep runs a flow once for each point of [`matrix`] with a [`Fault`] there, and fails if one was never
//! hit: a step that no flow of the sweep took has not been tested.

use crate::{Step, UNDO_TRIES};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use tokio_util::sync::CancellationToken;

/// A place where a probe is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// Before the action: failing here is "error before its effect"; `Twice` runs the action twice.
    BeforeAction,
    /// After the action: failing here is "effect, then error"; holding here is "effect, then lost reply".
    AfterAction,
    /// After a remote step was recorded.
    AfterRecord,
    /// Before each try of an undo: failing here is "undo fails"; `Twice` runs it twice.
    BeforeUndo,
    /// After an undo went well.
    AfterUndo,
}

/// What the probe wants.
#[derive(Debug, Clone)]
pub enum Verdict<E> {
    /// Go on.
    Go,
    /// Run it twice.
    Twice,
    /// Fail with this.
    Fail(E),
    /// Go on when this fires. One that never fires is an answer that never comes.
    Hold(CancellationToken),
    /// The process dies here: the flow never goes on, and the test drops it.
    Crash,
}

/// Asked at every [`Moment`] of every step.
pub trait Probe<S, E>: Send + Sync {
    /// What shall happen.
    fn at(&self, step: S, moment: Moment) -> Verdict<E>;
}

/// How a step can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It fails without effect.
    FailBefore,
    /// It has its effect and is reported as failed.
    FailAfter,
    /// It has its effect and nobody ever hears of it.
    LostReply,
    /// The process dies before its effect.
    CrashBefore,
    /// The process dies after its effect, before anybody knows.
    CrashAfter,
    /// Its action runs twice.
    Repeat,
    /// Something fails after it, and its undo fails at first.
    UndoFails,
    /// Something fails after it, and its undo fails more often than it is repeated.
    UndoFailsLong,
    /// Its undo runs twice.
    UndoRepeats,
    /// The process dies before its undo.
    CrashBeforeUndo,
    /// The process dies after its undo.
    CrashAfterUndo,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Mode; 11] = [
        Mode::FailBefore,
        Mode::FailAfter,
        Mode::LostReply,
        Mode::CrashBefore,
        Mode::CrashAfter,
        Mode::Repeat,
        Mode::UndoFails,
        Mode::UndoFailsLong,
        Mode::UndoRepeats,
        Mode::CrashBeforeUndo,
        Mode::CrashAfterUndo,
    ];
    /// Where it strikes.
    pub fn moment(self) -> Moment {
        match self {
            Mode::FailBefore | Mode::CrashBefore | Mode::Repeat => Moment::BeforeAction,
            Mode::FailAfter | Mode::LostReply | Mode::CrashAfter => Moment::AfterAction,
            Mode::UndoFails | Mode::UndoFailsLong | Mode::UndoRepeats | Mode::CrashBeforeUndo => Moment::BeforeUndo,
            Mode::CrashAfterUndo => Moment::AfterUndo,
        }
    }
    /// Whether the flow ends there without going on.
    pub fn crashes(self) -> bool {
        matches!(self, Mode::CrashBefore | Mode::CrashAfter | Mode::CrashBeforeUndo | Mode::CrashAfterUndo)
    }
    /// Whether it is about the step's undo: without one it cannot happen.
    pub fn undoes(self) -> bool {
        matches!(self.moment(), Moment::BeforeUndo | Moment::AfterUndo)
    }
    /// How often it strikes.
    fn times(self) -> u32 {
        if self == Mode::UndoFailsLong { UNDO_TRIES + 2 } else { 1 }
    }
}

/// Every step in every mode that it can have: what a sweep must have hit.
pub fn matrix<S: Step>() -> Vec<(S, Mode)> {
    let modes = |step: S| Mode::ALL.into_iter().filter(move |mode| step.undoes() || !mode.undoes());
    S::ALL.iter().flat_map(|step| modes(*step).map(|mode| (*step, mode))).collect()
}

/// One step going wrong in one way; it says whether it came to that. Where the undo shall go wrong, the step itself
/// is reported as failed after its effect, once, so that there is something to undo.
pub struct Fault<S, E> {
    step: S,
    mode: Mode,
    error: E,
    hits: AtomicU32,
    failed: AtomicU32,
}

impl<S: Step, E: Clone + Send + Sync> Fault<S, E> {
    /// `step` goes wrong by `mode` the first time it gets there, with `error` where it fails.
    pub fn new(step: S, mode: Mode, error: E) -> Fault<S, E> {
        Fault { step, mode, error, hits: AtomicU32::new(0), failed: AtomicU32::new(0) }
    }
    /// Whether it came to that; of an undo that fails for long, until its flow was parked.
    pub fn hit(&self) -> bool {
        self.hits.load(SeqCst) >= self.mode.times().min(UNDO_TRIES)
    }
}

impl<S: Step, E: Clone + Send + Sync> Probe<S, E> for Fault<S, E> {
    fn at(&self, step: S, moment: Moment) -> Verdict<E> {
        if step != self.step {
            return Verdict::Go;
        }
        if self.mode.undoes() && moment == Moment::AfterAction {
            let first = self.failed.fetch_add(1, SeqCst) == 0;
            return if first { Verdict::Fail(self.error.clone()) } else { Verdict::Go };
        }
        if moment != self.mode.moment() || self.hits.fetch_add(1, SeqCst) >= self.mode.times() {
            return Verdict::Go;
        }
        match self.mode {
            Mode::Repeat | Mode::UndoRepeats => Verdict::Twice,
            Mode::LostReply => Verdict::Hold(CancellationToken::new()),
            mode if mode.crashes() => Verdict::Crash,
            _ => Verdict::Fail(self.error.clone()),
        }
    }
}
