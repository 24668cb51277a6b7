//! The journal engine: straight-line steps, each with its undo.
//!
//! A flow is an `async fn` read from top to bottom. Every effect outside the database is a step: a variant of the
//! flow's [`Step`] enum, an action and the undo that stands beside it. The undo is owed from the moment the action
//! begins, because it may have half-run; so it works by id and may run for nothing. On error the undos run backwards,
//! each repeated with growing pauses; if one cannot be done now, the flow is parked and its owner tries again later.
//!
//! Actions are idempotent and a crashed flow runs again from its first line, so steps at hosts need no durable record
//! of their own: their records travel in memory and are stored with the flow's end, the one row of the flow. This
//! crate never stores anything, never reads a clock of its own and knows nothing of servers.

mod probe;

pub use probe::{Moment, Probe, Verdict};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// A future that owns what it needs.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The steps of a kind of flow, as a closed set, so that a sweep can tell which were never exercised.
pub trait Step: Copy + Eq + Ord + std::fmt::Debug + Send + Sync + 'static {
    /// Every variant.
    const ALL: &'static [Self];
    /// Its word in the journal.
    fn name(self) -> &'static str;
}

/// Time, as an argument.
pub trait Time: Send + Sync {
    /// Microseconds since the Unix epoch.
    fn now(&self) -> i64;
    /// Waits.
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()>;
}

/// One step as it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The step's word.
    pub name: &'static str,
    /// Began, µs since the epoch.
    pub started: i64,
    /// Ended.
    pub finished: i64,
    /// `None` if it went well, else what went wrong.
    pub error: Option<String>,
}

/// How often an undo is repeated before the flow is parked.
pub const UNDO_TRIES: u32 = 5;

struct Undo<'a, S, E> {
    step: S,
    run: Box<dyn FnMut() -> BoxFuture<'a, Result<(), E>> + Send + 'a>,
}

/// An undo that could not be done now: the flow is parked with it.
#[derive(Debug)]
pub struct Parked<S, E> {
    /// Whose undo.
    pub step: S,
    /// What it said last.
    pub error: E,
}

/// A flow that runs.
pub struct Flow<'a, S: Step, E> {
    time: Arc<dyn Time>,
    probe: Option<Arc<dyn Probe<S, E>>>,
    undos: Vec<Undo<'a, S, E>>,
    records: Vec<Record>,
}

impl<'a, S: Step, E: std::fmt::Display + Send + 'a> Flow<'a, S, E> {
    /// A flow at its first line.
    pub fn new(time: Arc<dyn Time>, probe: Option<Arc<dyn Probe<S, E>>>) -> Flow<'a, S, E> {
        Flow { time, probe, undos: Vec::new(), records: Vec::new() }
    }
    /// A step with its undo. The undo is owed from before the action begins.
    /// # Errors
    /// The action's.
    pub async fn step<T, A, F, U, G>(&mut self, step: S, action: A, mut undo: U) -> Result<T, E>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, E>>,
        U: FnMut() -> G + Send + 'a,
        G: Future<Output = Result<(), E>> + Send + 'a,
    {
        self.undos.push(Undo { step, run: Box::new(move || Box::pin(undo())) });
        self.effect(step, action).await
    }
    /// A step that cannot be undone, only repeated until it is done (a removal), or whose repetition on the next
    /// action restores what should be (a power change).
    /// # Errors
    /// The action's.
    pub async fn forward<T, A, F>(&mut self, step: S, action: A) -> Result<T, E>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, E>>,
    {
        self.effect(step, action).await
    }
    async fn effect<T, A, F>(&mut self, step: S, mut action: A) -> Result<T, E>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, E>>,
    {
        let started = self.time.now();
        let outcome = match self.ask(step, Moment::BeforeAction) {
            Verdict::Fail(error) => Err(error),
            verdict => {
                let mut outcome = action().await;
                if matches!(verdict, Verdict::Twice) {
                    outcome = action().await;
                }
                match self.ask(step, Moment::AfterAction) {
                    Verdict::Fail(error) => Err(error),
                    _ => outcome,
                }
            }
        };
        let error = outcome.as_ref().err().map(ToString::to_string);
        self.records.push(Record { name: step.name(), started, finished: self.time.now(), error });
        outcome
    }
    fn ask(&self, step: S, moment: Moment) -> Verdict<E> {
        self.probe.as_ref().map_or(Verdict::Go, |p| p.at(step, moment))
    }
    /// Where the undo stack stands: an inner scope begins here.
    pub fn mark(&self) -> usize {
        self.undos.len()
    }
    /// Undoes everything back to `mark`, the last step first.
    /// # Errors
    /// The undo that could not be done; it and the ones before it are still owed.
    pub async fn unwind(&mut self, mark: usize) -> Result<(), Parked<S, E>> {
        while self.undos.len() > mark {
            let Some(mut undo) = self.undos.pop() else { break };
            let mut pause = Duration::from_millis(100);
            let mut tries = 0;
            loop {
                tries += 1;
                let twice = match self.ask(undo.step, Moment::BeforeUndo) {
                    Verdict::Fail(error) => {
                        if tries < UNDO_TRIES {
                            self.time.sleep(pause).await;
                            pause *= 2;
                            continue;
                        }
                        let step = undo.step;
                        self.undos.push(undo);
                        return Err(Parked { step, error });
                    }
                    Verdict::Twice => true,
                    Verdict::Go => false,
                };
                let mut outcome = (undo.run)().await;
                if twice {
                    outcome = (undo.run)().await;
                }
                match outcome {
                    Ok(()) => break,
                    Err(_) if tries < UNDO_TRIES => {
                        self.time.sleep(pause).await;
                        pause *= 2;
                    }
                    Err(error) => {
                        let step = undo.step;
                        self.undos.push(undo);
                        return Err(Parked { step, error });
                    }
                }
            }
        }
        Ok(())
    }
    /// The steps so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

#[cfg(test)]
mod tests;
