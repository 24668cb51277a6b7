//! One file per action: what is asked of the host, with its undo beside it, and what it means for the server.
//!
//! A flow is straight-line code over [`Run`]; every effect is a step, a variant of [`Step`]. It reads no clock and no
//! randomness, writes nothing, and may be run again from the start after a crash: every call to a host is idempotent.

pub(crate) mod build;
pub(crate) mod delete;
pub(crate) mod pause;
pub(crate) mod power;
pub(crate) mod reboot;
pub(crate) mod rebuild;
pub(crate) mod snapshot;
pub(crate) mod suspend;

use crate::Conductor;
use crate::hosts::Host;
use driver_api::{Error, Observed, Op};
use messaging::Assignment;
use model::Action;
use model::flow::FlowRow;
use model::server::{Server, VmState};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Version of the flows' code. A row of another version is unwound, not run.
pub(crate) const VERSION: i64 = 1;

/// Every effect outside our database, of every flow. The failure matrix runs over these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is the verb that its host is told")]
pub enum Step {
    Spawn,
    Destroy,
    PowerOn,
    PowerOff,
    RebootSoft,
    RebootHard,
    Pause,
    Unpause,
    Suspend,
    Resume,
    Snapshot,
    Rebuild,
}

impl flow::Step for Step {
    const ALL: &'static [Step] = &[
        Step::Spawn,
        Step::Destroy,
        Step::PowerOn,
        Step::PowerOff,
        Step::RebootSoft,
        Step::RebootHard,
        Step::Pause,
        Step::Unpause,
        Step::Suspend,
        Step::Resume,
        Step::Snapshot,
        Step::Rebuild,
    ];
    /// Nova's event names of instance actions.
    fn name(self) -> &'static str {
        match self {
            Step::Spawn => "compute__do_build_and_run_instance",
            Step::Destroy => "compute_terminate_instance",
            Step::PowerOn => "compute_start_instance",
            Step::PowerOff => "compute_stop_instance",
            Step::RebootSoft | Step::RebootHard => "compute_reboot_instance",
            Step::Pause => "compute_pause_instance",
            Step::Unpause => "compute_unpause_instance",
            Step::Suspend => "compute_suspend_instance",
            Step::Resume => "compute_resume_instance",
            Step::Snapshot => "compute_snapshot_instance",
            Step::Rebuild => "compute_rebuild_instance",
        }
    }
    fn undoes(self) -> bool {
        matches!(self, Step::Spawn | Step::Snapshot)
    }
}

/// A flow's arguments beyond the server's row. Stored in the flow's row.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Input {
    /// State of the server before.
    pub was: Option<VmState>,
    /// Image that a snapshot fills.
    pub image: Option<Uuid>,
    /// Hosts that a build may try after the first, best first.
    pub alternates: Vec<crate::build::Place>,
}

/// What a flow has in its hands.
pub(crate) struct Run<'a> {
    pub conductor: &'a Conductor,
    pub row: &'a FlowRow,
    pub input: Input,
    pub server: Server,
    pub op: Op,
    /// Hosts that were left, each with the number of steps by then.
    pub left: Vec<(usize, Option<String>)>,
}

/// How a flow ended, for commit 2.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending {
    /// What the host observed last.
    pub observed: Option<Observed>,
    /// State, where it is not what `ACTIONS` says.
    pub vm_state: Option<VmState>,
    /// The server is gone: claim, quota and ports go with it.
    pub gone: bool,
    /// The image got its bytes.
    pub image: Option<Uuid>,
}

impl Ending {
    pub fn of(observed: Observed) -> Ending {
        Ending { observed: Some(observed), ..Ending::default() }
    }
}

pub(crate) type Flow<'a> = flow::Flow<'a, Step, Error>;

impl Run<'_> {
    /// The server's host.
    pub fn host(&self) -> Result<Host, Error> {
        self.conductor.host_of(&self.server).map_err(|e| Error::new(driver_api::ErrorKind::Unreachable, e.to_string()))
    }
    /// What the host needs to know, as it is now.
    pub async fn assignment(&self) -> Result<Assignment, Error> {
        self.conductor.assignment(&self.server).await
    }
}

/// Runs the flow of `run.row`.
pub(crate) async fn dispatch(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    match run.row.action {
        Action::Build => build::run(flow, run).await,
        Action::Delete => delete::run(flow, run).await,
        Action::Start => power::start(flow, run).await,
        Action::Stop => power::stop(flow, run).await,
        Action::RebootSoft | Action::RebootHard => reboot::run(flow, run).await,
        Action::Pause => pause::pause(flow, run).await,
        Action::Unpause => pause::unpause(flow, run).await,
        Action::Suspend => suspend::suspend(flow, run).await,
        Action::Resume => suspend::resume(flow, run).await,
        Action::Snapshot => snapshot::run(flow, run).await,
        Action::Rebuild => rebuild::run(flow, run).await,
        // Rows only: they are done when they are stored.
        Action::Lock | Action::Unlock => Ok(Ending::default()),
    }
}
