//! Steps at services that are not ours: durable before the flow goes on, so that a crash does not make the
//! call again. What is recorded is the list of remote steps that are done and not undone; a flow that runs
//! again gets their results from it. Never stores by itself: [`Journal`] is whoever owns the flow's row.

use crate::{BoxFuture, Flow, Moment, Record, Step, Verdict};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};

/// A remote step that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The step's word.
    pub step: String,
    /// What it returned.
    pub result: serde_json::Value,
    /// Began, µs since the epoch.
    pub started: i64,
    /// Ended.
    pub finished: i64,
}

/// Where the entries are kept.
pub trait Journal: Send + Sync {
    /// Makes `entries` what is recorded of the flow; on the disk when this returns. The error is a sentence
    /// for the operator.
    fn save(&self, entries: Vec<Entry>) -> BoxFuture<'_, Result<(), String>>;
}

/// Why a remote step cannot go on although its action did not fail.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The journal did not take the entry.
    #[error("the step {step} cannot be recorded: {why}")]
    Journal {
        /// The step's word.
        step: &'static str,
        /// What the journal said.
        why: String,
    },
    /// The flow takes another way than the one it took before: its code changed, or it is not deterministic.
    #[error("the flow is at {step}, but {recorded} is recorded")]
    Diverged {
        /// The step's word.
        step: &'static str,
        /// The recorded one.
        recorded: String,
    },
    /// The recorded result is not what the step returns (any more).
    #[error("the recorded result of {step} cannot be read: {why}")]
    Result {
        /// The step's word.
        step: &'static str,
        /// What is wrong.
        why: String,
    },
}

/// The record of one flow's remote steps.
pub struct Recorder<E> {
    journal: Arc<dyn Journal>,
    broken: fn(Broken) -> E,
    state: Arc<Mutex<State>>,
}

impl<E> Clone for Recorder<E> {
    fn clone(&self) -> Recorder<E> {
        Recorder { journal: self.journal.clone(), broken: self.broken, state: self.state.clone() }
    }
}

#[derive(Default)]
struct State {
    /// Done and not undone, each with the number under which its undo knows it.
    entries: Vec<(u64, Entry)>,
    /// How many of them this run has passed.
    passed: usize,
    next: u64,
}

impl<E> Recorder<E> {
    /// The record of a flow: `entries` are what was recorded of it before (none for a new flow); `broken`
    /// makes the flow's error of ours.
    pub fn new(journal: Arc<dyn Journal>, entries: Vec<Entry>, broken: fn(Broken) -> E) -> Recorder<E> {
        let entries: Vec<_> = (0_u64..).zip(entries).collect();
        let next = entries.last().map_or(0, |(number, _)| number + 1);
        Recorder { journal, broken, state: Arc::new(Mutex::new(State { entries, passed: 0, next })) }
    }

    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The next recorded entry, if this run has not come to the end of the record: it must be of `step`.
    fn replay(&self, step: &'static str) -> Result<Option<(u64, Entry)>, Broken> {
        self.with(|state| match state.entries.get(state.passed) {
            None => Ok(None),
            Some((_, entry)) if entry.step != step => Err(Broken::Diverged { step, recorded: entry.step.clone() }),
            Some(found) => {
                let found = found.clone();
                state.passed += 1;
                Ok(Some(found))
            }
        })
    }

    fn number(&self) -> u64 {
        self.with(|state| {
            state.next += 1;
            state.next - 1
        })
    }

    async fn add(&self, step: &'static str, number: u64, entry: Entry) -> Result<(), Broken> {
        let all = self.with(|state| {
            state.entries.push((number, entry));
            state.passed = state.entries.len();
            state.entries.iter().map(|(_, entry)| entry.clone()).collect()
        });
        self.journal.save(all).await.map_err(|why| Broken::Journal { step, why })
    }

    /// Before its undo begins, a step is no longer done: after a crash in between it is made again, not
    /// taken for granted.
    async fn forget(&self, step: &'static str, number: u64) -> Result<(), Broken> {
        let all = self.with(|state| {
            let at = state.entries.iter().position(|(known, _)| *known == number)?;
            let mut left = state.entries.clone();
            left.remove(at);
            Some(left.into_iter().map(|(_, entry)| entry).collect())
        });
        // It was never recorded, or its undo is tried again.
        let Some(all) = all else { return Ok(()) };
        self.journal.save(all).await.map_err(|why| Broken::Journal { step, why })?;
        self.with(|state| {
            if let Some(at) = state.entries.iter().position(|(known, _)| *known == number) {
                state.entries.remove(at);
                state.passed = state.passed.saturating_sub(usize::from(at < state.passed));
            }
        });
        Ok(())
    }
}

impl<'a, S: Step, E: std::fmt::Display + Send + 'a> Flow<'a, S, E> {
    /// A step at a service that is not ours: recorded before this returns, and not made again by a run that
    /// finds it recorded. Costs one commit. The action must still be idempotent: a crash may fall between it
    /// and its record.
    /// # Errors
    /// The action's, or ours made by the recorder.
    pub async fn remote<T, A, F, U, G>(
        &mut self,
        recorder: &Recorder<E>,
        step: S,
        action: A,
        mut undo: U,
    ) -> Result<T, E>
    where
        T: Serialize + DeserializeOwned,
        A: FnMut() -> F,
        F: Future<Output = Result<T, E>>,
        U: FnMut() -> G + Send + 'a,
        G: Future<Output = Result<(), E>> + Send + 'a,
        E: 'static,
    {
        self.go_on()?;
        debug_assert!(step.undoes(), "{step:?} has an undo here and says it has none");
        let name = step.name();
        let recorded = recorder.replay(name).map_err(recorder.broken)?;
        let number = recorded.as_ref().map_or_else(|| recorder.number(), |(number, _)| *number);
        let forgetting = recorder.clone();
        self.owe(step, move || {
            let (recorder, undone) = (forgetting.clone(), undo());
            async move {
                recorder.forget(name, number).await.map_err(recorder.broken)?;
                undone.await
            }
        });
        if let Some((_, entry)) = recorded {
            let read = serde_json::from_value(entry.result);
            self.note(Record { name, started: entry.started, finished: entry.finished, error: None });
            return read.map_err(|e| (recorder.broken)(Broken::Result { step: name, why: e.to_string() }));
        }
        let result = self.effect(step, action).await?;
        let value = serde_json::to_value(&result)
            .map_err(|e| (recorder.broken)(Broken::Result { step: name, why: e.to_string() }))?;
        let (started, finished) = self.records().last().map_or((0, 0), |record| (record.started, record.finished));
        let entry = Entry { step: name.to_owned(), result: value, started, finished };
        recorder.add(name, number, entry).await.map_err(recorder.broken)?;
        match self.ask(step, Moment::AfterRecord).await {
            Verdict::Fail(error) => Err(error),
            _ => Ok(result),
        }
    }
}
