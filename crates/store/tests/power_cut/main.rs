//! No acknowledged write is lost when the power goes, at any moment, and no unit is there by half. The real store,
//! with its writer, readers, checkpoints and file layer, is recorded under load over three lives (killed, closed,
//! killed again); then the files are made as a disk could hold them after a cut at each flush and at thousands of
//! other moments, and opened by the real store. `KILONOVA_CUTS` says how many (`cargo xtask soak --cuts N`).
#![allow(clippy::unwrap_used)]

#[path = "../core/make.rs"]
#[allow(dead_code)]
mod make;
mod work;

use power_cut::{Dice, Disk, Event, Honesty, Log, record};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use store::{SqliteMode, Store, params};
use work::{FILE, Promise, Spoken, WRITERS};

const DIR: &str = "KILONOVA_POWER_CUT_DIR";
const UNITS: &str = "KILONOVA_POWER_CUT_UNITS";
const FLUSH: &str = "KILONOVA_POWER_CUT_FLUSH";
/// What every run proves.
const CUTS: u64 = 10_000;
/// Cuts of one recording; more cuts take more recordings, for each is another interleaving.
const CUTS_OF_A_LOG: u64 = 10_000;

/// The recorded program: this test run again. Without the variables it has nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_under_load() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let path = PathBuf::from(dir).join(FILE);
    let store = match std::env::var(FLUSH) {
        Ok(_) => Store::open_sqlite(&path, SqliteMode::Threaded).unwrap(),
        Err(_) => store::testing::open_unflushed(&path).unwrap(),
    };
    let units = std::env::var(UNITS).unwrap().parse().unwrap();
    work::load(&store, units).await;
}

/// One process of `units` units a writer, killed after so many acknowledgements if a number is given.
fn life(log: &mut Log, dir: &Path, units: u64, killed_after: Option<u64>, flush: bool) {
    let units = units.to_string();
    let mut env = vec![(DIR, dir.to_str().unwrap()), (UNITS, units.as_str())];
    env.extend(flush.then_some((FLUSH, "1")));
    let acked = AtomicU64::new(0);
    let mut last = |line: &str| {
        matches!(Spoken::read(line), Some(Spoken::Acked(_))) && Some(acked.fetch_add(1, Relaxed) + 1) == killed_after
    };
    let test = std::env::current_exe().unwrap();
    record(log, &test, &["a_life_under_load", "--exact", "--nocapture"], &env, &mut last).unwrap();
}

fn recorded(flush: bool) -> Log {
    let dir = tempfile::tempdir().unwrap();
    let mut log = Log::start(dir.path()).unwrap();
    life(&mut log, dir.path(), 1000, Some(60), flush);
    life(&mut log, dir.path(), 20, None, flush);
    life(&mut log, dir.path(), 1000, Some(60), flush);
    log
}

/// Every flush, just before, at and just after; the rest anywhere. In order, each with its dice.
fn moments(log: &Log, count: u64, dice: &mut Dice) -> Vec<(usize, u64)> {
    let end = log.events().len();
    let mut at: Vec<usize> = Vec::new();
    for (n, event) in log.events().iter().enumerate() {
        if let Event::Flushed { before, .. } = event {
            at.extend([*before, n, n + 1, (n + 2).min(end)]);
        }
    }
    at.truncate(usize::try_from(count).unwrap());
    while (at.len() as u64) < count {
        at.push(usize::try_from(dice.below(end as u64 + 1)).unwrap());
    }
    at.sort_unstable();
    at.into_iter().map(|at| (at, dice.roll())).collect()
}

/// Cuts the power at each of `moments`; what was wrong afterwards.
fn cut_all(log: &Log, moments: &[(usize, u64)], honesty: Honesty) -> Vec<String> {
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    let mut wrong: Vec<String> = Vec::new();
    std::thread::scope(|scope| {
        let chunks = moments.chunks(moments.len().div_ceil(threads).max(1));
        let workers: Vec<_> = chunks.map(|chunk| scope.spawn(|| cut_some(log, chunk, honesty))).collect();
        wrong.extend(workers.into_iter().flat_map(|worker| worker.join().unwrap()));
    });
    wrong
}

fn cut_some(log: &Log, moments: &[(usize, u64)], honesty: Honesty) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let place = tempfile::Builder::new().prefix("kilonova-cut-").tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let (mut disk, mut promise, mut heard) = (Disk::new(log, honesty), Promise::default(), 0);
    let mut wrong = Vec::new();
    for (at, seed) in moments {
        disk.advance(*at);
        promise.hear(&log.events()[heard..*at]);
        heard = *at;
        let dir = place.path().join(format!("{at}-{seed}"));
        std::fs::create_dir(&dir).unwrap();
        disk.cut(*seed).write(&dir).unwrap();
        work::shared_memory(&dir, &mut Dice::new(*seed));
        if let Err(why) = runtime.block_on(work::check(&dir, &promise)) {
            wrong.push(format!("cut before event {at} of {}, dice {seed}: {why}", log.events().len()));
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
    wrong
}

#[test]
fn no_acknowledged_write_is_lost_when_the_power_goes() {
    let count = std::env::var("KILONOVA_CUTS").map_or(CUTS, |n| n.parse().unwrap());
    let mut left = count;
    while left > 0 {
        let started = std::time::Instant::now();
        let part = left.min(CUTS_OF_A_LOG);
        left -= part;
        let log = recorded(true);
        let flushes = log.events().iter().filter(|e| matches!(e, Event::Flushed { .. })).count();
        let cuts = moments(&log, part, &mut Dice::new(left));
        let recorded_in = started.elapsed();
        let wrong = cut_all(&log, &cuts, Honesty::Honest);
        let mut out = std::io::stdout();
        let line = format!(
            "{part} cuts in {:.0?} after recording {} changes and {flushes} flushes in {recorded_in:.0?}: {} wrong",
            started.elapsed().saturating_sub(recorded_in), log.events().len(), wrong.len(),
        );
        std::io::Write::write_all(&mut out, format!("{line}\n").as_bytes()).unwrap();
        assert!(flushes > 50, "the load made {flushes} flushes");
        assert!(wrong.is_empty(), "{line}\n{}", wrong[..wrong.len().min(10)].join("\n"));
    }
}

/// The proof can fail: on a disk that lies about flushes, and for a store that does not flush, writes are lost.
#[test]
fn without_flushes_the_same_test_finds_losses() {
    let log = recorded(true);
    let cuts = moments(&log, 400, &mut Dice::new(1));
    let wrong = cut_all(&log, &cuts, Honesty::Liar);
    assert!(wrong.len() > 40, "a lying disk was noticed in {} of 400 cuts", wrong.len());

    let log = recorded(false);
    let end = log.events().len() as u64;
    let mut dice = Dice::new(2);
    let mut cuts: Vec<_> = (0..400).map(|_| (usize::try_from(dice.below(end + 1)).unwrap(), dice.roll())).collect();
    cuts.sort_unstable();
    let wrong = cut_all(&log, &cuts, Honesty::Honest);
    assert!(wrong.len() > 40, "a store that does not flush was noticed in {} of 400 cuts", wrong.len());
}

/// And it sees half a unit, a lost one and one that nobody asked for.
#[tokio::test]
async fn the_check_sees_each_kind_of_damage() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_sqlite(&dir.path().join(FILE), SqliteMode::Threaded).unwrap();
    let mut promise = Promise::default();
    for n in 1..=4 {
        store.write(move |tx| work::unit(tx, 0, n)).await.unwrap();
    }
    (promise.acked[0], promise.tried[0]) = (4, 4);
    work::check(dir.path(), &promise).await.unwrap();
    promise.acked[0] = 5;
    assert!(work::check(dir.path(), &promise).await.unwrap_err().contains("lost"));
    (promise.acked[0], promise.tried[0]) = (3, 3);
    assert!(work::check(dir.path(), &promise).await.unwrap_err().contains("nobody asked"));
    (promise.acked[0], promise.tried[0]) = (4, 4);
    for damage in ["DELETE FROM flows WHERE project_id = $1", "UPDATE quotas SET used = used + 1 WHERE project_id = $1"] {
        store.write(move |tx| tx.execute(damage, params!["w0"])).await.unwrap();
        assert!(work::check(dir.path(), &promise).await.unwrap_err().contains("half"), "{damage}");
    }
    assert_eq!(WRITERS, promise.acked.len());
}
