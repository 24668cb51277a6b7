//! The laboratory as tests find it: libvirt hosts that `lab/libvirt/up` started, other backends' variables, the built
//! program. What is missing is a failure that names the command to run; nothing here is skipped.
#![allow(clippy::unwrap_used, reason = "for tests: whatever is missing fails the test that needs it")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Root of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Where the laboratory keeps its state.
pub fn state() -> PathBuf {
    std::env::var_os("KILONOVA_LAB").map_or_else(|| checkout().join("lab/state"), PathBuf::from)
}

/// A variable of the environment, or of what the script `lab/<lab>/up` wrote.
pub fn variable(lab: &str, name: &str) -> String {
    let written = || {
        let text = std::fs::read_to_string(state().join(lab).join("env")).ok()?;
        let line = |l: &str| l.trim_start_matches("export ").strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        text.lines().find_map(line)
    };
    match std::env::var(name).ok().or_else(written) {
        Some(value) => value,
        None => panic!("{name} is not set: run lab/{lab}/up (or let `cargo xtask test` do it)"),
    }
}

/// A libvirt host of the laboratory.
#[derive(Debug)]
pub struct LibvirtHost {
    /// Its name.
    pub name: &'static str,
    /// Its daemon's socket.
    pub socket: String,
    /// Its network namespace.
    pub netns: String,
    /// Its address for tunnels.
    pub address: String,
}

impl LibvirtHost {
    /// The host of that name; it must be up.
    pub fn of(name: &'static str) -> LibvirtHost {
        let variable =
            |tail: &str| variable("libvirt", &format!("KILONOVA_TEST_LIBVIRT_{}{tail}", name.to_uppercase()));
        LibvirtHost { name, socket: variable(""), netns: variable("_NETNS"), address: variable("_IP") }
    }

    /// What `virsh` prints, nothing where it fails.
    pub fn virsh(&self, args: &[&str]) -> String {
        let uri = format!("qemu+unix:///system?socket={}", self.socket);
        let words = [&["virsh", "-q", "-c", &uri], args].concat();
        quiet(&words)
    }

    /// The daemon's process.
    pub fn daemon(&self) -> u32 {
        let file = Path::new(&self.socket).with_file_name("libvirtd.pid");
        let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        text.trim().parse().unwrap()
    }

    /// Identities and states of the domains whose description names `ours`: other clouds' guests may be there too.
    pub fn domains(&self, ours: &Path) -> Vec<(String, String)> {
        let ours = ours.display().to_string();
        let listed = self.virsh(&["list", "--all", "--uuid"]);
        let mine = listed.split_whitespace().filter(|id| self.virsh(&["dumpxml", id]).contains(&ours));
        mine.map(|id| (id.to_owned(), self.virsh(&["domstate", id]).trim().to_owned())).collect()
    }

    /// Interfaces, namespaces and tables of ours on the host.
    pub fn wires(&self) -> Vec<String> {
        let links = quiet(&["ip", "-n", &self.netns, "-o", "link", "show"]);
        let link = |l: &str| Some(l.split(": ").nth(1)?.split('@').next()?.to_owned());
        let mut out: Vec<String> = links.lines().filter(|l| l.contains("alias kilonova")).filter_map(link).collect();
        let tables = quiet(&["ip", "netns", "exec", &self.netns, "nft", "list", "tables"]);
        out.extend(tables.lines().filter(|t| t.ends_with(" kilonova")).map(str::to_owned));
        out.extend(self.namespaces());
        out
    }

    /// Namespaces of networks on the host: their names begin with the host's.
    fn namespaces(&self) -> Vec<String> {
        let (prefix, all) = (format!("kn-{}.", self.name), quiet(&["ip", "netns", "list"]));
        let names = all.lines().filter_map(|l| l.split(' ').next());
        names.filter(|n| n.starts_with(&prefix)).map(str::to_owned).collect()
    }

    /// Takes away what a cloud below `ours` that ended badly has left.
    pub fn sweep(&self, ours: &Path) {
        for (domain, _) in self.domains(ours) {
            self.virsh(&["destroy", &domain]);
            self.virsh(&["undefine", &domain, "--managed-save", "--snapshots-metadata", "--nvram"]);
        }
        let links = quiet(&["ip", "-n", &self.netns, "-o", "link", "show"]);
        for line in links.lines().filter(|l| l.contains("alias kilonova")) {
            if let Some(name) = line.split(": ").nth(1).and_then(|n| n.split('@').next()) {
                quiet(&["ip", "-n", &self.netns, "link", "delete", name]);
            }
        }
        for table in ["bridge", "inet"] {
            quiet(&["ip", "netns", "exec", &self.netns, "nft", "delete", "table", table, "kilonova"]);
        }
        for ns in self.namespaces() {
            quiet(&["ip", "netns", "delete", &ns]);
        }
    }
}

/// What a command prints; nothing where it cannot be run.
pub fn quiet(words: &[&str]) -> String {
    let out = Command::new(words[0]).args(&words[1..]).stderr(Stdio::null()).output();
    out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
}

/// The built program: the one that `KILONOVA_BINARY` names, or cargo builds it and says where it is, since a target
/// directory may be anywhere.
pub fn build() -> PathBuf {
    if let Some(named) = std::env::var_os("KILONOVA_BINARY") {
        return PathBuf::from(named);
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let out = Command::new(cargo)
        .args(["build", "--quiet", "--package", "server", "--bin", "kilonova", "--message-format", "json"])
        .current_dir(checkout())
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(out.status.success(), "kilonova cannot be built");
    let text = String::from_utf8(out.stdout).unwrap();
    let messages = text.lines().filter_map(|l| serde_json::from_str::<serde_json::Value>(l).ok());
    let path = messages.filter_map(|m| m["executable"].as_str().map(PathBuf::from)).next_back();
    path.expect("cargo names the executable it built")
}
