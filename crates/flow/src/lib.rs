//! The journal engine: straight-line steps, each with its undo.
//!
//! A flow is an `async fn` read from top to bottom. Every effect outside the database is a step: a variant of the
//! flow's [`Step`] enum, an action and the undo that stands beside it. The undo is owed from the moment the action
//! begins, because it may have half-run; so it works by id and may run for nothing. On error the undos run backwards,
//! each repeated with growing pauses; if one cannot be done now, the flow is parked and its owner tries again later.
//!
//! Actions are idempotent and a crashed flow runs again from its first line, so steps at hosts need no durable record
//! of their own: their records travel in memory and are stored with the flow's end, the one row of the flow. Calls to
//! services that are not ours are [`Flow::remote`]: recorded before the flow goes on, and not made again. This crate
//! never stores anything, never reads a clock of its own and knows nothing of servers.

mod probe;
mod remote;

pub use probe::{Fault, Mode, Moment, Probe, Verdict, matrix};
pub use remote::{Broken, Entry, Journal, Recorder};

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A future that owns what it needs.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The steps of a kind of flow, as a closed set, so that a sweep can tell which were never exercised.
pub trait Step: Copy + Eq + Ord + std::fmt::Debug + Send + Sync + 'static {
    /// Every variant.
    const ALL: &'static [Self];
    /// Its word in the journal.
    fn name(self) -> &'static str;
    /// Whether it has an undo. The engine holds every use of the step to it, so that a sweep can tell which ways of
    /// going wrong it must have seen.
    fn undoes(self) -> bool;
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
/// The pause after an undo's first failure; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

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
    cancel: Option<(CancellationToken, fn() -> E)>,
    undos: Vec<Undo<'a, S, E>>,
    records: Vec<Record>,
}

impl<'a, S: Step, E: std::fmt::Display + Send + 'a> Flow<'a, S, E> {
    /// A flow at its first line.
    pub fn new(time: Arc<dyn Time>, probe: Option<Arc<dyn Probe<S, E>>>) -> Flow<'a, S, E> {
        Flow { time, probe, cancel: None, undos: Vec::new(), records: Vec::new() }
    }
    /// Lets `token` end the flow: a step that would begin after it fired fails with `error` instead, and owes nothing.
    /// The step that runs then is told by its own operation; undos are never cancelled.
    #[must_use]
    pub fn cancelled_by(mut self, token: CancellationToken, error: fn() -> E) -> Flow<'a, S, E> {
        self.cancel = Some((token, error));
        self
    }
    /// A step with its undo. The undo is owed from before the action begins.
    /// # Errors
    /// The action's.
    pub async fn step<T, A, F, U, G>(&mut self, step: S, action: A, undo: U) -> Result<T, E>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, E>>,
        U: FnMut() -> G + Send + 'a,
        G: Future<Output = Result<(), E>> + Send + 'a,
    {
        self.go_on()?;
        debug_assert!(step.undoes(), "{step:?} has an undo here and says it has none");
        self.owe(step, undo);
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
        self.go_on()?;
        debug_assert!(!step.undoes(), "{step:?} has no undo here and says it has one");
        self.effect(step, action).await
    }
    fn go_on(&self) -> Result<(), E> {
        match &self.cancel {
            Some((token, error)) if token.is_cancelled() => Err(error()),
            _ => Ok(()),
        }
    }
    fn owe<U, G>(&mut self, step: S, mut undo: U)
    where
        U: FnMut() -> G + Send + 'a,
        G: Future<Output = Result<(), E>> + Send + 'a,
    {
        self.undos.push(Undo { step, run: Box::new(move || Box::pin(undo())) });
    }
    fn note(&mut self, record: Record) {
        self.records.push(record);
    }
    async fn effect<T, A, F>(&mut self, step: S, mut action: A) -> Result<T, E>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, E>>,
    {
        let started = self.time.now();
        let outcome = match self.ask(step, Moment::BeforeAction).await {
            Verdict::Fail(error) => Err(error),
            verdict => {
                let mut outcome = action().await;
                if matches!(verdict, Verdict::Twice) {
                    outcome = action().await;
                }
                match self.ask(step, Moment::AfterAction).await {
                    Verdict::Fail(error) => Err(error),
                    _ => outcome,
                }
            }
        };
        let error = outcome.as_ref().err().map(ToString::to_string);
        self.note(Record { name: step.name(), started, finished: self.time.now(), error });
        outcome
    }
    /// Borrows nothing of the flow while it waits, so that flows need not be `Sync`.
    fn ask(&self, step: S, moment: Moment) -> impl Future<Output = Verdict<E>> + use<'a, S, E> {
        let verdict = self.probe.as_ref().map_or(Verdict::Go, |p| p.at(step, moment));
        async move {
            match verdict {
                Verdict::Crash => {
                    // A process that died answers nobody; whoever wanted it to die drops this.
                    std::future::pending::<()>().await;
                    Verdict::Go
                }
                Verdict::Hold(until) => {
                    until.cancelled().await;
                    Verdict::Go
                }
                verdict => verdict,
            }
        }
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
            let mut pause = FIRST_PAUSE;
            let mut tries = 0;
            // It stays owed until it is done: this future may be dropped at any of its waits.
            while let Some(step) = self.undos.last().map(|undo| undo.step) {
                tries += 1;
                match self.undo_last(step).await {
                    Ok(()) => break,
                    Err(error) if tries >= UNDO_TRIES => return Err(Parked { step, error }),
                    Err(_) => {}
                }
                self.time.sleep(pause).await;
                pause *= 2;
            }
            self.undos.pop();
        }
        Ok(())
    }
    async fn undo_last(&mut self, step: S) -> Result<(), E> {
        let times = match self.ask(step, Moment::BeforeUndo).await {
            Verdict::Fail(error) => return Err(error),
            Verdict::Twice => 2,
            _ => 1,
        };
        for _ in 0..times {
            let Some(undo) = self.undos.last_mut() else { return Ok(()) };
            (undo.run)().await?;
        }
        match self.ask(step, Moment::AfterUndo).await {
            Verdict::Fail(error) => Err(error),
            _ => Ok(()),
        }
    }
    /// The steps so far.
    pub fn records(&self) -> &[Record] {
        &self.records
    }
}

#[cfg(test)]
mod tests;
