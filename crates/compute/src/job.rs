//! One change on its way: who waits for it, its turn in the lane, its deadline, its answer.

use crate::host::{Host, cancelled};
use crate::lane::{Ticket, Verb};
use driver_api::{
    Clock, DestroyMode, EXTERNAL, Error, ErrorKind, Observed, Op, Phase, Power, Progress, RebootKind, Result,
    SnapshotResult, metered,
};
use messaging::{Assignment, Call, Outcome};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// What a change does, with what it needs.
#[derive(Clone)]
pub(crate) enum Change {
    Spawn,
    Destroy(DestroyMode),
    Power(Power),
    Reboot(RebootKind),
    Pause,
    Unpause,
    Suspend,
    Resume,
    Snapshot(Uuid),
    Rebuild,
}

impl Change {
    pub(crate) fn verb(&self) -> Verb {
        match self {
            Change::Spawn => Verb::Spawn,
            Change::Destroy(_) => Verb::Destroy,
            Change::Power(_) => Verb::Power,
            Change::Reboot(_) => Verb::Reboot,
            Change::Pause => Verb::Pause,
            Change::Unpause => Verb::Unpause,
            Change::Suspend => Verb::Suspend,
            Change::Resume => Verb::Resume,
            Change::Snapshot(_) => Verb::Snapshot,
            Change::Rebuild => Verb::Rebuild,
        }
    }

    /// A call that changes one guest, in parts; any other call comes back.
    pub(crate) fn of(call: Call) -> std::result::Result<ChangeCall, Call> {
        let (a, change) = match call {
            Call::Destroy { instance, generation, mode } => {
                return Ok(ChangeCall { id: instance, generation, change: Change::Destroy(mode), assignment: None });
            }
            Call::Spawn(a) => (a, Change::Spawn),
            Call::Power(a, to) => (a, Change::Power(to)),
            Call::Reboot(a, kind) => (a, Change::Reboot(kind)),
            Call::Pause(a) => (a, Change::Pause),
            Call::Unpause(a) => (a, Change::Unpause),
            Call::Suspend(a) => (a, Change::Suspend),
            Call::Resume(a) => (a, Change::Resume),
            Call::Snapshot(a, image) => (a, Change::Snapshot(image)),
            Call::Rebuild(a) => (a, Change::Rebuild),
            other => return Err(other),
        };
        Ok(ChangeCall { id: a.spec.id, generation: a.spec.generation, change, assignment: Some(Arc::from(a)) })
    }
}

/// A call that changes one guest.
pub(crate) struct ChangeCall {
    pub(crate) id: Uuid,
    pub(crate) generation: u64,
    pub(crate) change: Change,
    pub(crate) assignment: Option<Arc<Assignment>>,
}

/// The answer of a change; unlike [`Outcome`] it can be given to several.
#[derive(Clone)]
pub(crate) enum Answer {
    Done,
    Observed(Observed),
    Snapshot(SnapshotResult),
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Outcome {
        match answer {
            Answer::Done => Outcome::Done,
            Answer::Observed(o) => Outcome::Observed(o),
            Answer::Snapshot(s) => Outcome::Snapshot(s),
        }
    }
}

/// Who waits for a change.
pub(crate) type Waiter = oneshot::Sender<Result<Outcome>>;

/// What the callers of one change share.
#[derive(Default)]
struct Callers {
    waiters: Vec<Waiter>,
    progress: Vec<Progress>,
    /// Numbers of the calls that asked for it.
    numbers: Vec<u64>,
    given: Option<Result<Answer>>,
}

/// One change, shared by its lane and its task.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) id: Uuid,
    pub(crate) ticket: Ticket,
    pub(crate) change: Change,
    pub(crate) assignment: Option<Arc<Assignment>>,
    pub(crate) op: Op,
    callers: Arc<Mutex<Callers>>,
    turn: CancellationToken,
    over: CancellationToken,
}

impl Job {
    pub(crate) fn new(id: Uuid, generation: u64, change: Change, a: Option<Arc<Assignment>>, op: &Op) -> Job {
        let callers: Arc<Mutex<Callers>> = Arc::default();
        callers.lock().unwrap_or_else(PoisonError::into_inner).progress.push(Arc::clone(&op.progress));
        let heard = Arc::clone(&callers);
        let progress: Progress = Arc::new(move |phase: Phase| {
            let all = heard.lock().unwrap_or_else(PoisonError::into_inner).progress.clone();
            all.iter().for_each(|p| p(phase));
        });
        let ticket = Ticket { op: op.id, verb: change.verb(), generation };
        let op = Op { id: op.id, deadline: op.deadline, cancel: op.cancel.child_token(), progress };
        let (turn, over) = (CancellationToken::new(), CancellationToken::new());
        Job { id, ticket, change, assignment: a, op, callers, turn, over }
    }

    fn callers(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody waits for the change. One that is answered already (its deadline passed while it still runs) is busy,
    /// except to a copy of a call that it answered.
    pub(crate) fn add(&self, waiter: Waiter, number: u64) {
        let mut callers = self.callers();
        match callers.given.clone() {
            Some(given) => {
                let known = number > 0 && callers.numbers.contains(&number);
                drop(callers);
                let busy = || Err(Error::new(ErrorKind::Busy, "the same operation is still ending"));
                let _ = waiter.send(if known { given.map(Outcome::from) } else { busy() });
            }
            None => {
                callers.waiters.push(waiter);
                callers.numbers.push(number);
            }
        }
    }

    /// The same operation came again, from a caller that may have lost its first self.
    pub(crate) fn join(&self, waiter: Waiter, op: &Op, number: u64) {
        let copy = number > 0 && self.callers().numbers.contains(&number);
        self.add(waiter, number);
        if copy {
            return;
        }
        self.callers().progress.push(Arc::clone(&op.progress));
        let (theirs, ours, over) = (op.cancel.clone(), self.op.cancel.clone(), self.over.clone());
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = over.cancelled() => {}
                () = theirs.cancelled() => ours.cancel(),
            }
        });
    }

    /// What it answered, to which calls.
    pub(crate) fn given(&self) -> Option<(Vec<u64>, Result<Answer>)> {
        let callers = self.callers();
        let numbers = callers.numbers.iter().copied().filter(|n| *n > 0).collect();
        callers.given.clone().map(|given| (numbers, given))
    }

    /// The lane is this job's now.
    pub(crate) fn grant(&self) {
        self.turn.cancel();
    }

    /// Answers everybody who waits, once.
    pub(crate) fn answer(&self, result: &Result<Answer>) {
        let waiters = {
            let mut callers = self.callers();
            callers.given = Some(result.clone());
            std::mem::take(&mut callers.waiters)
        };
        self.over.cancel();
        for waiter in waiters {
            // Who does not wait any more asks again with the same operation if it still matters.
            let _ = waiter.send(result.clone().map(Outcome::from));
        }
    }

    /// From arrival to answer. Returns what was observed, for the agent's own memory. An operation that overruns its
    /// deadline is answered and cancelled then, but keeps the lane until the driver lets go of the guest.
    pub(crate) async fn run(self, host: Arc<Host>, clock: Clock) -> Option<Observed> {
        let deadline = self.op.deadline;
        let late = async {
            match deadline {
                Some(at) => clock.sleep(at.since(clock.steady())).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(late);
        let waited = tokio::select! {
            biased;
            () = self.op.cancel.cancelled() => Some(cancelled()),
            () = self.turn.cancelled() => None,
            () = &mut late => Some(timed_out()),
        };
        if let Some(e) = waited {
            self.answer(&Err(e));
            return None;
        }
        let began = tokio::time::Instant::now();
        let work = metered(self.op.id, host.perform(&self));
        tokio::pin!(work);
        let (result, external) = tokio::select! {
            biased;
            result = &mut work => result,
            () = &mut late => {
                self.op.cancel.cancel();
                self.answer(&Err(timed_out()));
                work.await
            }
        };
        tracing::debug!(
            target: EXTERNAL, host = host.name, instance = %self.id, op = %self.op.id, verb = ?self.ticket.verb,
            wall_us = micros(began.elapsed()), external_us = micros(external.total), parts = external.parts(), "operation"
        );
        if let Err(e) = &result {
            tracing::warn!(
                host = host.name, instance = %self.id, op = %self.op.id, verb = ?self.ticket.verb,
                kind = ?e.kind, error = %e, detail = e.detail, "a change failed"
            );
        }
        self.answer(&result);
        match result {
            Ok(Answer::Observed(o)) => Some(o),
            _ => None,
        }
    }
}

fn micros(d: std::time::Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

fn timed_out() -> Error {
    Error::new(ErrorKind::TimedOut, "the operation did not end before its deadline")
}

impl Host {
    async fn perform(&self, job: &Job) -> Result<Answer> {
        let op = &job.op;
        let observed = match (&job.change, &job.assignment) {
            (Change::Destroy(mode), _) => return self.destroy(job.id, *mode, op).await.map(|()| Answer::Done),
            (Change::Pause, _) => self.pause(job.id, op).await,
            (Change::Unpause, _) => self.unpause(job.id, op).await,
            (_, None) => Err(Error::internal("the call came without its assignment", job.id)),
            (Change::Snapshot(i), Some(a)) => return self.snapshot(a, *i, op).await.map(Answer::Snapshot),
            (Change::Spawn, Some(a)) => self.spawn(a, op).await,
            (Change::Power(to), Some(a)) => self.power(a, *to, op).await,
            (Change::Reboot(kind), Some(a)) => self.reboot(a, *kind, op).await,
            (Change::Suspend, Some(a)) => self.suspend(a, op).await,
            (Change::Resume, Some(a)) => self.resume(a, op).await,
            (Change::Rebuild, Some(a)) => self.rebuild(a, op).await,
        };
        observed.map(Answer::Observed)
    }

    /// A question: no lane, no order.
    pub(crate) async fn question(&self, call: Call) -> Result<Outcome> {
        match call {
            Call::List => self.list().await.map(Outcome::Listed),
            Call::Get(id) => self.get(id).await.map(Outcome::Observed),
            Call::ConsoleLog { instance, lines } => self.console_log(instance, lines).await.map(Outcome::Log),
            Call::OpenConsole { instance, kind } => self.open_console(instance, kind).await.map(Outcome::Console),
            Call::Diagnostics(id) => self.diagnostics(id).await.map(Outcome::Diagnostics),
            other => Err(Error::internal("the host takes this call for a question", other.verb())),
        }
    }
}
