//! `cargo xtask bench`: builds what ships and what measures it, starts the backends that some figures need, and runs all.
//! What is measured, and how, is in `benches/`.

use crate::command::{as_root, execute, read_env};
use crate::{packages, root};
use clap::Args;
use std::path::PathBuf;
use std::process::Command;

#[derive(Args)]
pub struct Options {
    /// Fewer servers and repetitions: to see that it runs, not how fast.
    #[arg(long)]
    quick: bool,
    /// Only these parts: inside, idle, cloud, postgres, libvirt.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Where the JSON goes.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Where the data directories go, on the disk to be measured.
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// The host whose libvirt is used; the tests' hosts have other names.
const HOST: &str = "hvbench";

pub fn run(o: &Options) -> Result<(), String> {
    let wants = |part: &str| o.only.is_empty() || o.only.iter().any(|p| p == part);
    let state = root().join("lab/state");
    execute(Command::new("cargo").args(["build", "--release", "--quiet", "-p", "server", "-p", "benches"]).current_dir(root()))?;
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let dir = o.dir.clone().unwrap_or_else(|| state.join("bench"));
    let json = o.json.clone().unwrap_or_else(|| state.join("bench.json"));
    let mut bench = Command::new(target.join("release/kilonova-bench"));
    bench.arg("--program").arg(target.join("release/kilonova")).arg("--dir").arg(&dir).arg("--json").arg(&json);
    if o.quick {
        bench.arg("--quick");
    }
    if !o.only.is_empty() {
        bench.arg("--only").arg(o.only.join(","));
    }
    // A backend that cannot be had leaves its figure out, and the run says so and fails.
    if wants("postgres") {
        match postgres() {
            Ok(url) => {
                bench.arg("--postgres").arg(url);
            }
            Err(e) => eprintln!("postgres: {e}"),
        }
    }
    let libvirt = if wants("libvirt") { libvirt() } else { Err(String::new()) };
    match &libvirt {
        Ok((socket, image)) => {
            bench.arg("--libvirt").arg(socket).arg("--image").arg(image);
        }
        Err(e) if e.is_empty() => {}
        Err(e) => eprintln!("libvirt: {e}"),
    }
    let outcome = execute(&mut bench);
    if libvirt.is_ok() {
        let _ = as_root(&script("libvirt/down")).arg(HOST).status();
    }
    let _ = std::fs::remove_dir_all(&dir);
    outcome.map_err(|_| "a figure is below its floor or could not be had; the table above says which".to_owned())
}

fn script(name: &str) -> String {
    root().join("lab").join(name).display().to_string()
}

/// A PostgreSQL that is ours; its URL.
fn postgres() -> Result<String, String> {
    packages::install(&["postgresql"])?;
    execute(&mut as_root(&script("postgresql/up")))?;
    value(&root().join("lab/state/postgresql/env"), "KILONOVA_TEST_POSTGRES")
}

/// A libvirtd that is ours, and a small guest; socket and image.
fn libvirt() -> Result<(String, String), String> {
    let guest = root().join("lab/state/guest-image");
    execute(&mut as_root(&script("libvirt/install")))?;
    execute(as_root(&script("libvirt/up")).arg(HOST))?;
    execute(as_root(&script("guest-image/make")).arg(&guest))?;
    let socket = value(&root().join("lab/state/libvirt/env"), "KILONOVA_TEST_LIBVIRT_HVBENCH")?;
    Ok((socket, guest.join("disk.qcow2").display().to_string()))
}

fn value(file: &std::path::Path, name: &str) -> Result<String, String> {
    let found = read_env(file)?.into_iter().find(|(k, _)| k == name).map(|(_, v)| v);
    found.ok_or_else(|| format!("{} does not say {name}", file.display()))
}
