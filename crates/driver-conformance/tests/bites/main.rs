//! The kit bites: each defect of a driver is caught by the trial that is there for it, and the driver without defect
//! passes them all.
#![allow(clippy::unwrap_used)]

mod broken;

use broken::{Broken, Defect};
use driver_api::*;
use driver_conformance::*;
use driver_fake::{Fake, Machine, Options};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use uuid::Uuid;

struct Simulated(Arc<Machine>);

#[async_trait::async_trait]
impl Ground for Simulated {
    fn image(&self) -> BootImage {
        BootImage { format: DiskFormat::Raw, bytes: Bytes::Memory(Arc::new(vec![1; 100_000])) }
    }
    async fn leftovers(&self, id: Uuid) -> Vec<String> {
        self.0.remains().iter().filter(|g| g.id == id).map(|g| format!("{g:?}")).collect()
    }
    fn can_disconnect(&self) -> bool {
        true
    }
    async fn set_reachable(&self, reachable: bool) {
        self.0.set_reachable(reachable);
    }
}

async fn try_out(defect: Defect) -> Report {
    let machine = Machine::new();
    let ground = Arc::new(Simulated(Arc::clone(&machine)));
    let lives = AtomicU32::new(1);
    let factory = || -> futures_util::future::BoxFuture<'static, Box<dyn ComputeDriver>> {
        let options = Options { fetch_images: true, ..Options::default() };
        // A driver that keeps its guests in its own memory finds an empty machine in its next life.
        let machine = if defect == Defect::ForgetsGuests { Machine::new() } else { Arc::clone(&machine) };
        let life = lives.fetch_add(1, Ordering::Relaxed);
        let driver = Broken { inner: Fake::on(machine, options).unwrap(), life, defect };
        Box::pin(async move { Box::new(driver) as Box<dyn ComputeDriver> })
    };
    let clock = Clock::virtual_from(Timestamp(0));
    let mut lab = Lab::new("host", "/nonexistent".into(), clock, ground, 1 << 100);
    lab.limit = Duration::from_secs(120);
    run(&factory, lab).await
}

#[tokio::test(start_paused = true)]
async fn a_driver_without_defect_passes_everything() {
    let report = try_out(Defect::None).await;
    assert!(report.passed(), "{report}");
    assert_eq!(report.results.len(), TRIALS.len());
    let row = report.row();
    assert_eq!(row.facets.keys().map(String::as_str).collect::<Vec<_>>(), [
        "console",
        "console_log",
        "core",
        "diagnostics",
        "pause",
        "snapshot",
        "suspend"
    ]);
    assert!(row.facets.values().all(|(passed, tried)| passed == tried && *tried > 0));
}

#[tokio::test(start_paused = true)]
async fn every_defect_is_caught() {
    for (defect, trial) in [
        (Defect::SpawnsOnce, "spawn_twice_is_once"),
        (Defect::LeavesFailedGuest, "spawn_of_a_truncated_image_leaves_nothing"),
        (Defect::MissesTheAbsent, "destroy_of_the_absent_succeeds"),
        (Defect::LeavesDisks, "destroy_twice_leaves_nothing"),
        (Defect::ForgetsGuests, "guests_outlive_a_death"),
        (Defect::IgnoresCancel, "spawn_is_cancelled_soon"),
        (Defect::IgnoresCancel, "a_cancelled_operation_does_not_begin"),
        (Defect::IgnoresDeadline, "spawn_keeps_its_deadline"),
        (Defect::CutsSnapshots, "snapshot_arrives_complete"),
        (Defect::IsSilent, "events_tell_of_every_change"),
        (Defect::PausesOnce, "pause_twice_and_back"),
        (Defect::StopsOthers, "power_works_beside_other_guests"),
        (Defect::TellsTheWholeLog, "console_log_is_bounded"),
        (Defect::OpensAnyConsole, "console_of_a_stopped_guest_is_refused"),
        (Defect::StopsGuestsWithItself, "guests_outlive_the_driver"),
        (Defect::LosesAFacet, "facets_do_not_change"),
        (Defect::AnswersWhileSilent, "a_silent_backend_is_unreachable"),
        (Defect::ResumesOnStart, "suspended_guests_outlive_the_driver"),
        (Defect::CountsCpusWrongly, "diagnostics_match_the_guest"),
    ] {
        let report = try_out(defect).await;
        let failed: Vec<&str> = report.failures().iter().map(|(id, _)| *id).collect();
        assert!(failed.contains(&trial), "{defect:?} should fail {trial}; failed: {failed:?}");
    }
}
