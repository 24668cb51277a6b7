//! What an operator may set on a `[[compute]]` entry with `driver = "fake"`.

use crate::faults::FaultRule;
use crate::operation::Operation;
use driver_api::{DiskFormat, FACETS};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Options of the fake driver. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Virtual CPUs that each node offers.
    pub vcpus: u64,
    /// Memory of each node, MiB.
    pub memory_mib: u64,
    /// Disk of each node, GiB.
    pub disk_gib: u64,
    /// Times a CPU may be promised.
    pub cpu_ratio: f64,
    /// Nodes of this host; one is named like the host, several `HOST-1`, `HOST-2`, …
    pub nodes: u32,
    /// Resource classes beyond CPU, memory and disk, such as `CUSTOM_BAREMETAL_GOLD`.
    pub custom_inventory: BTreeMap<String, u64>,
    /// Placement traits of the simulated hardware.
    pub traits: Vec<String>,
    /// Milliseconds that every operation takes, unless `latency_ms` says otherwise.
    pub default_latency_ms: u64,
    /// Milliseconds that an operation takes.
    pub latency_ms: BTreeMap<Operation, u64>,
    /// What goes wrong, and when.
    pub faults: Vec<FaultRule>,
    /// Facets that the driver has; all of them when absent.
    pub facets: Option<Vec<String>>,
    /// Guests survive a restart of the process: one small file each in the host's directory.
    pub persist: bool,
    /// `spawn` reads the image's bytes to the end and compares their number with the recorded size.
    pub fetch_images: bool,
    /// Ports are wired in simulation. Set to false, the host agent wires real taps for guests that do not exist.
    pub owns_network: bool,
    /// Image formats that the simulated host boots.
    pub image_formats: Vec<DiskFormat>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            vcpus: 64,
            memory_mib: 256 * 1024,
            disk_gib: 2048,
            cpu_ratio: 4.0,
            nodes: 1,
            custom_inventory: BTreeMap::new(),
            traits: Vec::new(),
            default_latency_ms: 0,
            latency_ms: BTreeMap::new(),
            faults: Vec::new(),
            facets: None,
            persist: false,
            fetch_images: false,
            owns_network: true,
            image_formats: vec![
                DiskFormat::Raw,
                DiskFormat::Qcow2,
                DiskFormat::Aki,
                DiskFormat::Ari,
                DiskFormat::Ami,
                DiskFormat::Iso,
            ],
        }
    }
}

/// An option that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("fake driver option `{option}`: {problem}")]
pub struct OptionsError {
    /// Which option.
    pub option: &'static str,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl Options {
    /// Checks what the types cannot say.
    /// # Errors
    /// The first option that cannot be meant.
    pub fn validate(&self) -> Result<(), OptionsError> {
        let bad = |option, problem: String| Err(OptionsError { option, problem });
        if self.nodes == 0 {
            return bad("nodes", "a host has at least one node".to_owned());
        }
        if !(self.cpu_ratio.is_finite() && self.cpu_ratio > 0.0) {
            return bad("cpu_ratio", "must be a number above 0".to_owned());
        }
        for name in self.facets.iter().flatten() {
            if !FACETS.iter().any(|f| f.name == name) {
                let known: Vec<&str> = FACETS.iter().map(|f| f.name).collect();
                return bad("facets", format!("`{name}` is no facet; known are {}", known.join(", ")));
            }
        }
        for rule in &self.faults {
            rule.validate().map_err(|problem| OptionsError { option: "faults", problem })?;
        }
        Ok(())
    }

    /// How long `operation` takes.
    pub fn latency(&self, operation: Operation) -> Duration {
        Duration::from_millis(self.latency_ms.get(&operation).copied().unwrap_or(self.default_latency_ms))
    }

    /// Whether the facet `name` is switched on.
    pub fn has_facet(&self, name: &str) -> bool {
        self.facets.as_ref().is_none_or(|list| list.iter().any(|f| f == name))
    }
}
