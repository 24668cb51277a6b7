//! `cargo xtask up`: from a fresh clone to a cloud with one real VM.
//!
//! Says what it will do before it does it. Asks for root only where root is needed, through sudo; what it leaves in the
//! user's home belongs to the user.

use crate::command::{as_root, as_root_words, has_systemd, is_root, output, read_env, execute};
use crate::{packages, root, service};
use clap::Args;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Args)]
pub struct Options {
    /// Address and port to serve on.
    #[arg(long, default_value = "127.0.0.1:8774")]
    listen: String,
    /// `qemu` (software emulation, works everywhere) or `kvm`. Never guessed: KVM can look present and not work.
    #[arg(long, default_value = "qemu")]
    virt_type: String,
    /// Where the cloud keeps everything.
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// Name of the entry in clouds.yaml.
    #[arg(long, default_value = "kilonova")]
    cloud_name: String,
}

/// Packages of the host and of the small guest image.
const TOOLS: &[&str] = &[
    "iproute2", "nftables", "e2fsprogs", "busybox-static", "dropbear-bin", "cpio", "kmod", "extlinux", "syslinux-common",
    "fdisk", "openssh-client", "procps", "util-linux", "ca-certificates",
];

/// Where a checkout's cloud lives. The machine's own libvirt runs guests as a user of theirs, who must get through to
/// their disks: a home that nobody else may enter is no place for them then.
pub fn data_dir(named: Option<&PathBuf>) -> Result<PathBuf, String> {
    let beside = root().join("kilonova-data");
    match named {
        Some(dir) => Ok(dir.clone()),
        None if !has_systemd() || passable(&root()) => Ok(beside),
        None => Ok(PathBuf::from(format!("/var/lib/kilonova-{}", output(Command::new("id").arg("-un"))?.trim()))),
    }
}

/// Everybody may pass through `dir`.
fn passable(dir: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    dir.ancestors().all(|d| std::fs::metadata(d).is_ok_and(|m| m.permissions().mode() & 1 == 1))
}

/// The user for whom this runs, as `chown` has it.
fn user() -> Result<String, String> {
    let id = |flag: &str| output(Command::new("id").arg(flag)).map(|s| s.trim().to_owned());
    Ok(format!("{}:{}", id("-u")?, id("-g")?))
}

/// The built program.
pub fn binary() -> Result<PathBuf, String> {
    let json = output(Command::new("cargo").args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root()))?;
    let value: serde_json::Value = serde_json::from_str(&json).map_err(|e| e.to_string())?;
    let target = value["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(Path::new(target).join("debug/kilonova"))
}

pub fn run_step<T>(number: usize, of: usize, what: &str, f: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    println!("[{number}/{of}] {what}");
    let started = Instant::now();
    let value = f()?;
    println!("      {:.1} s", started.elapsed().as_secs_f64());
    Ok(value)
}

pub fn run(o: &Options) -> Result<(), String> {
    let data = data_dir(o.data_dir.as_ref())?;
    say_first(o, &data);
    let started = Instant::now();
    run_step(1, 6, "packages", || install().and_then(|()| packages::install(TOOLS)))?;
    let binary = run_step(2, 6, "build kilonova", || {
        execute(Command::new("cargo").args(["build", "--package", "server", "--bin", "kilonova"]).current_dir(root()))?;
        binary()
    })?;
    let guest = root().join("lab/state/guest-image");
    run_step(3, 6, "make the small guest image (kernel, busybox, dropbear from Debian packages)", || {
        execute(as_root(&root().join("lab/guest-image/make").display().to_string()).arg(&guest).stdout(Stdio::null()))?;
        // What root made in the user's checkout is the user's to remove.
        let state = root().join("lab/state");
        execute(as_root("chown").arg(user()?).arg(&state))?;
        execute(as_root("chown").args(["-R", &user()?]).arg(&guest))
    })?;
    let uri = run_step(4, 6, "start libvirt", libvirt)?;
    run_step(5, 6, "start the cloud", || start(o, &binary, &data, &uri))?;
    run_step(6, 6, "boot one VM and wait until it answers", || boot(&binary, &data, &guest))?;
    println!();
    execute(Command::new(&binary).args(["status", "--data-dir"]).arg(&data))?;
    say_last(o, &binary, &data, started);
    Ok(())
}

fn say_first(o: &Options, data: &Path) {
    let root_by = if is_root() { "as root" } else { "through sudo" };
    println!("This will, {root_by}:");
    println!("  install libvirt, QEMU and small tools from your distribution's packages (nothing is downgraded or removed)");
    println!("  start {}", if has_systemd() { "libvirtd by systemd" } else { "a libvirtd of its own (no systemd here)" });
    println!("  serve the cloud on {} and keep everything in {}", o.listen, data.display());
    println!("  add the entry {:?} to your clouds.yaml (a backup first)", o.cloud_name);
    println!("`cargo xtask down` undoes it.\n");
}

fn say_last(o: &Options, binary: &Path, data: &Path, started: Instant) {
    let key = data.join("id_ed25519");
    println!();
    println!("ready after {:.0} s. Log in:", started.elapsed().as_secs_f64());
    println!("  eval \"$({} env --data-dir {})\"      # or: export OS_CLOUD={}", binary.display(), data.display(), o.cloud_name);
    println!("Then, for example:");
    println!("  openstack server list");
    println!("  ssh -i {} root@ADDRESS                # the guest of the list above", key.display());
    println!("  {} console first --data-dir {}", binary.display(), data.display());
}

fn install() -> Result<(), String> {
    execute(&mut as_root(&root().join("lab/libvirt/install").display().to_string()))
}


/// The libvirt socket to use: the system's under systemd, a private daemon's otherwise.
fn libvirt() -> Result<String, String> {
    if let Some(words) = service::libvirt(has_systemd()) {
        execute(&mut as_root_words(&words))?;
        return Ok("qemu:///system".into());
    }
    execute(as_root(&root().join("lab/libvirt/up").display().to_string()).args(["--host-net", "local"]).stdout(Stdio::null()))?;
    let env = read_env(&root().join("lab/state/libvirt/env"))?;
    let socket = env.iter().find(|(k, _)| k == "KILONOVA_TEST_LIBVIRT_LOCAL").ok_or("lab/libvirt/up wrote no socket")?;
    Ok(format!("qemu+unix:///system?socket={}", socket.1))
}

fn start(o: &Options, binary: &Path, data: &Path, uri: &str) -> Result<(), String> {
    if !["qemu", "kvm"].contains(&o.virt_type.as_str()) {
        return Err(format!("--virt-type {}: use qemu or kvm", o.virt_type));
    }
    // Guests' processes may pass through; nobody may look around.
    let owner = user()?;
    let (uid, gid) = owner.split_once(':').ok_or("id gave no ids")?;
    execute(as_root("install").args(["-d", "-m", "711", "-o", uid, "-g", gid]).arg(data))?;
    let config = data.join("kilonova.toml");
    let host = output(&mut Command::new("hostname"))?.trim().to_owned();
    let text = format!(
        "listen = {:?}\n\n[[compute]]\nname = {host:?}\ndriver = \"libvirt\"\n\n[compute.options]\nuri = {uri:?}\nvirt_type = {:?}\n",
        o.listen, o.virt_type
    );
    std::fs::write(&config, text).map_err(|e| format!("{}: {e}", config.display()))?;
    let log = data.join("kilonova.log");
    let home = std::env::var("HOME").map_err(|_| "HOME is not set".to_owned())?;
    let owner = format!("{owner}:{home}");
    let cloud = service::Cloud { binary, config: &config, data, log: &log, name: &o.cloud_name, owner: &owner };
    execute(&mut as_root_words(&service::start(has_systemd(), &cloud)))?;
    let deadline = Instant::now() + Duration::from_secs(60);
    while !data.join("cloud.json").exists() || Command::new(binary).args(["status", "--json", "--data-dir"]).arg(data).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| !s.success()) {
        if Instant::now() > deadline {
            return Err(format!("the cloud did not start within 60 s; its log is {}", log.display()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn boot(binary: &Path, data: &Path, guest: &Path) -> Result<(), String> {
    let key = data.join("id_ed25519");
    if !key.exists() {
        execute(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", "kilonova", "-f"]).arg(&key))?;
    }
    let have = output(Command::new(binary).args(["status", "--json", "--data-dir"]).arg(data))?;
    if have.contains("\"ACTIVE\"") {
        println!("      a server runs already");
        return Ok(());
    }
    execute(Command::new(binary)
        .args(["launch", "--name", "first", "--port", "22", "--data-dir"])
        .arg(data)
        .arg("--key")
        .arg(key.with_extension("pub"))
        .arg(guest.join("disk.qcow2")))
}
