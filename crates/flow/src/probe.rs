//! Where a test reaches into a flow: before and after every effect and every undo. Nothing else may.

/// A place where a probe is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Moment {
    /// Before the action: failing here is "error before its effect"; `Twice` runs the action twice.
    BeforeAction,
    /// After the action: failing here is "effect, then error" and "effect, then lost reply".
    AfterAction,
    /// Before each try of an undo: failing here is "undo fails"; `Twice` runs it twice.
    BeforeUndo,
}

/// What the probe wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<E> {
    /// Go on.
    Go,
    /// Run it twice.
    Twice,
    /// Fail with this.
    Fail(E),
}

/// Asked at every [`Moment`] of every step.
pub trait Probe<S, E>: Send + Sync {
    /// What shall happen.
    fn at(&self, step: S, moment: Moment) -> Verdict<E>;
}
