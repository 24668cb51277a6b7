//! The kit that every driver runs, in-process against its real backend.
//!
//! [`run`] opens the driver through a factory, asks which facets it has and lists the [`TRIALS`] that follow. Every
//! mutating call is made twice, drivers are dropped and opened again in the middle, operations are cancelled, crossed
//! and overrun, and after each trial nothing of its guests may be left. A trial names the sentences of
//! `docs/driver-spec.md` that it proves; a test holds the two lists against each other.
//!
//! The kit knows no backend: what it needs of one (a bootable image, taps, a look for leftovers) is a [`Ground`].

mod bench;
mod documents;
mod ground;
mod report;
mod shelf;
mod trials;

pub use documents::{Documents, MemoryLedger};
pub use ground::{BootImage, Ground, Lab, plain_spec};
pub use report::{Outcome, Report, Row, TrialReport, matrix};
pub use shelf::{Bytes, Shelf};
pub use trials::{TRIALS, Trial};

use bench::Bench;
use driver_api::{ComputeDriver, facets_of};
use futures_util::future::BoxFuture;

/// Makes a driver that is not started. Every driver it makes stands in front of the same backend.
pub type Factory<'a> = dyn Fn() -> BoxFuture<'static, Box<dyn ComputeDriver>> + Send + Sync + 'a;

/// Runs every trial that follows from the driver's facets, one after the other.
pub async fn run(factory: &Factory<'_>, lab: Lab) -> Report {
    run_some(factory, lab, |_| true).await
}

/// Runs the trials that `wanted` picks among those that follow from the driver's facets.
pub async fn run_some(factory: &Factory<'_>, lab: Lab, wanted: impl Fn(&Trial) -> bool) -> Report {
    let bench = match Bench::open(factory, lab).await {
        Ok(bench) => bench,
        Err(why) => return Report::dead(why),
    };
    let driver = bench.driver();
    let facets: Vec<String> = facets_of(&*driver).into_iter().map(str::to_owned).collect();
    let info = driver.info();
    drop(driver);
    let mut results = Vec::new();
    for trial in TRIALS {
        let there = trial.facet.is_none_or(|f| facets.iter().any(|have| have == f));
        let possible = !trial.disconnects || bench.lab.ground.can_disconnect();
        if !there || !possible || !wanted(trial) {
            continue;
        }
        let outcome = match bench.attempt(trial).await {
            Ok(()) => Outcome::Passed,
            Err(why) => Outcome::Failed(why),
        };
        tracing::info!(trial = trial.id, ?outcome, "trial");
        results.push(TrialReport { id: trial.id.to_owned(), facet: trial.facet.map(str::to_owned), outcome });
    }
    if let Err(why) = bench.close().await {
        let outcome = Outcome::Failed(why);
        results.push(TrialReport { id: "leaves_nothing".to_owned(), facet: None, outcome });
    }
    Report { driver: info.name, version: info.version, facets, results }
}
