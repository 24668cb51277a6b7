//! `cargo xtask soak`: the long proofs, any number of rounds, resumable. It starts the tests that do the work, in parts,
//! and keeps count between them; it decides nothing itself.

use crate::command::output;
use crate::root;
use clap::Args;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

#[derive(Args)]
pub struct Options {
    /// Seeds of the simulation to run.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Power cuts of the database to make.
    #[arg(long)]
    cuts: Option<u64>,
    /// Times to kill the process under load and start it again on the same data.
    #[arg(long)]
    kills: Option<u64>,
    /// Seed of the operations and of the moments of the kills.
    #[arg(long, default_value_t = 20_261_122)]
    kills_seed: u64,
    /// Forget what was run before at this commit.
    #[arg(long)]
    restart: bool,
}

pub fn run(o: &Options) -> Result<(), String> {
    if let Some(count) = o.cuts {
        cuts(count)?;
    }
    if let Some(count) = o.kills {
        kills(o, count)?;
    }
    match o.seeds {
        Some(count) => seeds(o, count),
        None if o.cuts.is_some() || o.kills.is_some() => Ok(()),
        None => Err("say what to soak: --seeds N, --cuts N or --kills N".into()),
    }
}

/// Seeds that one run of the test takes; what a cut costs at most.
const PART: u64 = 1000;

/// What was run at this commit, with its changes if there are any, is not run again.
fn progress_file(kind: &str) -> Result<PathBuf, String> {
    let git = |args: &[&str]| output(Command::new("git").args(args).current_dir(root()));
    let state = format!("{}-{}", git(&["rev-parse", "--short=12", "HEAD"])?.trim(), git(&["status", "--porcelain"])?.len());
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("soak-progress").join(format!("{kind}-{state}")))
}

/// The test keeps count itself, by data directories that are done; it tells its rate and what was acknowledged.
fn kills(o: &Options, count: u64) -> Result<(), String> {
    let file = progress_file("kills")?;
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    if o.restart && file.exists() {
        std::fs::remove_file(&file).map_err(failed)?;
    }
    let status = Command::new("cargo")
        .args(["test", "--quiet", "--package", "api-conformance", "--test", "kills"])
        .args(["--", "--exact", "--nocapture", "nothing_acknowledged_is_lost_and_nothing_is_stuck"])
        .env("KILONOVA_KILLS", count.to_string())
        .env("KILONOVA_KILLS_SEED", o.kills_seed.to_string())
        .env("KILONOVA_KILLS_PROGRESS", &file)
        .current_dir(root())
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("a round failed; it is named above (seed {})", o.kills_seed)) }
}

/// The test records the store anew for every ten thousand cuts, and tells how long each took.
fn cuts(count: u64) -> Result<(), String> {
    let started = Instant::now();
    let status = Command::new("cargo")
        .args(["test", "--quiet", "--package", "store", "--test", "power_cut"])
        .args(["--", "--exact", "--nocapture", "no_acknowledged_write_is_lost_when_the_power_goes"])
        .env("KILONOVA_CUTS", count.to_string())
        .current_dir(root())
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    if !status.success() {
        return Err("a cut lost something; it is named above".into());
    }
    println!("{count} cuts: clean, {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn seeds(o: &Options, count: u64) -> Result<(), String> {
    let file = progress_file(&format!("seeds-{}", o.from))?;
    let failed = |e: std::io::Error| format!("{}: {e}", file.display());
    if let Some(dir) = file.parent() {
        std::fs::create_dir_all(dir).map_err(failed)?;
    }
    let before = if o.restart { String::new() } else { std::fs::read_to_string(&file).unwrap_or_default() };
    let mut words = before.split_whitespace();
    let mut done: u64 = words.next().and_then(|w| w.parse().ok()).unwrap_or(0);
    let mut seconds: f64 = words.next().and_then(|w| w.parse().ok()).unwrap_or(0.0);
    if done > 0 {
        println!("{done} seeds from {} were clean before at this commit", o.from);
    }
    while done < count {
        let (first, part) = (o.from + done, PART.min(count - done));
        let started = Instant::now();
        let status = Command::new("cargo")
            .args(["test", "--quiet", "--profile", "soak", "--package", "api-conformance", "--test", "simulation"])
            .args(["--", "--exact", "--nocapture", "seeds::a_span_of_seeds"])
            .env("KILONOVA_SEEDS", format!("{first}+{part}"))
            .current_dir(root())
            .status()
            .map_err(|e| format!("cargo: {e}"))?;
        if !status.success() {
            return Err(format!("a seed between {first} and {} failed; it is named above", first + part - 1));
        }
        done += part;
        seconds += started.elapsed().as_secs_f64();
        std::fs::write(&file, format!("{done} {seconds:.1}")).map_err(failed)?;
        println!("{done} of {count} seeds, {:.0} s, {:.1} seeds/s", seconds, done as f64 / seconds);
    }
    println!("{done} seeds from {}: clean, {seconds:.0} s", o.from);
    Ok(())
}
