//! kill -9: real processes under load, killed at a random instant, started again on the same data. What was
//! acknowledged is there, nothing is stuck, and the audit finds nothing.
//!
//! `KILONOVA_KILLS` rounds (200 without it), from `KILONOVA_KILLS_SEED`; with a file in `KILONOVA_KILLS_PROGRESS` a
//! campaign that was cut off goes on at the next round. `cargo xtask soak --kills N` sets all three.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod check;
mod load;
mod process;

use model::Random;
use process::Process;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Clouds that are killed side by side.
const LANES: u64 = 2;
/// A data directory serves this many rounds, then the next begins with a fresh one.
const LIFE: u64 = 25;
/// The kill comes this long after the load began, at most.
const LONGEST: u64 = 150;

/// What a campaign counts.
#[derive(Debug, Default, Clone)]
struct Tally {
    rounds: u64,
    creates: u64,
    deletes: u64,
    actions: u64,
    snapshots: u64,
    in_flight: u64,
    taken_up: u64,
    longest: Duration,
}

impl Tally {
    fn add(&mut self, o: &Tally) {
        self.rounds += o.rounds;
        self.creates += o.creates;
        self.deletes += o.deletes;
        self.actions += o.actions;
        self.snapshots += o.snapshots;
        self.in_flight += o.in_flight;
        self.taken_up += o.taken_up;
        self.longest = self.longest.max(o.longest);
    }
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v}: a number is wanted")))
}

/// Lives that are done, one line each, so that a campaign can be cut off and go on.
struct Progress {
    file: Option<PathBuf>,
    done: Vec<u64>,
}

impl Progress {
    fn open(seed: u64) -> Progress {
        let file = std::env::var_os("KILONOVA_KILLS_PROGRESS").map(PathBuf::from);
        let text = file.as_ref().and_then(|f| std::fs::read_to_string(f).ok()).unwrap_or_default();
        let lines = text.lines().filter_map(|l| l.strip_prefix(&format!("seed {seed} life ")));
        Progress { done: lines.filter_map(|l| l.split(' ').next()?.parse().ok()).collect(), file }
    }
    fn note(&mut self, seed: u64, life: u64, tally: &Tally) {
        self.done.push(life);
        if let Some(path) = &self.file {
            let mut f = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
            writeln!(f, "seed {seed} life {life} {tally:?}").unwrap();
        }
    }
}

/// One data directory: a number of rounds of load, kill and restart, then an end in order with nothing left.
fn life(seed: u64, life: u64, rounds: u64) -> Tally {
    let random = Random::seeded(seed ^ life.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut process = Process::new();
    let ledger = Arc::new(Mutex::new(load::Ledger::default()));
    let mut tally = Tally { rounds, ..Tally::default() };
    let mut cloud = None;
    for round in 0..rounds {
        process.start();
        let cloud = cloud.get_or_insert_with(|| Arc::new(runtime.block_on(process.login())));
        let told = format!("seed {seed}, life {life}, round {round}");
        let (took, taken_up) = runtime.block_on(check::settled(cloud, &ledger, &told, &process));
        tally.longest = tally.longest.max(took);
        tally.taken_up += taken_up;
        let after = Duration::from_micros(random.below(LONGEST * 1000));
        runtime.block_on(async {
            let clients = load::begin(cloud, &ledger, &random, round);
            tokio::time::sleep(after).await;
            // While the kill is under way the clients go on asking.
            process.kill();
            for client in clients {
                client.await.unwrap_or_else(|e| panic!("{told}: {e}"));
            }
        });
    }
    process.start();
    let cloud = cloud.unwrap();
    let told = format!("seed {seed}, life {life}, end");
    let (took, taken_up) = runtime.block_on(check::settled(&cloud, &ledger, &told, &process));
    tally.longest = tally.longest.max(took);
    tally.taken_up += taken_up;
    runtime.block_on(check::emptied(&cloud, &ledger, &told, &process));
    process.stop();
    process.nothing_left(&told);
    let l = ledger.lock().unwrap();
    tally.creates = l.creates;
    tally.deletes = l.deletes;
    tally.actions = l.actions;
    tally.snapshots = l.snapshots;
    tally.in_flight = l.in_flight;
    tally
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_stuck() {
    let (wanted, seed) = (number("KILONOVA_KILLS", 200), number("KILONOVA_KILLS_SEED", 20_261_122));
    process::build();
    let progress = Mutex::new(Progress::open(seed));
    let lives = wanted.div_ceil(LIFE);
    let next = std::sync::atomic::AtomicU64::new(0);
    let total = Mutex::new(Tally::default());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let lane = || loop {
            let at = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            if at >= lives {
                return;
            }
            if progress.lock().unwrap().done.contains(&at) {
                println!("life {at} was done before");
                continue;
            }
            let rounds = LIFE.min(wanted - at * LIFE);
            let tally = life(seed, at, rounds);
            progress.lock().unwrap().note(seed, at, &tally);
            let mut sum = total.lock().unwrap();
            sum.add(&tally);
            let rate = sum.rounds as f64 / begun.elapsed().as_secs_f64();
            println!("{} of {wanted} rounds, {rate:.2} a second", sum.rounds);
        };
        let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(lane)).collect();
        let failed = lanes.into_iter().filter_map(|l| l.join().err()).count();
        assert_eq!(failed, 0, "a lane failed: KILONOVA_KILLS_SEED={seed} plays the same operations again");
    });
    let t = total.into_inner().unwrap();
    println!(
        "kills: {} rounds in {:.0} s, seed {seed}: {} creates, {} deletes, {} actions and {} snapshots acknowledged, {} requests in flight at the kill, {} servers found in an action after it; longest until settled {:.2} s",
        t.rounds, begun.elapsed().as_secs_f64(), t.creates, t.deletes, t.actions, t.snapshots, t.in_flight, t.taken_up, t.longest.as_secs_f64(),
    );
    // A campaign that never met a running action would have shown nothing.
    assert!(t.rounds < 20 || (t.creates > 0 && t.deletes > 0 && t.taken_up > 0), "{t:?}");
}
