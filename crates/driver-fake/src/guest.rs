//! One simulated guest: what the machine keeps of it.

use driver_api::{EventKind, InstanceSpec, Observed, PowerState, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Lines of the console log that are kept.
const LOG_LINES: usize = 256;
/// Operations that are remembered, so that the same one again has its effect once.
const REMEMBERED_OPS: usize = 8;

/// A guest of the simulated machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Guest {
    /// Identity.
    pub id: Uuid,
    /// Generation of the last specification seen.
    pub generation: u64,
    /// Power state.
    pub power: PowerState,
    /// Node it runs on.
    pub node: String,
    /// Host name inside.
    pub hostname: String,
    /// Image of the root disk.
    pub image: Option<Uuid>,
    /// Virtual CPUs.
    pub vcpus: u32,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// MAC addresses, in order.
    pub macs: Vec<String>,
    /// Bytes of the config drive, where there is one.
    pub config_drive: Option<u64>,
    /// False: only the disks are left (`destroy` with `KeepDisks`).
    pub defined: bool,
    /// Times it was started.
    pub boots: u32,
    /// When it was started last.
    pub started_at: Option<Timestamp>,
    /// What it wrote on its console, oldest first.
    pub console: Vec<String>,
    /// The latest operations, newest last.
    ops: Vec<Uuid>,
}

impl Guest {
    /// A guest that nobody asked for.
    pub(crate) fn stranger(id: Uuid) -> Guest {
        Guest {
            id,
            generation: 0,
            power: PowerState::Running,
            node: String::new(),
            hostname: String::new(),
            image: None,
            vcpus: 1,
            memory_mib: 0,
            macs: Vec::new(),
            config_drive: None,
            defined: true,
            boots: 1,
            started_at: None,
            console: Vec::new(),
            ops: Vec::new(),
        }
    }

    pub(crate) fn new(spec: &InstanceSpec, node: String) -> Guest {
        let mut guest = Guest {
            id: spec.id,
            generation: 0,
            power: PowerState::Shutdown,
            node,
            hostname: String::new(),
            image: None,
            vcpus: 0,
            memory_mib: 0,
            macs: Vec::new(),
            config_drive: None,
            defined: true,
            boots: 0,
            started_at: None,
            console: Vec::new(),
            ops: Vec::new(),
        };
        guest.define(spec);
        guest.image = spec.image.as_ref().map(|i| i.id);
        guest
    }

    /// Takes over what a newer specification says about the virtual hardware.
    pub(crate) fn define(&mut self, spec: &InstanceSpec) {
        self.generation = self.generation.max(spec.generation);
        self.hostname.clone_from(&spec.hostname);
        self.vcpus = spec.vcpus;
        self.memory_mib = spec.memory_mib;
        self.macs = spec.nics.iter().map(|n| n.mac.clone()).collect();
    }

    pub(crate) fn observed(&self) -> Observed {
        Observed {
            id: self.id,
            generation: self.generation,
            power: self.power,
            node: self.node.clone(),
            backend_name: format!("instance-{}", &self.id.simple().to_string()[24..]),
            root_device: Some("/dev/vda".to_owned()),
        }
    }

    /// Starts it from nothing.
    pub(crate) fn boot(&mut self, now: Timestamp) -> EventKind {
        self.power = PowerState::Running;
        self.boots += 1;
        self.started_at = Some(now);
        self.log(format!("[    0.000000] Kilonova fake guest, boot {}", self.boots));
        self.log(format!("[    0.000001] {} CPU(s), {} MiB of memory", self.vcpus, self.memory_mib));
        for (index, mac) in self.macs.clone().iter().enumerate() {
            self.log(format!("[    0.000002] eth{index}: {mac}"));
        }
        if let Some(bytes) = self.config_drive {
            self.log(format!("[    0.000003] config drive of {bytes} bytes"));
        }
        self.log(format!("{} login:", self.hostname));
        EventKind::Started
    }

    pub(crate) fn log(&mut self, line: String) {
        if self.console.len() == LOG_LINES {
            self.console.remove(0);
        }
        self.console.push(line);
    }

    /// Whether `op` was done already.
    pub(crate) fn did(&self, op: Uuid) -> bool {
        self.ops.contains(&op)
    }

    pub(crate) fn remember(&mut self, op: Uuid) {
        if self.ops.len() == REMEMBERED_OPS {
            self.ops.remove(0);
        }
        self.ops.push(op);
    }
}
