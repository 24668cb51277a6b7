//! What an operator may set about a libvirt host.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How guests are run. Explicit: a machine may show a KVM device that runs no guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VirtType {
    /// Emulated by QEMU (TCG).
    Qemu,
    /// By the processor's virtualisation (KVM).
    Kvm,
}

impl VirtType {
    /// libvirt's word.
    pub fn as_str(self) -> &'static str {
        match self {
            VirtType::Qemu => "qemu",
            VirtType::Kvm => "kvm",
        }
    }
}

/// The processor that guests see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum CpuMode {
    /// QEMU's default under `qemu`, `host-model` under `kvm`.
    #[default]
    Default,
    /// Close to the host's.
    HostModel,
    /// The host's own.
    HostPassthrough,
    /// All that QEMU can emulate.
    Maximum,
    /// The model named by `cpu_model`.
    Custom,
}

/// Format of guests' root disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum DiskKind {
    /// A layer of differences over the cached image.
    #[default]
    Qcow2,
    /// A full, sparse copy.
    Raw,
}

/// Options of one `[[compute]]` entry with `driver = "libvirt"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Daemon: `qemu:///system`, `qemu+unix:///system?socket=PATH` or `qemu+tcp://HOST[:PORT]/system`.
    #[serde(default = "default_uri")]
    pub uri: String,
    /// `qemu` or `kvm`; never guessed.
    pub virt_type: VirtType,
    /// Processor that guests see.
    #[serde(default)]
    pub cpu_mode: CpuMode,
    /// Model for `cpu_mode = "custom"`, such as `Nehalem`.
    #[serde(default)]
    pub cpu_model: Option<String>,
    /// Machine type where the image does not name one (`hw_machine_type`): `q35`, `pc` or a versioned form.
    #[serde(default = "default_machine")]
    pub machine: String,
    /// Format of root disks.
    #[serde(default)]
    pub disk_format: DiskKind,
    /// Directory of guests' disks; `instances` in the host's data directory if absent. The user that runs QEMU must be
    /// able to pass through every directory above it.
    #[serde(default)]
    pub instances_dir: Option<PathBuf>,
    /// Translation cache of each emulated guest, MiB; small ones slow guests down, large ones cost memory.
    #[serde(default = "default_tb_cache")]
    pub tb_cache_mib: u32,
    /// How long a soft reboot waits for the guest before it becomes a hard one, seconds.
    #[serde(default = "default_soft_reboot")]
    pub soft_reboot_seconds: u64,
    /// Guests have a display that the VNC console shows. It listens nowhere; the daemon hands it over.
    #[serde(default = "default_true")]
    pub vnc: bool,
    /// Format of snapshots; that of the root disk if absent.
    #[serde(default)]
    pub snapshot_format: Option<DiskKind>,
    /// Times a physical CPU may be promised.
    #[serde(default = "default_cpu_ratio")]
    pub cpu_allocation_ratio: f64,
    /// Times memory may be promised.
    #[serde(default = "one")]
    pub ram_allocation_ratio: f64,
    /// Times disk may be promised.
    #[serde(default = "one")]
    pub disk_allocation_ratio: f64,
    /// CPUs kept back for the host.
    #[serde(default)]
    pub reserved_host_cpus: u64,
    /// Memory kept back for the host, MiB.
    #[serde(default = "default_reserved_memory")]
    pub reserved_host_memory_mib: u64,
    /// Disk kept back for the host, GiB.
    #[serde(default)]
    pub reserved_host_disk_gib: u64,
    /// Address shown as `host_ip`.
    #[serde(default)]
    pub my_ip: Option<String>,
    /// Longest run of one disk conversion, seconds.
    #[serde(default = "default_convert")]
    pub convert_seconds: u64,
}

fn default_uri() -> String {
    "qemu:///system".into()
}
fn default_machine() -> String {
    "q35".into()
}
fn default_tb_cache() -> u32 {
    32
}
fn default_soft_reboot() -> u64 {
    120
}
fn default_true() -> bool {
    true
}
fn default_cpu_ratio() -> f64 {
    4.0
}
fn one() -> f64 {
    1.0
}
fn default_reserved_memory() -> u64 {
    512
}
fn default_convert() -> u64 {
    3_600
}

impl Options {
    /// Options with every default, for `virt_type`.
    pub fn new(virt_type: VirtType) -> Options {
        Options {
            uri: default_uri(),
            virt_type,
            cpu_mode: CpuMode::Default,
            cpu_model: None,
            machine: default_machine(),
            disk_format: DiskKind::Qcow2,
            instances_dir: None,
            tb_cache_mib: default_tb_cache(),
            soft_reboot_seconds: default_soft_reboot(),
            vnc: true,
            snapshot_format: None,
            cpu_allocation_ratio: default_cpu_ratio(),
            ram_allocation_ratio: 1.0,
            disk_allocation_ratio: 1.0,
            reserved_host_cpus: 0,
            reserved_host_memory_mib: default_reserved_memory(),
            reserved_host_disk_gib: 0,
            my_ip: None,
            convert_seconds: default_convert(),
        }
    }

    /// What no waiting mends.
    ///
    /// # Errors
    /// A sentence that names the option.
    pub fn check(&self) -> Result<(), String> {
        crate::rpc::address::parse(&self.uri)?;
        match (self.cpu_mode, &self.cpu_model) {
            (CpuMode::Custom, None) => return Err("cpu_mode = \"custom\" needs cpu_model".into()),
            (CpuMode::Custom, Some(m)) if is_word(m) => {}
            (_, None) => {}
            (_, Some(_)) => return Err("cpu_model is only for cpu_mode = \"custom\"".into()),
        }
        if !crate::hardware::is_machine(&self.machine) {
            return Err(format!("machine '{}' is none: use q35, pc or a versioned form of them", self.machine));
        }
        if self.tb_cache_mib == 0 {
            return Err("tb_cache_mib must be at least 1".into());
        }
        for (name, ratio) in [
            ("cpu_allocation_ratio", self.cpu_allocation_ratio),
            ("ram_allocation_ratio", self.ram_allocation_ratio),
            ("disk_allocation_ratio", self.disk_allocation_ratio),
        ] {
            if !(ratio.is_finite() && ratio > 0.0) {
                return Err(format!("{name} must be above 0"));
            }
        }
        match &self.instances_dir {
            Some(dir) if !dir.is_absolute() => Err("instances_dir must be an absolute path".into()),
            _ => Ok(()),
        }
    }
}

/// Letters, digits and `._-`, as CPU models and devices are named.
pub(crate) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn virt_type_is_required_and_unknown_names_are_refused() {
        assert!(serde_json::from_str::<Options>("{}").unwrap_err().to_string().contains("virt_type"));
        assert!(serde_json::from_str::<Options>(r#"{"virt_type":"auto"}"#).is_err());
        assert!(serde_json::from_str::<Options>(r#"{"virt_type":"qemu","virt":1}"#).is_err());
        let o: Options = serde_json::from_str(r#"{"virt_type":"qemu"}"#).unwrap();
        assert_eq!(o, Options::new(VirtType::Qemu));
        o.check().unwrap();
    }

    #[test]
    fn wrong_values_are_named() {
        let bad = |f: &dyn Fn(&mut Options)| {
            let mut o = Options::new(VirtType::Qemu);
            f(&mut o);
            o.check().unwrap_err()
        };
        assert!(bad(&|o| o.uri = "xen:///".into()).contains("uri"));
        assert!(bad(&|o| o.cpu_mode = CpuMode::Custom).contains("cpu_model"));
        assert!(bad(&|o| o.machine = "'/>".into()).contains("machine"));
        assert!(bad(&|o| o.cpu_allocation_ratio = 0.0).contains("cpu_allocation_ratio"));
        assert!(bad(&|o| o.instances_dir = Some("x".into())).contains("instances_dir"));
        assert!(bad(&|o| o.tb_cache_mib = 0).contains("tb_cache_mib"));
    }
}
