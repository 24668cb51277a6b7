//! The distribution's packages: what is missing is said, then installed; nothing is ever downgraded or removed.

use crate::command::{as_root, output, execute};
use std::process::Command;

/// Those of `names` that are not installed.
pub fn missing<'a>(names: &[&'a str]) -> Vec<&'a str> {
    names
        .iter()
        .copied()
        .filter(|n| {
            let status = output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", n]).stderr(std::process::Stdio::null()));
            !status.is_ok_and(|s| s.trim() == "installed")
        })
        .collect()
}

/// Installs what is missing of `names`.
pub fn install(names: &[&str]) -> Result<(), String> {
    let missing = missing(names);
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {} packages: {}", missing.len(), missing.join(" "));
    let quiet = ["-qq", "-o", "Dpkg::Use-Pty=0"];
    execute(as_root("env").args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(quiet).arg("update"))?;
    execute(as_root("env")
        .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
        .args(quiet)
        .args(["install", "-y", "--no-install-recommends", "--no-remove"])
        .args(&missing))
}
