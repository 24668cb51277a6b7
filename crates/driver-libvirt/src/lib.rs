//! libvirt and QEMU, over libvirt's own RPC.
//!
//! One file a verb or facet. No libvirt library is linked and no `virsh` is run. The daemon is the truth: guests are
//! found again by the metadata in their descriptions, and nothing is remembered here that a restart would lose, but
//! the formats of disks, which are recorded beside them since no guest-written byte may be asked.

mod console;
mod console_log;
mod destroy;
mod diagnostics;
mod disks;
mod domain_xml;
mod error;
mod events;
mod hardware;
mod host;
mod image_cache;
mod list;
mod nodes;
mod options;
mod pause;
mod power;
mod qemu_img;
mod reboot;
pub mod rpc;
mod snapshot;
mod spawn;
mod suspend;
#[cfg(test)]
mod testing;

pub use options::{CpuMode, DiskKind, Options, VirtType};

use async_trait::async_trait;
use driver_api::{
    ComputeDriver, Console, ConsoleLog, DestroyMode, Diagnostics, DiskFormat, DriverEvent, DriverInfo, Error,
    ErrorKind, EventStream, HostContext, InstanceSpec, Node, Observed, Op, Owns, Pause, Power, RebootKind, Result,
    Snapshot, Suspend,
};
use host::{Host, Link};
use rpc::address::{Address, Endpoint};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Events that wait for the platform.
const EVENT_QUEUE: usize = 1_024;

/// The driver.
pub struct Libvirt {
    options: Options,
    address: Address,
    host: Mutex<Option<Arc<Host>>>,
    sender: Mutex<Option<mpsc::Sender<DriverEvent>>>,
    receiver: Mutex<Option<EventStream>>,
}

impl Libvirt {
    /// A driver that is not started.
    ///
    /// # Errors
    /// `InvalidSpec`, naming the option that is wrong.
    pub fn new(options: Options) -> Result<Libvirt> {
        let wrong = |why: String| Error::new(ErrorKind::InvalidSpec, format!("libvirt options: {why}"));
        options.check().map_err(wrong)?;
        let address = rpc::address::parse(&options.uri).map_err(wrong)?;
        let (sender, receiver) = mpsc::channel(EVENT_QUEUE);
        Ok(Libvirt {
            options,
            address,
            host: Mutex::new(None),
            sender: Mutex::new(Some(sender)),
            receiver: Mutex::new(Some(receiver)),
        })
    }

    /// What `start` prepared.
    fn host(&self) -> Result<Arc<Host>> {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        host.clone().ok_or_else(|| Error::new(ErrorKind::Unreachable, "the driver is not started"))
    }

    /// A display is handed over as a descriptor, so only by a daemon of this machine.
    fn offers_vnc(&self) -> bool {
        self.options.vnc && matches!(self.address.endpoint, Endpoint::Unix(_))
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        if let Some(host) = self.host.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            host.stop.cancel();
        }
    }
}

#[async_trait]
impl ComputeDriver for Libvirt {
    async fn start(&self, context: HostContext) -> Result<()> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(sender) = sender else {
            return Err(Error::new(ErrorKind::AlreadyExists, "the driver was started before"));
        };
        let host = Arc::new(Host::new(self.options.clone(), self.address.clone(), context).await?);
        let mut link = host.link.subscribe();
        host.tasks.spawn(events::run(host.clone(), events::Emitter::new(sender)));
        // The first attempt's outcome, whichever it is, so that what is asked next finds the daemon if it is there.
        let _ = link.wait_for(|l| !matches!(l, Link::Connecting)).await;
        *self.host.lock().unwrap_or_else(PoisonError::into_inner) = Some(host.clone());
        Ok(())
    }

    async fn stop(&self) {
        let host = self.host.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(host) = host {
            host.stop.cancel();
            host.tasks.close();
            // Each bounds its own goodbye.
            host.tasks.wait().await;
        }
    }

    fn info(&self) -> DriverInfo {
        DriverInfo {
            name: "libvirt".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            owns: Owns::default(),
            image_formats: vec![
                DiskFormat::Raw,
                DiskFormat::Qcow2,
                DiskFormat::Aki,
                DiskFormat::Ari,
                DiskFormat::Ami,
                DiskFormat::Vmdk,
                DiskFormat::Vhd,
                DiskFormat::Vhdx,
                DiskFormat::Vdi,
                DiskFormat::Ploop,
            ],
        }
    }

    async fn nodes(&self) -> Result<Vec<Node>> {
        nodes::nodes(&*self.host()?).await
    }
    async fn list(&self) -> Result<Vec<Observed>> {
        list::list(&*self.host()?).await
    }
    async fn get(&self, instance: Uuid) -> Result<Observed> {
        list::get(&*self.host()?, instance).await
    }
    async fn spawn(&self, spec: &InstanceSpec, op: &Op) -> Result<Observed> {
        spawn::spawn(&*self.host()?, spec, op).await
    }
    async fn destroy(&self, instance: Uuid, mode: DestroyMode, op: &Op) -> Result<()> {
        destroy::destroy(&*self.host()?, instance, mode, op).await
    }
    async fn power(&self, spec: &InstanceSpec, to: Power, op: &Op) -> Result<Observed> {
        power::power(&*self.host()?, spec, to, op).await
    }
    async fn reboot(&self, spec: &InstanceSpec, kind: RebootKind, op: &Op) -> Result<Observed> {
        reboot::reboot(&*self.host()?, spec, kind, op).await
    }
    fn events(&self) -> Option<EventStream> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn as_pause(&self) -> Option<&dyn Pause> {
        Some(self)
    }
    fn as_suspend(&self) -> Option<&dyn Suspend> {
        Some(self)
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
