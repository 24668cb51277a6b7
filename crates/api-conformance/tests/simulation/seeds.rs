//! Seeds: any number of them, and that one seed is one run.

use api_conformance::simulation::{Ground, Report};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// Seeds of a run that says nothing: `FIRST+COUNT`.
const USUAL: &str = "1+200";

/// Which seeds: `FIRST+COUNT`, or one.
fn span() -> (u64, u64) {
    let text = std::env::var("KILONOVA_SEEDS").unwrap_or_else(|_| USUAL.into());
    let (first, count) = text.split_once('+').unwrap_or((&text, "1"));
    let number = |t: &str| t.trim().parse().unwrap_or_else(|_| panic!("KILONOVA_SEEDS is {text:?}, not FIRST+COUNT"));
    (number(first), number(count))
}

fn add(sum: &mut Report, r: &Report) {
    sum.requests += r.requests;
    sum.accepted += r.accepted;
    sum.lives += r.lives;
    sum.faults += r.faults;
    sum.seconds += r.seconds;
    sum.servers += r.servers;
}

fn told(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
}

#[test]
fn a_span_of_seeds() {
    let (first, count) = span();
    if let Ok(filter) = std::env::var("KILONOVA_LOG") {
        // For the look at one seed.
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_writer(std::io::stderr).init();
    }
    let (next, stop) = (AtomicU64::new(first), AtomicBool::new(false));
    let (sum, failures) = (Mutex::new(Report::default()), Mutex::new(Vec::new()));
    let ground = Arc::new(Ground::make());
    let begun = Instant::now();
    let work = || {
        while !stop.load(SeqCst) {
            let seed = next.fetch_add(1, SeqCst);
            if seed >= first + count {
                return;
            }
            match catch_unwind(AssertUnwindSafe(|| ground.run(seed))) {
                Ok(r) => add(&mut sum.lock().unwrap(), &r),
                Err(panic) => {
                    eprintln!("seed {seed} failed");
                    failures.lock().unwrap().push((seed, told(panic.as_ref())));
                    stop.store(std::env::var_os("KILONOVA_GO_ON").is_none(), SeqCst);
                }
            }
        }
    };
    std::thread::scope(|s| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            s.spawn(work);
        }
    });
    let (sum, mut failures) = (sum.into_inner().unwrap(), failures.into_inner().unwrap());
    failures.sort();
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!(
        "{count} seeds from {first} in {seconds:.1} s: {} lives, {} requests of which {} accepted, {} servers, {} faults, {} simulated seconds",
        sum.lives, sum.requests, sum.accepted, sum.servers, sum.faults, sum.seconds
    );
    let named: String = failures
        .iter()
        .map(|(seed, why)| format!("\nseed {seed}: {why}\nagain: KILONOVA_SEEDS={seed} cargo test -p api-conformance --test simulation seeds::a_span_of_seeds"))
        .collect();
    assert!(failures.is_empty(), "{} seeds failed:{named}", failures.len());
    assert!(sum.accepted > 0, "nothing was asked");
}

#[test]
fn one_seed_is_one_run() {
    let ground = Ground::make();
    let mut journals = std::collections::BTreeSet::new();
    for seed in 1..=8 {
        let (once, twice) = (ground.run(seed), ground.run(seed));
        assert_eq!(once, twice, "seed {seed} ran in two ways");
        journals.insert(once.journal);
    }
    assert_eq!(journals.len(), 8, "seeds do not differ");
}
