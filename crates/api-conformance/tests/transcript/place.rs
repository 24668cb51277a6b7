//! Where a transcript runs: the program, the real backends, a home of its own, and what is left when it fails.

use api_conformance::lab::{LibvirtHost, build, state, variable};
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use tempfile::TempDir;

pub use api_conformance::lab::checkout;

/// The place of one run.
pub struct Place {
    dir: TempDir,
    hosts: [LibvirtHost; 2],
    guest: PathBuf,
    openstack: String,
}

impl Place {
    /// Finds everything, builds the program, makes the directory.
    pub fn make() -> Place {
        let guest = std::env::var_os("KILONOVA_TEST_GUEST").map_or_else(|| state().join("guest-image"), PathBuf::from);
        for file in ["disk.qcow2", "vmlinuz", "initrd.img", "root.ext4"] {
            assert!(guest.join(file).exists(), "{file} is not in {}: run lab/guest-image/make", guest.display());
        }
        let place = Place {
            dir: tempfile::Builder::new().prefix("kn-").tempdir().unwrap(),
            hosts: [LibvirtHost::of("hv1"), LibvirtHost::of("hv2")],
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
}

impl Drop for Place {
    fn drop(&mut self) {
        self.kill_cloud();
        if std::thread::panicking() {
            // What a run that failed midway has left.
            self.hosts.iter().for_each(|h| h.sweep(self.dir.path()));
        }
    }
}
