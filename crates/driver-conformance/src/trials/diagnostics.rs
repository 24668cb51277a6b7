//! Facet `diagnostics`.

use crate::bench::{Bench, Verdict, ensure, said};
use driver_api::Power;
use std::time::Duration;

const NONE: &str = "the facet went away";

pub(super) async fn diagnostics_match_the_guest(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_diagnostics().ok_or(NONE)?;
    let report = said("diagnostics", facet.diagnostics(spec.id).await)?;
    ensure(report.state == "running", || format!("a running guest is reported as {:?}", report.state))?;
    let cpus = report.cpu_time_ns.len();
    ensure(cpus == spec.vcpus as usize, || format!("{cpus} CPUs are reported, the guest has {}", spec.vcpus))?;
    let memory = report.memory_max_mib;
    ensure(memory == spec.memory_mib, || format!("{memory} MiB are reported, the guest has {}", spec.memory_mib))?;
    let reported: Vec<&str> = report.nics.iter().map(|n| n.mac.as_str()).collect();
    let given: Vec<&str> = spec.nics.iter().map(|n| n.mac.as_str()).collect();
    ensure(reported == given, || format!("interfaces {reported:?} are reported, the guest has {given:?}"))?;
    ensure(report.config_drive == spec.config_drive, || "the config drive is reported wrongly".to_owned())?;
    ensure(!report.driver.is_empty() && !report.hypervisor.is_empty(), || "driver or hypervisor has no name".to_owned())?;
    said("power off", driver.power(&spec, Power::Off { grace: Duration::ZERO }, &b.op()).await)?;
    // Nova answers 409 for a stopped guest before the driver is asked; a driver may answer or refuse.
    match facet.diagnostics(spec.id).await {
        Ok(report) => ensure(report.state == "shutdown", || format!("a stopped guest is reported as {:?}", report.state)),
        Err(_) => Ok(()),
    }
}
