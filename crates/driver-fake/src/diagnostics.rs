//! Facet `diagnostics`: counters that follow from the guest's age alone, so that they replay.

use crate::driver::Fake;
use crate::operation::Operation;
use async_trait::async_trait;
use driver_api::{DiagnosticDisk, DiagnosticNic, Diagnostics, DiagnosticsReport, PowerState, Result};
use uuid::Uuid;

#[async_trait]
impl Diagnostics for Fake {
    async fn diagnostics(&self, id: Uuid) -> Result<DiagnosticsReport> {
        self.ask(Operation::Diagnostics, |state| {
            let now = state.now();
            let guest = state.guest(id)?;
            let uptime = guest.started_at.map(|at| now.since(at));
            let seconds = uptime.map_or(0, |u| u.as_secs());
            let busy_ns = uptime.map_or(0, |u| u64::try_from(u.as_nanos() / 10).unwrap_or(u64::MAX));
            let disk = DiagnosticDisk {
                device: "vda".to_owned(),
                read_bytes: u64::from(guest.boots) * 4096,
                read_requests: u64::from(guest.boots),
                write_bytes: seconds * 512,
                write_requests: seconds,
            };
            let nic = |mac: &String| DiagnosticNic {
                mac: mac.clone(),
                rx_bytes: seconds * 64,
                rx_packets: seconds,
                tx_bytes: seconds * 64,
                tx_packets: seconds,
                ..DiagnosticNic::default()
            };
            Ok(DiagnosticsReport {
                state: word(guest.power).to_owned(),
                driver: "fake".to_owned(),
                hypervisor: "fake".to_owned(),
                hypervisor_os: "linux".to_owned(),
                uptime: uptime.map(|u| u.as_secs()),
                cpu_time_ns: vec![busy_ns; usize::try_from(guest.vcpus).unwrap_or(0)],
                memory_max_mib: guest.memory_mib,
                memory_used_mib: (guest.power == PowerState::Running).then_some(guest.memory_mib / 2),
                disks: vec![disk],
                nics: guest.macs.iter().map(nic).collect(),
                config_drive: guest.config_drive.is_some(),
            })
        })
        .await
    }
}

/// Nova's word (`nova/objects/diagnostics.py`).
fn word(power: PowerState) -> &'static str {
    match power {
        PowerState::NoState => "pending",
        PowerState::Running => "running",
        PowerState::Paused => "paused",
        PowerState::Shutdown => "shutdown",
        PowerState::Crashed => "crashed",
        PowerState::Suspended => "suspended",
    }
}
