//! The driver in front of the machine: the contract's core, each verb in its own file, and the frame that every
//! operation passes (reachability, fault plan, latency, cancellation, record).

use crate::events::Watcher;
use crate::faults::{FaultPlan, When};
use crate::machine::{Machine, State};
use crate::operation::Operation;
use crate::options::{Options, OptionsError};
use crate::persist;
use async_trait::async_trait;
use driver_api::{
    ComputeDriver, Console, ConsoleLog, DestroyMode, Diagnostics, DriverInfo, Error, ErrorKind, EventStream,
    HostContext, InstanceSpec, Node, Observed, Op, Owns, Pause, Power, RebootKind, Result, Snapshot, Suspend,
};
use std::future::Future;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use uuid::Uuid;

/// The fake driver.
pub struct Fake {
    pub(crate) options: Options,
    pub(crate) machine: Arc<Machine>,
    context: OnceLock<HostContext>,
    watcher: Mutex<Option<Watcher>>,
    stream: Mutex<Option<EventStream>>,
}

impl Fake {
    /// A driver with a machine of its own.
    /// # Errors
    /// An option that cannot be meant.
    pub fn new(options: Options) -> std::result::Result<Fake, OptionsError> {
        Fake::on(Machine::new(), options)
    }

    /// A driver in front of a machine that may have guests already.
    /// # Errors
    /// An option that cannot be meant.
    pub fn on(machine: Arc<Machine>, options: Options) -> std::result::Result<Fake, OptionsError> {
        options.validate()?;
        let (watcher, stream) = Watcher::channel();
        Ok(Fake {
            options,
            machine,
            context: OnceLock::new(),
            watcher: Mutex::new(Some(watcher)),
            stream: Mutex::new(Some(stream)),
        })
    }

    /// The machine behind this driver.
    pub fn machine(&self) -> Arc<Machine> {
        Arc::clone(&self.machine)
    }

    pub(crate) fn context(&self) -> Result<&HostContext> {
        self.context.get().ok_or_else(|| Error::new(ErrorKind::Unreachable, "the driver was not started"))
    }

    /// Names of the nodes, in order.
    pub(crate) fn node_names(&self, host: &str) -> Vec<String> {
        match self.options.nodes {
            1 => vec![host.to_owned()],
            n => (1..=n).map(|i| format!("{host}-{i}")).collect(),
        }
    }

    /// Does `work`, unless the operation is no longer wanted or its deadline passes first.
    pub(crate) async fn bounded<T>(&self, op: &Op, work: impl Future<Output = Result<T>>) -> Result<T> {
        let clock = &self.context()?.clock;
        let late = async {
            match op.deadline {
                Some(deadline) => clock.sleep(deadline.since(clock.steady())).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = op.cancel.cancelled() => Err(Error::new(ErrorKind::Cancelled, "the operation was cancelled")),
            done = work => done,
            () = late => Err(Error::new(ErrorKind::TimedOut, "the operation did not end before its deadline")),
        }
    }

    /// Lets the operation's time pass; ends early if it is no longer wanted or its deadline passes.
    async fn take_time(&self, operation: Operation, op: Option<&Op>, forever: bool) -> Result<()> {
        let context = self.context()?;
        let latency = self.options.latency(operation);
        let work = async {
            if forever {
                std::future::pending::<()>().await;
            }
            if !latency.is_zero() {
                context.clock.sleep(latency).await;
            }
            Ok(())
        };
        match op {
            // No latency, no timer: ten thousand hosts must stay cheap.
            Some(op) if latency.is_zero() && !forever => op.check(),
            Some(op) => self.bounded(op, work).await,
            None => work.await,
        }
    }

    /// A question: no claim on the guest, no record.
    pub(crate) async fn ask<T>(
        &self,
        operation: Operation,
        answer: impl FnOnce(&mut State) -> Result<T> + Send,
    ) -> Result<T> {
        self.machine.check_reachable()?;
        let strike = self.machine.strike(operation);
        self.take_time(operation, None, false).await?;
        if let Some(strike) = strike {
            return Err(planned(operation, strike.kind));
        }
        self.machine.check_reachable()?;
        answer(&mut self.machine.lock())
    }

    /// A change of one guest. `effect` is all that happens, at one instant; `undo` runs if the plan lets the
    /// operation fail after it.
    pub(crate) async fn change<T>(
        &self,
        operation: Operation,
        id: Uuid,
        op: &Op,
        effect: impl FnOnce(&mut State) -> Result<T> + Send,
        undo: impl FnOnce(&mut State) + Send,
    ) -> Result<T> {
        self.machine.check_reachable()?;
        op.check()?;
        let _claim = self.machine.claim(id)?;
        let strike = self.machine.strike(operation);
        self.take_time(operation, Some(op), strike.is_some_and(|s| s.when == When::Hang)).await?;
        match strike {
            Some(strike) if strike.when == When::BeforeEffect => return Err(planned(operation, strike.kind)),
            _ => {}
        }
        self.machine.check_reachable()?;
        let done = effect(&mut self.machine.lock());
        if let (Ok(_), Some(strike)) = (&done, strike) {
            if strike.when == When::AfterEffect {
                undo(&mut self.machine.lock());
            }
            self.machine.save(id).await?;
            return Err(planned(operation, strike.kind));
        }
        self.machine.save(id).await?;
        done
    }
}

/// The error of the fault plan.
fn planned(operation: Operation, kind: ErrorKind) -> Error {
    Error::new(kind, "the simulated host failed as planned").detail(format!("fault plan: {operation:?}"))
}

#[async_trait]
impl ComputeDriver for Fake {
    async fn start(&self, context: HostContext) -> Result<()> {
        let dir = self.options.persist.then(|| context.data_dir.join("guests"));
        if let Some(dir) = dir.clone() {
            let failed = |e: &dyn std::fmt::Display| Error::internal("the fake driver cannot use its directory", e);
            let read = tokio::task::spawn_blocking(move || persist::load(&dir)).await.map_err(|e| failed(&e))?;
            let (guests, damaged) = read.map_err(|e| failed(&e))?;
            for path in damaged {
                tracing::error!(path = %path.display(), "a guest's record is damaged; the other guests go on without it");
            }
            self.machine.adopt(guests);
        }
        let faults = FaultPlan::new(&self.options.faults, &context.host);
        let watcher = self.watcher.lock().unwrap_or_else(PoisonError::into_inner).take();
        let clock = context.clock.clone();
        self.context
            .set(context)
            .map_err(|_| Error::new(ErrorKind::AlreadyExists, "the driver was started before"))?;
        self.machine.attach(clock, dir, faults, watcher);
        Ok(())
    }

    async fn stop(&self) {
        self.machine.detach();
    }

    fn info(&self) -> DriverInfo {
        DriverInfo {
            name: "fake".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            owns: Owns { network: self.options.owns_network, ..Owns::default() },
            image_formats: self.options.image_formats.clone(),
        }
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        let host = &self.context()?.host;
        let nodes = self.node_names(host).into_iter().map(|name| self.node(name)).collect();
        self.ask(Operation::Nodes, |_| Ok(nodes)).await
    }

    async fn list(&self) -> Result<Vec<Observed>> {
        self.ask(Operation::List, |state| {
            Ok(state.guests.values().filter(|g| g.defined).map(crate::Guest::observed).collect())
        })
        .await
    }

    async fn get(&self, instance: Uuid) -> Result<Observed> {
        self.ask(Operation::Get, |state| Ok(state.guest(instance)?.observed())).await
    }

    async fn spawn(&self, spec: &InstanceSpec, op: &Op) -> Result<Observed> {
        self.do_spawn(spec, op).await
    }

    async fn destroy(&self, instance: Uuid, mode: DestroyMode, op: &Op) -> Result<()> {
        self.do_destroy(instance, mode, op).await
    }

    async fn power(&self, spec: &InstanceSpec, to: Power, op: &Op) -> Result<Observed> {
        self.do_power(spec, to, op).await
    }

    async fn reboot(&self, spec: &InstanceSpec, kind: RebootKind, op: &Op) -> Result<Observed> {
        self.do_reboot(spec, kind, op).await
    }

    fn events(&self) -> Option<EventStream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn as_pause(&self) -> Option<&dyn Pause> {
        self.options.has_facet("pause").then_some(self)
    }

    fn as_suspend(&self) -> Option<&dyn Suspend> {
        self.options.has_facet("suspend").then_some(self)
    }

    fn as_console(&self) -> Option<&dyn Console> {
        self.options.has_facet("console").then_some(self)
    }

    fn as_console_log(&self) -> Option<&dyn ConsoleLog> {
        self.options.has_facet("console_log").then_some(self)
    }

    fn as_diagnostics(&self) -> Option<&dyn Diagnostics> {
        self.options.has_facet("diagnostics").then_some(self)
    }

    fn as_snapshot(&self) -> Option<&dyn Snapshot> {
        self.options.has_facet("snapshot").then_some(self)
    }
}

impl Fake {
    fn node(&self, name: String) -> Node {
        let o = &self.options;
        Node {
            name,
            hypervisor_type: "fake".to_owned(),
            hypervisor_version: 1_000_000,
            host_ip: None,
            vcpus: o.vcpus,
            memory_mib: o.memory_mib,
            disk_gib: o.disk_gib,
            cpu_ratio: o.cpu_ratio,
            memory_ratio: 1.0,
            disk_ratio: 1.0,
            reserved_vcpus: 0,
            reserved_memory_mib: 0,
            reserved_disk_gib: 0,
            custom_inventory: o.custom_inventory.clone(),
            traits: o.traits.clone(),
            cpu_info: serde_json::json!({"arch": "x86_64", "model": "fake", "vendor": "Kilonova"}),
            uptime_seconds: None,
        }
    }
}
