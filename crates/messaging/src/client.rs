//! The control plane's end: one typed method per verb.

use crate::link::Weather;
use crate::{Assignment, Call, Envelope, Outcome};
use driver_api::{
    ConsoleKind, ConsoleStream, DestroyMode, DiagnosticsReport, Error, ErrorKind, Observed, Op, Power, RebootKind,
    Result, SnapshotResult,
};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Calls to one host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ComputeClient {
    host: String,
    calls: mpsc::Sender<Envelope>,
    weather: Option<Weather>,
}

impl ComputeClient {
    pub(crate) fn new(host: &str, calls: mpsc::Sender<Envelope>, weather: Option<Weather>) -> ComputeClient {
        ComputeClient { host: host.to_owned(), calls, weather }
    }
    /// Name of the host.
    pub fn host(&self) -> &str {
        &self.host
    }
    async fn call(&self, op: &Op, call: Call) -> Result<Outcome> {
        if let Some(weather) = &self.weather {
            return weather.call(&self.host, &self.calls, op, call).await;
        }
        let (reply, answer) = oneshot::channel();
        let gone = || Error::new(ErrorKind::Unreachable, format!("host {} does not answer", self.host));
        self.calls.send(Envelope { number: 0, op: op.clone(), call, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
    async fn observed(&self, op: &Op, call: Call) -> Result<Observed> {
        match self.call(op, call).await? {
            Outcome::Observed(o) => Ok(o),
            _ => Err(self.wrong()),
        }
    }
    async fn done(&self, op: &Op, call: Call) -> Result<()> {
        self.call(op, call).await.map(|_| ())
    }
    fn wrong(&self) -> Error {
        Error::internal("the host gave an answer of another kind", &self.host)
    }
    /// Plugs and spawns.
    /// # Errors
    /// The driver's or the network's.
    pub async fn spawn(&self, a: Assignment, op: &Op) -> Result<Observed> {
        self.observed(op, Call::Spawn(Box::new(a))).await
    }
    /// Destroys and unplugs; the absent is no error.
    /// # Errors
    /// The driver's.
    pub async fn destroy(&self, instance: Uuid, generation: u64, mode: DestroyMode, op: &Op) -> Result<()> {
        self.done(op, Call::Destroy { instance, generation, mode }).await
    }
    /// Starts or stops.
    /// # Errors
    /// The driver's.
    pub async fn power(&self, a: Assignment, to: Power, op: &Op) -> Result<Observed> {
        self.observed(op, Call::Power(Box::new(a), to)).await
    }
    /// Reboots.
    /// # Errors
    /// The driver's.
    pub async fn reboot(&self, a: Assignment, kind: RebootKind, op: &Op) -> Result<Observed> {
        self.observed(op, Call::Reboot(Box::new(a), kind)).await
    }
    /// Pauses.
    /// # Errors
    /// The driver's.
    pub async fn pause(&self, a: Assignment, op: &Op) -> Result<Observed> {
        self.observed(op, Call::Pause(Box::new(a))).await
    }
    /// Continues.
    /// # Errors
    /// The driver's.
    pub async fn unpause(&self, a: Assignment, op: &Op) -> Result<Observed> {
        self.observed(op, Call::Unpause(Box::new(a))).await
    }
    /// Suspends to disk.
    /// # Errors
    /// The driver's.
    pub async fn suspend(&self, a: Assignment, op: &Op) -> Result<Observed> {
        self.observed(op, Call::Suspend(Box::new(a))).await
    }
    /// Resumes from disk.
    /// # Errors
    /// The driver's.
    pub async fn resume(&self, a: Assignment, op: &Op) -> Result<Observed> {
        self.observed(op, Call::Resume(Box::new(a))).await
    }
    /// Snapshots the root disk into `image`.
    /// # Errors
    /// The driver's.
    pub async fn snapshot(&self, a: Assignment, image: Uuid, op: &Op) -> Result<SnapshotResult> {
        match self.call(op, Call::Snapshot(Box::new(a), image)).await? {
            Outcome::Snapshot(s) => Ok(s),
            _ => Err(self.wrong()),
        }
    }
    /// Makes the guest anew.
    /// # Errors
    /// The driver's.
    pub async fn rebuild(&self, a: Assignment, op: &Op) -> Result<Observed> {
        self.observed(op, Call::Rebuild(Box::new(a))).await
    }
    /// Carries changes that are no operations.
    /// # Errors
    /// The network's.
    pub async fn refresh(&self, all: Vec<Assignment>, op: &Op) -> Result<()> {
        self.done(op, Call::Refresh(all)).await
    }
    /// Tells the agent everything that is assigned to it.
    /// # Errors
    /// The network's.
    pub async fn sync(&self, all: Vec<Assignment>, op: &Op) -> Result<()> {
        self.done(op, Call::Sync(all)).await
    }
    /// All guests.
    /// # Errors
    /// `Unreachable`.
    pub async fn list(&self, op: &Op) -> Result<Vec<Observed>> {
        match self.call(op, Call::List).await? {
            Outcome::Listed(l) => Ok(l),
            _ => Err(self.wrong()),
        }
    }
    /// One guest.
    /// # Errors
    /// `NotFound`, `Unreachable`.
    pub async fn get(&self, instance: Uuid, op: &Op) -> Result<Observed> {
        self.observed(op, Call::Get(instance)).await
    }
    /// The console's log.
    /// # Errors
    /// The driver's; `UnsupportedSpec` without the facet.
    pub async fn console_log(&self, instance: Uuid, lines: Option<u32>, op: &Op) -> Result<Vec<u8>> {
        match self.call(op, Call::ConsoleLog { instance, lines }).await? {
            Outcome::Log(l) => Ok(l),
            _ => Err(self.wrong()),
        }
    }
    /// An interactive console.
    /// # Errors
    /// The driver's; `UnsupportedSpec` without the facet.
    pub async fn open_console(&self, instance: Uuid, kind: ConsoleKind, op: &Op) -> Result<ConsoleStream> {
        match self.call(op, Call::OpenConsole { instance, kind }).await? {
            Outcome::Console(c) => Ok(c),
            _ => Err(self.wrong()),
        }
    }
    /// Diagnostics.
    /// # Errors
    /// The driver's; `UnsupportedSpec` without the facet.
    pub async fn diagnostics(&self, instance: Uuid, op: &Op) -> Result<DiagnosticsReport> {
        match self.call(op, Call::Diagnostics(instance)).await? {
            Outcome::Diagnostics(d) => Ok(d),
            _ => Err(self.wrong()),
        }
    }
}
