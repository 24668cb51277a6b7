//! `kilonova doctor`: every driver and everything a cloud needs on this machine, with the command that mends it.

use crate::config::Config;
use crate::datadir;
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
            let root = nix::unistd::geteuid().is_root();
            if found.usable && row.wires_ports && !root {
                return Check {
                    what: row.name.into(),
                    finding: Finding::Limited,
                    reason: format!("{}, but guests' networks need root", found.reason),
                    fix: Some("sudo kilonova up".into()),
                };
            }
            Check {
                what: row.name.into(),
                finding: if found.usable { Finding::Good } else { Finding::Limited },
                reason: found.reason,
                fix: found.fix,
            }
        })
        .collect()
}

fn default_options(driver: &str) -> serde_json::Value {
    if driver == "libvirt" { serde_json::json!({"virt_type": "qemu"}) } else { serde_json::Value::Null }
}

/// Everything.
pub fn checks(data_dir: Option<&Path>) -> Vec<Check> {
    let mut out = driver_checks(&Config::default());
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
    let dir = data_dir.map_or_else(datadir::default_path, Path::to_path_buf);
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
