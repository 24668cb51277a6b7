//! The kit that every driver runs, on a real libvirtd whose daemon stops and starts in the middle of it.
//! Needs `lab/libvirt/up hv2` and `lab/guest-image/make`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lab;

use async_trait::async_trait;
use driver_api::{Clock, ComputeDriver, DiskFormat, InstanceSpec};
use driver_conformance::{BootImage, Bytes, Ground, Lab, run};
use driver_libvirt::{Libvirt, Options};
use lab::{MORTAL_HOST, Tap, guest_file, netns_of, nic, script, socket_of, virsh};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

struct RealHost {
    socket: PathBuf,
    uri: String,
    dir: PathBuf,
    taps: Mutex<Vec<(Uuid, Tap)>>,
}

#[async_trait]
impl Ground for RealHost {
    fn image(&self) -> BootImage {
        BootImage { format: DiskFormat::Qcow2, bytes: Bytes::File(guest_file("disk.qcow2")) }
    }
    async fn plug(&self, spec: &mut InstanceSpec) -> Result<(), String> {
        let tap = Tap::on(MORTAL_HOST, spec.id);
        let mut nic = nic(&tap);
        let tail = spec.id.as_bytes();
        nic.mac = format!("fa:16:3e:{:02x}:{:02x}:{:02x}", tail[13], tail[14], tail[15]);
        spec.nics = vec![nic];
        self.taps.lock().unwrap().push((spec.id, tap));
        Ok(())
    }
    async fn unplug(&self, instance: Uuid) {
        self.taps.lock().unwrap().retain(|(id, _)| *id != instance);
    }
    async fn leftovers(&self, instance: Uuid) -> Vec<String> {
        let id = instance.to_string();
        let mut left: Vec<String> = virsh(&self.uri, &["list", "--all", "--uuid"])
            .split_whitespace()
            .filter(|u| *u == id)
            .map(|u| format!("domain {u}"))
            .collect();
        for entry in std::fs::read_dir(self.dir.join("instances")).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.contains(&id) {
                left.push(format!("file {name}"));
            }
        }
        left
    }
    fn can_disconnect(&self) -> bool {
        true
    }
    async fn set_reachable(&self, reachable: bool) {
        let pid_file = self.socket.with_file_name("libvirtd.pid");
        let up = self.socket.exists() && Path::new(&pid_file).exists();
        if reachable && !up {
            tokio::task::spawn_blocking(|| script("libvirt/up", &[MORTAL_HOST])).await.unwrap();
        }
        if !reachable && up {
            let pid = std::fs::read_to_string(&pid_file).unwrap();
            assert!(Command::new("kill").arg(pid.trim()).status().unwrap().success());
            let end = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
            while pid_file.exists() {
                assert!(tokio::time::Instant::now() < end, "libvirtd does not end");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}

async fn conforms(name: &str, shape: fn(&mut Options)) {
    let dir = tempfile::Builder::new().prefix("kilonova-conformance").tempdir().unwrap();
    let socket = socket_of(MORTAL_HOST);
    let mut options = lab::options();
    options.uri = format!("qemu+unix:///system?socket={}", socket.display());
    shape(&mut options);
    let ground =
        Arc::new(RealHost { socket, uri: options.uri.clone(), dir: dir.path().to_owned(), taps: Mutex::default() });
    let seed = Uuid::new_v4().as_u128();
    let mut lab = Lab::new(&format!("{name}-{seed:x}"), dir.path().to_owned(), Clock::system(), ground, seed);
    lab.netns = netns_of(MORTAL_HOST);
    let factory = move || {
        let options = options.clone();
        Box::pin(async move { Box::new(Libvirt::new(options).unwrap()) as Box<dyn ComputeDriver> })
            as futures_util::future::BoxFuture<'static, Box<dyn ComputeDriver>>
    };
    let report = run(&factory, lab).await;
    assert!(report.passed(), "{report}");
}

#[tokio::test]
async fn overlays_conform() {
    conforms("overlay", |_| {}).await;
}
