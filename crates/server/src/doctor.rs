//! `kilonova doctor`: every driver and everything a cloud needs on this machine, with the command that mends it.

use crate::config::Config;
use cli::{Check, Finding};
use std::path::Path;

/// Whether each driver can be used here, with the options of its first `[[compute]]` entry.
pub fn driver_checks(config: &Config) -> Vec<Check> {
    drivers::DRIVERS
        .iter()
        .map(|row| {
            let entry = config.compute.iter().find(|c| c.driver == row.name);
            let options = entry.and_then(|c| serde_json::to_value(&c.options).ok());
            let options = options.unwrap_or_else(|| default_options(row.name));
            let found = (row.probe)(&options);
            let needs_root = entry.map_or(row.wires_ports, crate::cloud::wires_ports) && !nix::unistd::geteuid().is_root();
            judge(row.name, found, needs_root)
        })
        .collect()
}

/// One driver's line. Pure.
fn judge(driver: &str, found: drivers::Availability, needs_root: bool) -> Check {
    let line = |finding, reason, fix| Check { what: driver.into(), finding, reason, fix };
    let again = "sudo kilonova up";
    match (found.usable, needs_root) {
        (true, false) => line(Finding::Good, found.reason, found.fix),
        (false, false) => line(Finding::Limited, found.reason, found.fix),
        (true, true) => line(Finding::Limited, format!("{}, but guests' networks need root", found.reason), Some(again.into())),
        (false, true) => {
            let fix = match found.fix {
                Some(f) if f.starts_with("apt-get") || f.starts_with("systemctl") => format!("sudo {f}, then {again}"),
                _ => again.into(),
            };
            line(Finding::Limited, format!("{}, and guests' networks need root", found.reason), Some(fix))
        }
    }
}

fn default_options(driver: &str) -> serde_json::Value {
    if driver == "libvirt" { serde_json::json!({"virt_type": "qemu"}) } else { serde_json::Value::Null }
}

/// Everything. `config` is the file that `kilonova up` is meant to read.
pub fn checks(data_dir: Option<&Path>, config: Option<&Path>) -> Vec<Check> {
    let mut out = Vec::new();
    let dir = data_dir.map_or_else(cli::own_default, Path::to_path_buf);
    // The one that `cargo xtask up` leaves beside its data.
    let beside = dir.join("kilonova.toml");
    let config = config.or_else(|| beside.is_file().then_some(beside.as_path()));
    let config = match config.map(|path| (path, crate::config::Config::read(path).and_then(|c| c.check_drivers().map(|()| c)))) {
        None => Config::default(),
        Some((path, Ok(c))) => {
            out.push(good("config", format!("{} can be used", path.display())));
            c
        }
        Some((_, Err(e))) => {
            out.push(Check {
                what: "config".into(),
                finding: Finding::Broken,
                reason: e.to_string(),
                fix: Some("correct it there".into()),
            });
            Config::default()
        }
    };
    out.extend(driver_checks(&config));
    for (program, package, why) in [
        ("ip", "iproute2", "makes bridges and taps"),
        ("nft", "nftables", "keeps guests apart and masquerades"),
        ("qemu-img", "qemu-utils", "makes guests' disks"),
    ] {
        out.push(match find(program) {
            Some(path) => good(program, path),
            None => Check {
                what: program.into(),
                finding: Finding::Limited,
                reason: format!("not found; it {why}"),
                fix: Some(format!("sudo apt-get install {package}")),
            },
        });
    }
    out.push(kvm());
    out.push(writable(&dir));
    out
}

fn good(what: &str, reason: String) -> Check {
    Check { what: what.into(), finding: Finding::Good, reason, fix: None }
}

fn find(program: &str) -> Option<String> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/sbin"])
        .map(|d| Path::new(d).join(program))
        .find(|p| p.is_file())
        .map(|p| p.display().to_string())
}

/// The device alone proves nothing: without vmx or svm it is a paravirtual one in which guests hang.
fn kvm() -> Check {
    let device = Path::new("/dev/kvm").exists();
    let flags = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let hardware = flags.split_whitespace().any(|f| f == "vmx" || f == "svm");
    let limited = |reason: &str| Check {
        what: "kvm".into(),
        finding: Finding::Limited,
        reason: reason.into(),
        fix: Some("use virt_type = \"qemu\" (software emulation)".into()),
    };
    match (device, hardware) {
        (true, true) => good("kvm", "/dev/kvm and hardware support; virt_type = \"kvm\" should work".into()),
        (true, false) => limited("/dev/kvm is there but the CPU shows neither vmx nor svm: guests would hang"),
        (false, _) => limited("no /dev/kvm"),
    }
}

fn writable(dir: &Path) -> Check {
    let existing = dir.ancestors().find(|d| d.exists()).unwrap_or(Path::new("/"));
    match nix::unistd::access(existing, nix::unistd::AccessFlags::W_OK) {
        Ok(()) => good("data", format!("{} can be written", dir.display())),
        Err(e) => Check {
            what: "data".into(),
            finding: Finding::Broken,
            reason: format!("{} cannot be written: {e}", dir.display()),
            fix: Some("name another --data-dir".into()),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use drivers::Availability;

    #[test]
    fn without_root_every_fix_begins_with_sudo() {
        let found = |usable, fix: Option<&str>| Availability { usable, reason: "r".into(), fix: fix.map(str::to_owned) };
        for (found, fix) in [
            (found(true, None), "sudo kilonova up"),
            (found(false, Some("apt-get install x")), "sudo apt-get install x, then sudo kilonova up"),
            (found(false, Some("run with sudo, or join the group libvirt")), "sudo kilonova up"),
        ] {
            let check = judge("libvirt", found, true);
            assert_eq!((check.finding, check.fix.as_deref()), (Finding::Limited, Some(fix)));
            assert!(check.reason.contains("need root"));
        }
        assert_eq!(judge("fake", found(true, None), false).finding, Finding::Good);
        assert_eq!(judge("libvirt", found(false, Some("apt-get x")), false).fix.as_deref(), Some("apt-get x"));
    }
}
