//! `cargo xtask test`: packages, backends, tests, one line at the end.

use crate::command::{as_root, is_root, output, read_env};
use crate::{packages, root};
use clap::Args;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

#[derive(Args)]
pub struct Options {
    /// Everything, in parts that can be resumed.
    #[arg(long)]
    full: bool,
    /// Only these suites of ci-budget.toml.
    #[arg(long)]
    suite: Vec<String>,
    /// With --full: forget which suites passed already for this commit.
    #[arg(long)]
    restart: bool,
}

/// One suite of `ci-budget.toml`.
#[derive(Deserialize)]
struct Suite {
    name: String,
    /// Minutes it may take from an empty cache; told when it took longer.
    minutes: f64,
    /// Backends it needs, by their directories in `lab/`.
    #[serde(default)]
    lab: Vec<String>,
    /// Arguments of cargo, for what is no integration test.
    #[serde(default)]
    cargo: Vec<String>,
    /// Integration tests by name; "*" is every one that no suite names.
    #[serde(default)]
    tests: Vec<String>,
    /// Only with --full.
    #[serde(default)]
    full: bool,
}

#[derive(Deserialize)]
struct Budget {
    suite: Vec<Suite>,
}

const TOOLS: &[&str] = &[
    "build-essential", "git", "iproute2", "nftables", "e2fsprogs", "busybox-static", "dropbear-bin", "cpio", "kmod", "extlinux",
    "syslinux-common", "fdisk", "openssh-client", "genisoimage", "libarchive-tools", "curl", "python3-venv", "postgresql", "procps", "util-linux",
    "iputils-ping", "ca-certificates", "qemu-utils",
];

/// Libvirt hosts that the tests use.
const HOSTS: &[&str] = &["hv1", "hv2"];

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}


pub fn run(o: &Options) -> Result<(), String> {
    let text = std::fs::read_to_string(root().join("ci-budget.toml")).map_err(|e| format!("ci-budget.toml: {e}"))?;
    let budget: Budget = toml::from_str(&text).map_err(|e| format!("ci-budget.toml: {e}"))?;
    let wanted: Vec<&Suite> = budget
        .suite
        .iter()
        .filter(|s| if o.suite.is_empty() { o.full || !s.full } else { o.suite.contains(&s.name) })
        .collect();
    packages::install(TOOLS)?;
    let named = targets()?;
    let mut backends = Backends::default();
    let mut tally = Tally::default();
    let mut times = Vec::new();
    let mut progress = if o.full { Progress::open(o.restart)? } else { Progress::default() };
    for suite in &wanted {
        if progress.passed.contains(&suite.name) {
            println!("==> {} passed before at this commit", suite.name);
            tally.passed += 1;
            continue;
        }
        let failed_before = tally.failed;
        let started = Instant::now();
        println!("==> {} (budget {} min)", suite.name, suite.minutes);
        for lab in &suite.lab {
            backends.up(lab)?;
        }
        let args = arguments(suite, &budget.suite, &named);
        if let Err(message) = one(&args, &backends.env, &mut tally) {
            eprintln!("{}: {message}", suite.name);
            tally.failed += 1;
        }
        if o.full && tally.failed == failed_before {
            progress.note(&suite.name)?;
        }
        times.push((suite.name.clone(), started.elapsed().as_secs_f64() / 60.0, suite.minutes));
    }
    backends.down();
    println!();
    for (name, took, budget) in &times {
        let over = if took > budget { "  over its budget" } else { "" };
        println!("{name:<24} {took:>5.1} of {budget} min{over}");
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    std::io::stdout().flush().map_err(|e| e.to_string())?;
    if tally.failed == 0 && tally.passed > 0 { Ok(()) } else { Err("not all tests passed".into()) }
}

/// What cargo is asked for. Always the whole workspace: a part of it has other features, and would be built again.
fn arguments(suite: &Suite, all: &[Suite], targets: &BTreeSet<String>) -> Vec<String> {
    if suite.tests.is_empty() {
        return suite.cargo.clone();
    }
    let named: BTreeSet<&String> = all.iter().flat_map(|s| &s.tests).collect();
    let rest = || targets.iter().filter(|t| !named.contains(t)).cloned().collect();
    let tests: Vec<String> = if suite.tests == ["*"] { rest() } else { suite.tests.clone() };
    let mut args: Vec<String> = ["test", "--quiet", "--workspace", "--no-fail-fast"].map(Into::into).into();
    args.extend(tests.into_iter().flat_map(|t| ["--test".to_owned(), t]));
    args
}

/// The names of all integration tests.
fn targets() -> Result<BTreeSet<String>, String> {
    let text = output(Command::new("cargo").args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(root()))?;
    let all: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = all["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|p| p["targets"].as_array().into_iter().flatten());
    let tests = targets.filter(|t| t["kind"].as_array().is_some_and(|k| k.iter().any(|k| k == "test")));
    Ok(tests.filter_map(|t| t["name"].as_str().map(str::to_owned)).collect())
}

fn one(cargo: &[String], env: &BTreeMap<String, String>, tally: &mut Tally) -> Result<(), String> {
    let before = tally.failed;
    let mut child = Command::new("cargo")
        .args(cargo)
        .envs(env)
        .current_dir(root())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("cargo: {e}"))?;
    let out = child.stdout.take().ok_or("no output")?;
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(out).lines() {
        let line = line.map_err(|e| e.to_string())?;
        println!("{line}");
        if let Some((p, f)) = counts(&line) {
            passed += p;
            failed += f;
        }
    }
    let status = child.wait().map_err(|e| e.to_string())?;
    tally.passed += passed;
    tally.failed += failed;
    if !status.success() && tally.failed == before {
        return Err(format!("cargo {} ended with {status}", cargo.join(" ")));
    }
    // A check that counts nothing itself (tidy, clippy) is one test.
    if passed + failed == 0 {
        tally.passed += 1;
    }
    Ok(())
}

/// `test result: ok. 3 passed; 0 failed; …`
fn counts(line: &str) -> Option<(usize, usize)> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let number = |word: &str| {
        let at = rest.find(word)?;
        rest[..at].trim().rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    Some((number(" passed")?, number(" failed")?))
}

/// Suites of a full run that passed at this commit: a run that was cut off goes on where it was.
#[derive(Default)]
struct Progress {
    file: std::path::PathBuf,
    passed: Vec<String>,
}

impl Progress {
    fn open(restart: bool) -> Result<Progress, String> {
        let git = |args: &[&str]| output(Command::new("git").args(args).current_dir(root()));
        // A changed tree is another commit for this purpose.
        let state = format!("{}{}", git(&["rev-parse", "HEAD"])?.trim(), git(&["status", "--porcelain"])?.len());
        let file = root().join("lab/state").join(format!("full-{state}"));
        if restart {
            let _ = std::fs::remove_file(&file);
        }
        let passed = std::fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect();
        Ok(Progress { file, passed })
    }
    fn note(&mut self, suite: &str) -> Result<(), String> {
        self.passed.push(suite.to_owned());
        let failed = |e: std::io::Error| format!("{}: {e}", self.file.display());
        if let Some(dir) = self.file.parent() {
            std::fs::create_dir_all(dir).map_err(failed)?;
        }
        std::fs::write(&self.file, self.passed.join("\n")).map_err(failed)
    }
}

/// Real backends, started once and stopped at the end.
#[derive(Default)]
struct Backends {
    started: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Backends {
    fn up(&mut self, lab: &str) -> Result<(), String> {
        if self.started.iter().any(|s| s == lab) {
            return Ok(());
        }
        let started = Instant::now();
        let state = root().join("lab/state");
        self.started.push(lab.to_owned());
        let script = |name: &str| root().join("lab").join(lab).join(name).display().to_string();
        match lab {
            "libvirt" => {
                run_root(&script("install"), &[])?;
                run_root(&script("up"), HOSTS)?;
            }
            "guest-image" => run_root(&script("make"), &[&state.join("guest-image").display().to_string()])?,
            _ => run_root(&script("up"), &[])?,
        }
        for file in env_files(&state.join(lab)) {
            self.env.extend(read_env(&file)?);
        }
        if lab == "guest-image" {
            self.env.insert("KILONOVA_TEST_GUEST".into(), state.join("guest-image").display().to_string());
        }
        println!("    {lab} is up after {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }
    fn down(&self) {
        for lab in &self.started {
            let script = root().join("lab").join(lab).join("down");
            if script.exists() {
                // Our own hosts only: `cargo xtask up` may have one beside them.
                let names: &[&str] = if lab == "libvirt" { HOSTS } else { &[] };
                let _ = as_root(&script.display().to_string()).args(names).stdout(Stdio::null()).status();
            }
        }
    }
}

fn run_root(script: &str, args: &[&str]) -> Result<(), String> {
    if !is_root() {
        println!("    {script} needs root: through sudo");
    }
    crate::command::execute(as_root(script).args(args))
}

fn env_files(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = vec![dir.join("env")];
    if let Ok(list) = std::fs::read_dir(dir) {
        files.extend(list.filter_map(|e| e.ok().map(|e| e.path().join("env"))));
    }
    files.retain(|f| f.is_file());
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    #[test]
    fn reads_the_harness_line() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s";
        assert_eq!(super::counts(line), Some((12, 3)));
        assert_eq!(super::counts("running 3 tests"), None);
    }
}
