//! A flow's life in this process: begin, renew its lease, end; and the taking up of flows that a crash left.

use crate::flows::{self, Input, Run};
use crate::invariants::GRACE;
use crate::Conductor;
use driver_api::{Error, ErrorKind, Op};
use flow::BoxFuture;
use model::flow::FlowRow;
use model::server::Server;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The injected clock, for the engine.
struct Time(driver_api::Clock);

impl flow::Time for Time {
    fn now(&self) -> i64 {
        self.0.now().0
    }
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        let clock = self.0.clone();
        Box::pin(async move { clock.sleep(pause).await })
    }
}

/// A flow that does not run here any more, when dropped.
struct Ended {
    tasks: crate::tasks::Tasks,
    server: uuid::Uuid,
    flow: uuid::Uuid,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.tasks.end(self.server, self.flow);
    }
}

/// Flows taken over in one unit.
const AT_ONCE: u32 = 1000;

impl Conductor {
    /// Runs a stored flow.
    pub(crate) fn launch(&self, row: FlowRow, server: Server) {
        let cancel = self.tasks.begin(server.id, row.id, row.action, self.env.clock.steady());
        let me = self.clone();
        self.running.spawn(async move {
            // Ended however it ends, a defect's panic too: its lease then lapses and it is taken up again.
            let _ended = Ended { tasks: me.tasks.clone(), server: server.id, flow: row.id };
            let stop = me.stop.clone();
            tokio::select! {
                biased;
                // The process stops: the flow stays as it is stored and is taken up at the next start.
                () = stop.cancelled() => {}
                () = me.run(row, server, cancel) => {}
            }
        });
    }

    async fn run(&self, row: FlowRow, server: Server, cancel: CancellationToken) {
        let mut op = Op::new(row.id);
        op.deadline = Some(self.env.clock.steady().plus(self.options.deadline));
        op.cancel = cancel.clone();
        let (tasks, server_id, flow_id) = (self.tasks.clone(), server.id, row.id);
        op.progress = Arc::new(move |phase| tasks.phase(server_id, flow_id, phase));
        let input: Input = match serde_json::from_value(row.input.clone()) {
            Ok(i) => i,
            Err(e) => return self.end(&row, &server, &[], Err(Error::internal("the flow's arguments cannot be read", e))).await,
        };
        let mut run = Run { conductor: self, row: &row, input, server, op, left: Vec::new() };
        let mut engine: flows::Flow<'_> = flow::Flow::new(Arc::new(Time(self.env.clock.clone())), self.probe.get().cloned());
        // After a start, hosts that have not spoken yet are no reason to fail what they were doing.
        self.hear(run.server.host.as_deref()).await;
        let known = row.version == flows::VERSION;
        let outcome = if known {
            let deadline = self.options.deadline;
            tokio::select! {
                biased;
                r = flows::dispatch(&mut engine, &mut run) => r,
                // The driver should have given up before; what it does later is fenced by the generation.
                () = self.env.clock.sleep(deadline + GRACE) => Err(Error::new(ErrorKind::TimedOut, "the operation took too long")),
            }
        } else {
            Err(Error::new(ErrorKind::Internal, "the operation was begun by another release and is given up"))
        };
        let server = run.server.clone();
        if outcome.is_err() {
            if cancel.is_cancelled() {
                // Another flow owns the server now, and its host removes what this one left.
                tracing::debug!(flow = %row.id, server = %server.id, "superseded");
                if let Some(image) = crate::finish::flow_image(&row)
                    && let Err(error) = self.images.settle(image).await
                {
                    tracing::warn!(%image, %error, "an abandoned snapshot's bytes stay until the next start");
                }
                return;
            }
            if let Err(error) = self.unwind(&mut engine).await {
                tracing::error!(flow = %row.id, server = %server.id, %error, "an undo cannot be done now; it will be tried again");
                return self.park(&row).await;
            }
        }
        let steps = crate::finish::steps(engine.records(), &run.left, server.host.as_ref());
        drop(engine);
        self.end(&row, &server, &steps, outcome).await;
    }

    /// Undoes all that is owed; an undo that never answers is given up like one that fails.
    async fn unwind(&self, engine: &mut flows::Flow<'_>) -> Result<(), Error> {
        tokio::select! {
            biased;
            undone = engine.unwind(0) => undone.map_err(|parked| parked.error),
            () = self.env.clock.sleep(self.options.deadline + GRACE) => Err(Error::new(ErrorKind::TimedOut, "an undo took too long")),
        }
    }

    /// Takes up the flows that nobody runs: expired leases, and `at_start`, when alone, all that an earlier life left,
    /// whatever their leases say (the clock may have gone back since).
    /// # Errors
    /// The database's.
    pub(crate) async fn take_up(&self, at_start: bool) -> Result<usize, store::Error> {
        let now = self.env.clock.steady();
        let (owner, until) = (self.options.name.clone(), now.plus(self.options.lease));
        let inherit = at_start && self.options.alone;
        let mine = owner.clone();
        let some = move |tx: &mut store::Tx| match inherit {
            true => store::flows::any_of_others(tx, &mine),
            false => store::flows::any_lapsed(tx, now),
        };
        let mut count = 0;
        if at_start && !self.options.alone {
            // Nobody runs what earlier lives of this controller owned, whatever the leases say.
            let (mine, prefix) = (owner.clone(), format!("{}#", self.options.controller));
            let take = move |tx: &mut store::Tx| store::flows::take_from_lives(tx, &prefix, &mine, until, u32::MAX);
            let taken = self.store.write(take).await?;
            count += self.resume(taken).await?;
        }
        if !self.store.read(some).await? {
            return Ok(count);
        }
        loop {
            let owner = owner.clone();
            let take = move |tx: &mut store::Tx| match inherit {
                true => store::flows::take_from_others(tx, &owner, until, AT_ONCE),
                false => store::flows::take_over(tx, &owner, now, until, AT_ONCE),
            };
            let taken = self.store.write(take).await?;
            let last = taken.len() < AT_ONCE as usize;
            count += self.resume(taken).await?;
            if last {
                return Ok(count);
            }
        }
    }

    /// Runs flows that were taken over; how many there are to run.
    async fn resume(&self, taken: Vec<FlowRow>) -> Result<usize, store::Error> {
        let now = self.env.now();
        let mut count = 0;
        for row in taken {
            let id = row.server_id;
            match self.store.read(move |tx| store::servers::get(tx, id)).await {
                // Accepted since the start, and running already.
                Ok(_) if self.tasks.runs(id, row.id) => {}
                Ok(server) if server.flow_id == Some(row.id) && self.owner_of(server.host.as_deref()) != row.owner => {
                    self.hand_over(&row, &server).await?;
                }
                Ok(server) if server.flow_id == Some(row.id) => {
                    let row = self.stranded(row, &server);
                    tracing::info!(flow = %row.id, server = %id, action = row.action.as_str(), "taking up an unfinished flow");
                    self.launch(row, server);
                    count += 1;
                }
                Ok(_) | Err(store::Error::NotFound { .. }) => {
                    let flow = row.id;
                    self.store.write(move |tx| store::flows::supersede(tx, flow, now)).await?;
                }
                // One damaged server stops nothing else; `audit` names it.
                Err(error) => tracing::error!(server = %id, flow = %row.id, %error, "an unfinished flow's server cannot be read"),
            }
        }
        Ok(count)
    }

    /// Gives a flow to the controller that holds the server's host.
    async fn hand_over(&self, row: &FlowRow, server: &Server) -> Result<(), store::Error> {
        let (id, from, to) = (row.id, row.owner.clone(), self.owner_of(server.host.as_deref()));
        let until = self.env.clock.steady().plus(self.options.lease);
        match self.store.write(move |tx| store::flows::hand_over(tx, id, &from, &to, until)).await {
            Err(store::Error::Conflict(_)) => Ok(()),
            done => done,
        }
    }

    /// A build whose host went with its controller may have made its guest there, and nowhere else may it be made then.
    fn stranded(&self, mut row: FlowRow, server: &Server) -> FlowRow {
        let elsewhere = server.host.as_deref().is_some_and(|h| self.hosts.get(h).is_none());
        if elsewhere && row.action == model::Action::Build {
            row.input = serde_json::to_value(Input::default()).unwrap_or_default();
        }
        row
    }

    /// Renews the leases of flows that run long; short ones never cost a write.
    pub(crate) async fn renew(&self) -> Result<(), store::Error> {
        let now = self.env.clock.steady();
        // Only flows that run long cost a write.
        let old = driver_api::Timestamp(now.0 - i64::try_from((self.options.lease / 3).as_micros()).unwrap_or(i64::MAX));
        let running = self.tasks.before(old);
        if running.is_empty() {
            return Ok(());
        }
        let (owner, until) = (self.options.name.clone(), now.plus(self.options.lease));
        let kept = self.store.write(move |tx| store::flows::renew(tx, &owner, &running, until)).await?;
        // What another controller took over is let go: it may commit nothing here any more.
        self.tasks.cancel_others(&kept, old);
        Ok(())
    }
}
