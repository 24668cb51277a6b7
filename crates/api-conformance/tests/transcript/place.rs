//! Where a transcript runs: the program, the real backends, a home of its own, and what is left when it fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Root of the checkout.
pub fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn lab_state() -> PathBuf {
    std::env::var_os("KILONOVA_LAB").map_or_else(|| checkout().join("lab/state"), PathBuf::from)
}

/// A variable of the environment, or of what the script `lab/<lab>/up` wrote. Not there is a failure, never a skip.
fn variable(lab: &str, name: &str) -> String {
    let written = || {
        let text = fs::read_to_string(lab_state().join(lab).join("env")).ok()?;
        let line = |l: &str| l.trim_start_matches("export ").strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
        text.lines().find_map(line)
    };
    match std::env::var(name).ok().or_else(written) {
        Some(value) => value,
        None => panic!("{name} is not set: run lab/{lab}/up (or let `cargo xtask test` do it)"),
    }
}

/// A host of the laboratory.
struct Host {
    name: &'static str,
    socket: String,
    netns: String,
    address: String,
}

impl Host {
    fn of(name: &'static str) -> Host {
        let variable = |tail: &str| variable("libvirt", &format!("KILONOVA_TEST_LIBVIRT_{}{tail}", name.to_uppercase()));
        Host { name, socket: variable(""), netns: variable("_NETNS"), address: variable("_IP") }
    }

    fn virsh(&self, args: &[&str]) -> String {
        let uri = format!("qemu+unix:///system?socket={}", self.socket);
        let out = Command::new("virsh").args(["-q", "-c", &uri]).args(args).stderr(Stdio::null()).output();
        out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
    }
}

/// The place of one run.
pub struct Place {
    dir: TempDir,
    hosts: [Host; 2],
    guest: PathBuf,
    openstack: String,
}

impl Place {
    /// Finds everything, builds the program, makes the directory.
    pub fn make() -> Place {
        let guest = std::env::var_os("KILONOVA_TEST_GUEST").map_or_else(|| lab_state().join("guest-image"), PathBuf::from);
        for file in ["disk.qcow2", "vmlinuz", "initrd.img", "root.ext4"] {
            assert!(guest.join(file).exists(), "{file} is not in {}: run lab/guest-image/make", guest.display());
        }
        let place = Place {
            dir: tempfile::Builder::new().prefix("kn-").tempdir().unwrap(),
            hosts: [Host::of("hv1"), Host::of("hv2")],
            guest,
            openstack: variable("openstackclient", "KILONOVA_TEST_OPENSTACK"),
        };
        let bin = place.path("bin");
        fs::create_dir_all(&bin).unwrap();
        fs::create_dir_all(place.path("home")).unwrap();
        // A copy: the program must stay the same through the run, whatever is built meanwhile.
        fs::copy(build(), bin.join("kilonova")).unwrap();
        std::os::unix::fs::symlink(&place.openstack, bin.join("openstack")).unwrap();
        std::os::unix::fs::symlink(checkout().join("lab"), place.path("lab")).unwrap();
        place
    }

    /// Something in the place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the transcript finds in its environment.
    pub fn variables(&self) -> Vec<(String, String)> {
        let text = |p: PathBuf| p.display().to_string();
        let mut out = vec![
            ("PATH".to_owned(), format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", text(self.path("bin")))),
            ("HOME".to_owned(), text(self.path("home"))),
            ("LC_ALL".to_owned(), "C.UTF-8".to_owned()),
            ("KILONOVA_DATA_DIR".to_owned(), text(self.path("data"))),
            ("GUEST".to_owned(), text(self.guest.clone())),
        ];
        if let Ok(lab) = std::env::var("KILONOVA_LAB") {
            out.push(("KILONOVA_LAB".to_owned(), lab));
        }
        for h in &self.hosts {
            let name = h.name.to_uppercase();
            out.push((name.clone(), h.socket.clone()));
            out.push((format!("{name}_NETNS"), h.netns.clone()));
            out.push((format!("{name}_IP"), h.address.clone()));
        }
        out
    }

    fn kill_cloud(&self) {
        let Ok(text) = fs::read_to_string(self.path("data/cloud.json")) else { return };
        let pid = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|v| v["pid"].as_u64());
        // Numbers are reused: only what runs our copy is ours.
        if let Some(pid) = pid
            && fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(self.dir.path()))
        {
            let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).status();
        }
    }

    /// Takes away what a run that failed midway has left on the hosts.
    fn sweep(&self) {
        let ours = self.dir.path().display().to_string();
        for h in &self.hosts {
            for domain in h.virsh(&["list", "--all", "--name"]).split_whitespace() {
                if h.virsh(&["dumpxml", domain]).contains(&ours) {
                    h.virsh(&["destroy", domain]);
                    h.virsh(&["undefine", domain, "--managed-save", "--snapshots-metadata", "--nvram"]);
                }
            }
            // Interfaces that hostnet made say so, and its namespaces begin with the host's name.
            let links = quiet(&["ip", "-n", &h.netns, "-o", "link", "show"]);
            for line in links.lines().filter(|l| l.contains("alias kilonova")) {
                if let Some(name) = line.split(": ").nth(1).and_then(|n| n.split('@').next()) {
                    quiet(&["ip", "-n", &h.netns, "link", "delete", name]);
                }
            }
            for table in ["bridge", "inet"] {
                quiet(&["ip", "netns", "exec", &h.netns, "nft", "delete", "table", table, "kilonova"]);
            }
            let prefix = format!("kn-{}.", h.name);
            for ns in quiet(&["ip", "netns", "list"]).lines().filter_map(|l| l.split(' ').next()).filter(|n| n.starts_with(&prefix)) {
                quiet(&["ip", "netns", "delete", ns]);
            }
        }
    }
}

fn quiet(words: &[&str]) -> String {
    let out = Command::new(words[0]).args(&words[1..]).stderr(Stdio::null()).output();
    out.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
}

/// The built program: cargo says where, since a target directory may be anywhere.
fn build() -> PathBuf {
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

impl Drop for Place {
    fn drop(&mut self) {
        self.kill_cloud();
        if std::thread::panicking() {
            self.sweep();
        }
    }
}
