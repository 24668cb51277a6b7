//! The agent's loop: calls in, changes to their lanes, reports out. It decides and never waits for a driver.

use crate::Error;
use crate::assignments::Assignments;
use crate::backend::{Known, Look};
use crate::host::Host;
use crate::job::{Change, ChangeCall, Job, Waiter};
use crate::lane::{Decision, Lane, Refusal, Ticket};
use crate::ledger::DiskLedger;
use crate::options::Options;
use crate::outbox::Outbox;
use crate::repeats::Repeats;
use crate::wiring::Wiring;
use driver_api::{
    Clock, ComputeDriver, DriverEvent, ErrorKind, EventKind, EventStream, HostContext, ImageSource, Observed, Op,
    Result,
};
use messaging::{Assignment, Call, ComputeServer, Envelope, HostReport, Outcome};
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{Id, JoinError, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Destroyed guests whose fence is remembered, so that a late call of an older intent does not make them again.
const FENCES: usize = 1024;

/// What an agent is made of.
pub struct Parts {
    /// The host's end of the calls.
    pub server: ComputeServer,
    /// The driver, not started yet.
    pub driver: Arc<dyn ComputeDriver>,
    /// The host's network; `None` where the host wires no ports.
    pub wiring: Option<Arc<dyn Wiring>>,
    /// What the control plane assigns; made outside so that the metadata service can read it too.
    pub assignments: Assignments,
    /// Images in and out.
    pub images: Arc<dyn ImageSource>,
    /// Time.
    pub clock: Clock,
    /// Directory of this host: `driver/`, `ledger/` and `agent/` are made below it.
    pub data_dir: PathBuf,
    /// Network namespace the host lives in.
    pub netns: Option<String>,
    /// Tunnel endpoint for networks that span hosts.
    pub vtep: Option<IpAddr>,
    /// Tuning.
    pub options: Options,
    /// File work on the calling thread: for simulations, whose order of events must not depend on a second thread.
    pub inline_io: bool,
}

/// A running agent. Dropped, it ends at once as if its process had died; `stop` ends it in order.
pub struct Agent {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Agent {
    /// Starts an agent on the current runtime.
    /// # Errors
    /// `Directory` if the host's directory cannot be made.
    pub fn start(parts: Parts) -> std::result::Result<Agent, Error> {
        let driver_dir = parts.data_dir.join("driver");
        std::fs::create_dir_all(&driver_dir).map_err(|source| Error::Directory { path: driver_dir.clone(), source })?;
        let ledger = if parts.inline_io { DiskLedger::inline } else { DiskLedger::new };
        let context = HostContext {
            host: parts.server.host.clone(),
            data_dir: driver_dir,
            netns: parts.netns,
            clock: parts.clock.clone(),
            images: parts.images,
            documents: Arc::new(parts.assignments.clone()),
            ledger: Arc::new(ledger(parts.data_dir.join("ledger"))),
        };
        let host = Arc::new(Host {
            name: parts.server.host.clone(),
            driver: parts.driver,
            wiring: parts.wiring,
            assignments: parts.assignments,
            notes: ledger(parts.data_dir.join("agent")),
            noted: std::sync::Mutex::default(),
            wired: tokio::sync::Mutex::default(),
            stale: std::sync::Mutex::default(),
            left_wires: tokio::sync::Notify::new(),
            builds: Semaphore::new(parts.options.max_concurrent_builds.max(1)),
        });
        let stop = CancellationToken::new();
        let room = Room {
            host,
            clock: parts.clock,
            options: parts.options,
            vtep: parts.vtep,
            lanes: BTreeMap::new(),
            fences: Fences::default(),
            repeats: Repeats::default(),
            tasks: JoinSet::new(),
            jobs: HashMap::new(),
            outbox: Outbox::default(),
            known: Known::default(),
            broken: None,
            up: false,
            told: !parts.server.lossy,
            lossy: parts.server.lossy,
            looking: None,
            look_again: false,
        };
        let task = tokio::spawn(room.run(parts.server, context, stop.clone()));
        Ok(Agent { stop, task: Some(task) })
    }

    /// Ends the agent: no further call is taken, what runs gets a moment, the driver lets go. Guests run on.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            // It ends by itself; had it panicked, the report would already be in the log.
            let _ = task.await;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

/// What a task of the agent ended with.
enum Ended {
    Change(Uuid, Ticket, Option<Observed>),
    Look(Result<Look>),
    Other,
}

/// Fences of guests that are gone, oldest first out.
#[derive(Default)]
struct Fences {
    by_id: BTreeMap<Uuid, u64>,
    order: VecDeque<Uuid>,
}

impl Fences {
    fn put(&mut self, id: Uuid, fence: u64) {
        if self.by_id.insert(id, fence).is_none() {
            self.order.push_back(id);
        }
        if self.order.len() > FENCES
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
    }

    fn of(&self, id: Uuid) -> u64 {
        self.by_id.get(&id).copied().unwrap_or(0)
    }
}

/// The loop's state.
struct Room {
    host: Arc<Host>,
    clock: Clock,
    options: Options,
    vtep: Option<IpAddr>,
    lanes: BTreeMap<Uuid, Lane<Job>>,
    fences: Fences,
    repeats: Repeats,
    tasks: JoinSet<Ended>,
    /// Only looked up, never walked: which change a task that panicked was.
    jobs: HashMap<Id, (Uuid, Ticket)>,
    outbox: Outbox,
    known: Known,
    /// The driver refused to start; no waiting mends it.
    broken: Option<driver_api::Error>,
    up: bool,
    /// The control plane was told that the host is up, and answered; or nothing it is told gets lost.
    told: bool,
    lossy: bool,
    looking: Option<Id>,
    look_again: bool,
}

impl Room {
    async fn run(mut self, mut server: ComputeServer, context: HostContext, stop: CancellationToken) {
        let mut events = self.begin(context).await;
        // Not one of the tasks that the end waits for; it goes with this loop, however that goes.
        let unwiring = AbortOnDropHandle::new(tokio::spawn(unwire(Arc::clone(&self.host), self.clock.clone())));
        self.serve(&mut server, &mut events, &stop).await;
        drop(unwiring);
        self.end().await;
    }

    async fn serve(&mut self, server: &mut ComputeServer, events: &mut Option<EventStream>, stop: &CancellationToken) {
        let clock = self.clock.clone();
        let mut timer = Box::pin(clock.sleep(self.pause()));
        let posts = self.host.assignments.clone();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = self.tasks.join_next_with_id(), if !self.tasks.is_empty() => {
                    if self.ended(ended) {
                        timer.set(clock.sleep(self.pause()));
                    }
                }
                event = next(events) => self.event(event),
                (instance, password) = posts.posted() => self.outbox.push(HostReport::Password { instance, password }),
                permit = server.reports.reserve(), if !self.outbox.is_empty() => match (permit, self.outbox.pop()) {
                    (Ok(permit), Some(report)) => permit.send(report),
                    // Nobody reads reports any more; calls still end with their answers.
                    _ => self.outbox.clear(),
                },
                call = server.calls.recv() => match call {
                    Some(envelope) => self.call(envelope),
                    None => break,
                },
                () = &mut timer => {
                    self.look();
                    timer.set(clock.sleep(self.pause()));
                }
            }
        }
    }

    /// Starts the driver and takes the first look.
    async fn begin(&mut self, context: HostContext) -> Option<EventStream> {
        if let Err(e) = self.host.load_notes().await {
            tracing::warn!(host = self.host.name, error = %e, detail = e.detail, "the agent's notes cannot be read");
        }
        if let Err(e) = self.host.driver.start(context).await {
            tracing::error!(host = self.host.name, error = %e, detail = e.detail, "the driver does not start");
            self.outbox.push(HostReport::Down { reason: reason(&e) });
            self.broken = Some(e);
            return None;
        }
        self.look();
        self.host.driver.events()
    }

    async fn end(&mut self) {
        let grace = std::time::Duration::from_secs(self.options.stop_seconds);
        let clock = self.clock.clone();
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        tokio::select! {
            biased;
            () = drained => {}
            () = clock.sleep(grace) => {}
        }
        self.tasks.abort_all();
        self.host.driver.stop().await;
        if let Some(wiring) = &self.host.wiring {
            wiring.close().await;
        }
    }

    fn pause(&self) -> std::time::Duration {
        if self.up && self.told { self.options.inventory() } else { self.options.retry() }
    }

    /// Looks at the backend, one look at a time. Guests are listed whenever the backend may have been away.
    fn look(&mut self) {
        if self.broken.is_some() {
            return;
        }
        if self.looking.is_some() {
            self.look_again = true;
            return;
        }
        let (host, vtep, list) = (Arc::clone(&self.host), self.vtep, !self.up);
        self.looking = Some(self.tasks.spawn(async move { Ended::Look(host.look(vtep, list).await) }).id());
    }

    fn looked(&mut self, look: Result<Look>) {
        if self.lossy {
            self.outbox.forget();
        }
        match look {
            Ok(look) => {
                let was_up = std::mem::replace(&mut self.up, true);
                if self.lossy && !was_up {
                    self.told = false;
                }
                self.outbox.push(HostReport::Up(Box::new(look.registration)));
                if let (Some(guests), false) = (look.guests, was_up) {
                    let lanes = &self.lanes;
                    let busy = |id| lanes.get(&id).is_some_and(|l: &Lane<Job>| !l.is_idle());
                    for event in self.known.relist(&guests, self.clock.now(), busy) {
                        self.outbox.push(HostReport::Event(event));
                    }
                }
            }
            Err(e) => {
                if self.up {
                    tracing::warn!(host = self.host.name, error = %e, detail = e.detail, "the backend went away");
                }
                self.up = false;
                self.outbox.push(HostReport::Down { reason: reason(&e) });
            }
        }
    }

    fn event(&mut self, event: DriverEvent) {
        match event.kind {
            EventKind::Connected | EventKind::Disconnected => {
                // Either way the guests may have changed unseen: the next look lists them.
                self.up = false;
                self.look();
            }
            _ => {
                self.known.event(&event);
                self.outbox.push(HostReport::Event(event));
            }
        }
    }

    fn call(&mut self, envelope: Envelope) {
        let Envelope { number, mut op, call, reply } = envelope;
        if let Some(e) = &self.broken {
            let down = driver_api::Error { kind: ErrorKind::Unreachable, ..e.clone() };
            drop(reply.send(Err(down)));
            return;
        }
        let now = self.clock.steady();
        match call {
            Call::Refresh(all) => self.refresh(all, reply),
            Call::Sync(all) => self.sync(all, number, reply),
            call => match Change::of(call) {
                Ok(call) => {
                    op.deadline.get_or_insert(now.plus(self.options.change()));
                    self.change(call, &op, number, reply);
                }
                Err(question) => {
                    op.deadline.get_or_insert(now.plus(self.options.question()));
                    self.question(question, op, reply);
                }
            },
        }
    }

    /// Takes a change into its guest's lane.
    fn change(&mut self, call: ChangeCall, op: &Op, number: u64, waiter: Waiter) {
        let ChangeCall { id, generation, change, assignment: a } = call;
        if let Some(answer) = self.repeats.answer(number) {
            drop(waiter.send(answer.clone().map(Outcome::from)));
            return;
        }
        if self.repeats.outdated(id, change.verb(), number) {
            drop(waiter.send(Err(overtaken(id))));
            return;
        }
        let fence = self.fences.of(id);
        let lane = self.lanes.entry(id).or_insert_with(|| Lane::fenced(fence));
        let job = Job::new(id, generation, change, a.clone(), op);
        let ticket = job.ticket;
        let (decision, _) = lane.accept(ticket, job.clone());
        match decision {
            Decision::Join(same) => {
                if let Some(there) = lane.job(&same) {
                    there.join(waiter, op, number);
                }
                return;
            }
            Decision::Refuse(refusal) => {
                let gone = lane.is_idle() && self.host.assignments.get(id).is_none();
                if gone {
                    self.lanes.remove(&id);
                }
                drop(waiter.send(Err(refuse(id, generation, refusal))));
                return;
            }
            Decision::Start => job.grant(),
            Decision::Wait => {}
            Decision::Preempt(victims) => {
                for victim in &victims {
                    if let Some(victim) = lane.job(victim) {
                        victim.op.cancel.cancel();
                    }
                }
            }
        }
        job.add(waiter, number);
        self.repeats.accepted(id, ticket.verb, number);
        if let Some(a) = a {
            self.host.assignments.put(a);
        }
        let (host, clock) = (Arc::clone(&self.host), self.clock.clone());
        let task = self.tasks.spawn(async move { Ended::Change(id, ticket, job.run(host, clock).await) });
        self.jobs.insert(task.id(), (id, ticket));
    }

    fn question(&mut self, call: Call, op: Op, reply: oneshot::Sender<Result<Outcome>>) {
        let (host, clock) = (Arc::clone(&self.host), self.clock.clone());
        self.tasks.spawn(async move {
            let late = async {
                match op.deadline {
                    Some(at) => clock.sleep(at.since(clock.steady())).await,
                    None => std::future::pending().await,
                }
            };
            let answer = tokio::select! {
                biased;
                answer = host.question(call) => answer,
                () = op.cancel.cancelled() => Err(crate::host::cancelled()),
                () = late => Err(driver_api::Error::new(ErrorKind::TimedOut, "the host did not answer in time")),
            };
            drop(reply.send(answer));
            Ended::Other
        });
    }

    /// Remembers what is assigned, unless a newer intent (a destroy among them) is known. Returns what it took.
    fn learn(&mut self, all: Vec<Assignment>) -> BTreeSet<Uuid> {
        let mut taken = BTreeSet::new();
        for a in all {
            let (id, generation) = (a.spec.id, a.spec.generation);
            let stale = match self.lanes.get(&id) {
                Some(lane) => generation < lane.fence(),
                // A fence without a lane is a guest that was destroyed here: only a newer intent brings it back.
                None => self.fences.by_id.get(&id).is_some_and(|fence| generation <= *fence),
            };
            if !stale {
                self.lanes.entry(id).or_default().raise(generation);
                self.host.assignments.put(Arc::new(a));
                taken.insert(id);
            }
        }
        taken
    }

    fn refresh(&mut self, all: Vec<Assignment>, reply: Waiter) {
        let ids = self.learn(all);
        let host = Arc::clone(&self.host);
        self.tasks.spawn(async move {
            drop(reply.send(host.refresh(ids).await.map(|()| Outcome::Done)));
            Ended::Other
        });
    }

    /// All that is assigned here. The rest is forgotten, and unwired, unless a change of it is under way.
    fn sync(&mut self, all: Vec<Assignment>, number: u64, reply: Waiter) {
        self.told = true;
        if !self.repeats.sync(number) {
            // A copy that was overtaken by a later statement says what was true before it.
            drop(reply.send(Ok(Outcome::Done)));
            return;
        }
        let assigned: BTreeSet<Uuid> = all.iter().map(|a| a.spec.id).collect();
        for id in self.host.assignments.ids() {
            if !assigned.contains(&id) && self.lanes.get(&id).is_none_or(Lane::is_idle) {
                self.host.assignments.remove(id);
                self.lanes.remove(&id);
            }
        }
        self.learn(all);
        let host = Arc::clone(&self.host);
        self.tasks.spawn(async move {
            drop(reply.send(host.sync().await.map(|()| Outcome::Done)));
            Ended::Other
        });
    }

    /// A task ended; true if it was a look, so that the timer starts again.
    fn ended(&mut self, ended: std::result::Result<(Id, Ended), JoinError>) -> bool {
        match ended {
            Ok((task, ended)) => {
                self.jobs.remove(&task);
                match ended {
                    Ended::Change(id, ticket, observed) => self.change_ended(id, ticket, observed),
                    Ended::Look(look) => {
                        self.looking = None;
                        self.looked(look);
                        if std::mem::take(&mut self.look_again) {
                            self.up = false;
                            self.look();
                        }
                        return true;
                    }
                    Ended::Other => {}
                }
                false
            }
            Err(e) => self.panicked(&e),
        }
    }

    fn panicked(&mut self, e: &JoinError) -> bool {
        tracing::error!(host = self.host.name, error = %e, "a task of the agent ended by a panic");
        let fault = || driver_api::Error::internal("the driver failed unexpectedly", e);
        if self.looking == Some(e.id()) {
            self.looking = None;
            self.looked(Err(fault()));
            return true;
        }
        if let Some((id, ticket)) = self.jobs.remove(&e.id()) {
            if let Some(job) = self.lanes.get(&id).and_then(|l| l.job(&ticket)) {
                job.answer(&Err(fault()));
            }
            self.change_ended(id, ticket, None);
        }
        false
    }

    fn change_ended(&mut self, id: Uuid, ticket: Ticket, observed: Option<Observed>) {
        if let Some(o) = observed {
            self.known.observed(&o);
        }
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        if let Some((numbers, given)) = lane.job(&ticket).and_then(Job::given) {
            numbers.into_iter().for_each(|n| self.repeats.keep(n, given.clone()));
        }
        if let Some(next) = lane.ended(&ticket) {
            next.grant();
        }
        if lane.is_idle() && self.host.assignments.get(id).is_none() {
            let fence = lane.fence();
            self.lanes.remove(&id);
            self.fences.put(id, fence);
            self.known.forget(id);
        }
    }
}

/// Takes away what guests left, whenever some did.
async fn unwire(host: Arc<Host>, clock: Clock) {
    loop {
        host.left_wires.notified().await;
        host.keep_unwiring(&clock).await;
    }
}

/// What a refused change answers.
fn refuse(id: Uuid, generation: u64, refusal: Refusal) -> driver_api::Error {
    match refusal {
        Refusal::Stale { accepted } => {
            driver_api::Error::new(ErrorKind::Cancelled, format!("a newer operation on instance {id} was accepted"))
                .detail(format!("generation {generation} came after {accepted}"))
        }
        Refusal::Full => driver_api::Error::new(ErrorKind::Busy, format!("too many operations wait for instance {id}")),
    }
}

fn overtaken(id: Uuid) -> driver_api::Error {
    driver_api::Error::new(ErrorKind::Cancelled, format!("a later operation on instance {id} arrived before this one"))
}

/// Why a host is down, for operators: the sentence and what the backend said.
fn reason(e: &driver_api::Error) -> String {
    match &e.detail {
        Some(detail) => format!("{e}: {detail}"),
        None => e.to_string(),
    }
}

async fn next(events: &mut Option<EventStream>) -> DriverEvent {
    if let Some(stream) = events {
        if let Some(event) = stream.recv().await {
            return event;
        }
        *events = None;
    }
    std::future::pending().await
}
