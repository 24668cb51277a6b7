//! `cargo xtask down`: stops what `up` started.

use crate::command::{as_root, as_root_words, has_systemd, execute};
use crate::{root, service, up};
use clap::Args;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct Options {
    /// The data directory that `up` was given.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Remove the data too, and the entry in clouds.yaml.
    #[arg(long)]
    purge: bool,
    /// Name of that entry.
    #[arg(long, default_value = "kilonova")]
    cloud_name: String,
}

pub fn run(o: &Options) -> Result<(), String> {
    let data = up::data_dir(o.data_dir.as_ref())?;
    let binary = up::binary()?;
    let file = data.join("cloud.json");
    if let Ok(text) = std::fs::read_to_string(&file) {
        let value: serde_json::Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
        println!("[1/3] delete the servers and stop the cloud");
        // Guests, taps and namespaces are the cloud's to remove; it does so as its servers are deleted.
        let deleted = Command::new(&binary).args(["down", "--data-dir"]).arg(&data).status();
        if !deleted.is_ok_and(|s| s.success()) {
            eprintln!("      the cloud does not answer; its guests are stopped with libvirt");
        }
        if let Some(pid) = value["pid"].as_u64() {
            for words in service::stop(has_systemd(), &o.cloud_name, pid) {
                let _ = as_root_words(&words).stderr(Stdio::null()).status();
            }
            let deadline = Instant::now() + Duration::from_secs(20);
            while std::path::Path::new(&format!("/proc/{pid}")).exists() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
    println!("[2/3] stop libvirt");
    if !has_systemd() {
        let script = root().join("lab/libvirt/down");
        execute(as_root(&script.display().to_string()).arg("local").stdout(Stdio::null()))?;
    }
    if o.purge {
        println!("[3/3] remove {}, the guest image and the entry {:?} of clouds.yaml", data.display(), o.cloud_name);
        execute(Command::new(&binary).args(["forget", "--cloud-name", &o.cloud_name]))?;
        let guest = root().join("lab/state/guest-image");
        execute(as_root("rm").args(["-rf", "--one-file-system"]).arg(&data).arg(&guest))?;
        // Others' laboratories may be in it.
        let _ = std::fs::remove_dir(root().join("lab/state"));
        println!("      the packages stay");
    } else {
        println!("[3/3] the data stays in {}; --purge removes it", data.display());
    }
    Ok(())
}
