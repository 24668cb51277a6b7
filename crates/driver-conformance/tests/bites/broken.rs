//! The fake with one defect each.

use async_trait::async_trait;
use driver_api::*;
use driver_fake::Fake;
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    None,
    SpawnsOnce,
    LeavesFailedGuest,
    MissesTheAbsent,
    LeavesDisks,
    ForgetsGuests,
    IgnoresCancel,
    IgnoresDeadline,
    CutsSnapshots,
    IsSilent,
    PausesOnce,
    StopsOthers,
    TellsTheWholeLog,
    OpensAnyConsole,
    StopsGuestsWithItself,
    LosesAFacet,
    AnswersWhileSilent,
    ResumesOnStart,
    CountsCpusWrongly,
}

pub struct Broken {
    pub inner: Fake,
    /// Which life of the driver this is; a facet is lost in every second one.
    pub life: u32,
    pub defect: Defect,
}

/// Uploads half of what it is given and tells of the whole.
struct Cutter(std::sync::Arc<dyn ImageSource>);

#[async_trait]
impl ImageSource for Cutter {
    async fn open(&self, image: Uuid) -> Result<ImageStream> {
        self.0.open(image).await
    }
    async fn upload(&self, image: Uuid, mut sink: ImageSink) -> Result<u64> {
        use tokio::io::AsyncReadExt;
        let mut bytes = Vec::new();
        sink.reader.read_to_end(&mut bytes).await.map_err(|e| Error::internal("reading", e))?;
        let whole = bytes.len() as u64;
        bytes.truncate(bytes.len() / 2);
        self.0.upload(image, ImageSink { format: sink.format, reader: Box::pin(std::io::Cursor::new(bytes)) }).await?;
        Ok(whole)
    }
}

impl Broken {
    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }
    fn op(&self, op: &Op) -> Op {
        let mut op = op.clone();
        if self.is(Defect::IgnoresCancel) {
            op.cancel = Default::default();
        }
        if self.is(Defect::IgnoresDeadline) {
            op.deadline = None;
        }
        op
    }
}

#[async_trait]
impl ComputeDriver for Broken {
    async fn start(&self, mut context: HostContext) -> Result<()> {
        if self.is(Defect::CutsSnapshots) {
            context.images = std::sync::Arc::new(Cutter(context.images.clone()));
        }
        self.inner.start(context).await?;
        if self.is(Defect::ResumesOnStart) {
            for guest in self.inner.list().await? {
                self.inner.unpause(guest.id, &Op::new(Uuid::nil())).await.ok();
                if guest.power == PowerState::Suspended {
                    self.inner.destroy(guest.id, DestroyMode::KeepDisks, &Op::new(Uuid::nil())).await?;
                }
            }
        }
        Ok(())
    }
    async fn stop(&self) {
        if self.is(Defect::StopsGuestsWithItself) {
            for guest in self.inner.list().await.unwrap_or_default() {
                self.inner.machine().guest_shutdown(guest.id).ok();
            }
        }
        self.inner.stop().await;
    }
    fn info(&self) -> DriverInfo {
        self.inner.info()
    }
    async fn nodes(&self) -> Result<Vec<Node>> {
        self.inner.nodes().await
    }
    async fn list(&self) -> Result<Vec<Observed>> {
        match self.inner.list().await {
            Err(e) if e.kind == ErrorKind::Unreachable && self.is(Defect::AnswersWhileSilent) => Ok(Vec::new()),
            other => other,
        }
    }
    async fn get(&self, instance: Uuid) -> Result<Observed> {
        self.inner.get(instance).await
    }
    async fn spawn(&self, spec: &InstanceSpec, op: &Op) -> Result<Observed> {
        if self.is(Defect::SpawnsOnce) && self.inner.get(spec.id).await.is_ok() {
            return Err(Error::new(ErrorKind::AlreadyExists, "the guest is there already"));
        }
        let made = self.inner.spawn(spec, &self.op(op)).await;
        if self.is(Defect::LeavesFailedGuest) && made.is_err() {
            let half = InstanceSpec { image: None, config_drive: false, vcpus: 1, memory_mib: 1, ..spec.clone() };
            self.inner.spawn(&half, &Op::new(Uuid::nil())).await.ok();
        }
        made
    }
    async fn destroy(&self, instance: Uuid, mode: DestroyMode, op: &Op) -> Result<()> {
        if self.is(Defect::MissesTheAbsent) {
            self.inner.get(instance).await?;
        }
        let mode = if self.is(Defect::LeavesDisks) { DestroyMode::KeepDisks } else { mode };
        self.inner.destroy(instance, mode, &self.op(op)).await
    }
    async fn power(&self, spec: &InstanceSpec, to: Power, op: &Op) -> Result<Observed> {
        if self.is(Defect::StopsOthers) && to != Power::On {
            for other in self.inner.list().await? {
                self.inner.machine().guest_shutdown(other.id)?;
            }
        }
        self.inner.power(spec, to, &self.op(op)).await
    }
    async fn reboot(&self, spec: &InstanceSpec, kind: RebootKind, op: &Op) -> Result<Observed> {
        self.inner.reboot(spec, kind, &self.op(op)).await
    }
    fn events(&self) -> Option<EventStream> {
        let stream = self.inner.events();
        if self.is(Defect::IsSilent) {
            return stream.map(|_| {
                let (sender, receiver) = tokio::sync::mpsc::channel(1);
                std::mem::forget(sender);
                receiver
            });
        }
        stream
    }
    fn as_pause(&self) -> Option<&dyn Pause> {
        let lost = self.is(Defect::LosesAFacet) && self.life.is_multiple_of(2);
        (!lost).then_some(self)
    }
    fn as_suspend(&self) -> Option<&dyn Suspend> {
        self.inner.as_suspend()
    }
    fn as_console(&self) -> Option<&dyn Console> {
        Some(self)
    }
    fn as_console_log(&self) -> Option<&dyn ConsoleLog> {
        Some(self)
    }
    fn as_diagnostics(&self) -> Option<&dyn Diagnostics> {
        Some(self)
    }
    fn as_snapshot(&self) -> Option<&dyn Snapshot> {
        Some(self)
    }
}

#[async_trait]
impl Pause for Broken {
    async fn pause(&self, instance: Uuid, op: &Op) -> Result<Observed> {
        if self.is(Defect::PausesOnce) && self.inner.get(instance).await?.power == PowerState::Paused {
            return Err(Error::new(ErrorKind::InvalidSpec, "the guest is paused already"));
        }
        self.inner.pause(instance, op).await
    }
    async fn unpause(&self, instance: Uuid, op: &Op) -> Result<Observed> {
        self.inner.unpause(instance, op).await
    }
}

#[async_trait]
impl Console for Broken {
    fn kinds(&self) -> Vec<ConsoleKind> {
        self.inner.kinds()
    }
    async fn open_console(&self, instance: Uuid, kind: ConsoleKind) -> Result<ConsoleStream> {
        if self.is(Defect::OpensAnyConsole) {
            let (reader, writer) = tokio::io::split(tokio::io::duplex(1).0);
            return Ok(ConsoleStream { reader: Box::new(reader), writer: Box::new(writer) });
        }
        self.inner.open_console(instance, kind).await
    }
}

#[async_trait]
impl ConsoleLog for Broken {
    async fn console_log(&self, instance: Uuid, lines: Option<u32>) -> Result<Vec<u8>> {
        let lines = lines.filter(|_| !self.is(Defect::TellsTheWholeLog));
        self.inner.console_log(instance, lines).await
    }
}

#[async_trait]
impl Diagnostics for Broken {
    async fn diagnostics(&self, instance: Uuid) -> Result<DiagnosticsReport> {
        let mut report = self.inner.diagnostics(instance).await?;
        if self.is(Defect::CountsCpusWrongly) {
            report.cpu_time_ns.push(0);
        }
        Ok(report)
    }
}

#[async_trait]
impl Snapshot for Broken {
    async fn snapshot(&self, spec: &InstanceSpec, image: Uuid, op: &Op) -> Result<SnapshotResult> {
        self.inner.snapshot(spec, image, &self.op(op)).await
    }
}
