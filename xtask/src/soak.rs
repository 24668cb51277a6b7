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
    /// Forget what was run before at this commit.
    #[arg(long)]
    restart: bool,
}

pub fn run(o: &Options) -> Result<(), String> {
    match o.seeds {
        Some(count) => seeds(o, count),
        None => Err("say what to soak: --seeds N".into()),
    }
}

/// Seeds that one run of the test takes; what a cut costs at most.
const PART: u64 = 1000;

/// What was run at this commit, with its changes if there are any, is not run again.
fn progress_file(kind: &str) -> Result<PathBuf, String> {
    let git = |args: &[&str]| output(Command::new("git").args(args).current_dir(root()));
    let state = format!("{}-{}", git(&["rev-parse", "--short=12", "HEAD"])?.trim(), git(&["status", "--porcelain"])?.len());
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    Ok(target.join("soak").join(format!("{kind}-{state}")))
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
