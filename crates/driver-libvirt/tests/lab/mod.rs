//! The laboratory that the tests against a real libvirtd share: where the daemon is, images from files, taps.

// Guests of concurrent runs share a daemon, so that their ids must be random.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, dead_code)]

use async_trait::async_trait;
use driver_api::*;
use driver_libvirt::{Libvirt, Options, VirtType};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

/// Host of most tests.
const HOST: &str = "hv1";
/// Host whose daemon a test may stop and start.
pub const MORTAL_HOST: &str = "hv2";

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn lab_state() -> PathBuf {
    std::env::var_os("KILONOVA_LAB").map_or_else(|| checkout().join("lab/state"), PathBuf::from)
}

/// A variable of the environment, or of what `lab/libvirt/up` wrote.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().or_else(|| {
        let text = std::fs::read_to_string(lab_state().join("libvirt/env")).ok()?;
        text.lines().find_map(|l| l.strip_prefix("export ")?.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
    })
}

/// Socket of a host's daemon.
pub fn socket_of(host: &str) -> PathBuf {
    let name = format!("KILONOVA_TEST_LIBVIRT_{}", host.to_uppercase());
    let Some(socket) = variable(&name) else {
        panic!(
            "these tests need a real libvirtd: run `sudo lab/libvirt/up {host}` in the checkout (after lab/libvirt/install); \
             it writes {name}"
        )
    };
    assert!(Path::new(&socket).exists(), "{name}={socket} is not there: run `sudo lab/libvirt/up {host}`");
    socket.into()
}

/// Socket of the usual daemon.
pub fn socket() -> PathBuf {
    socket_of(HOST)
}

/// Network namespace of a host's daemon.
pub fn netns_of(host: &str) -> Option<String> {
    variable(&format!("KILONOVA_TEST_LIBVIRT_{}_NETNS", host.to_uppercase())).filter(|n| !n.is_empty())
}

/// Runs one of the laboratory's scripts.
pub fn script(name: &str, args: &[&str]) {
    let path = checkout().join("lab").join(name);
    let out = Command::new(&path).args(args).output().unwrap();
    assert!(out.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&out.stderr));
}

/// A file of the guest image.
pub fn guest_file(name: &str) -> PathBuf {
    let dir =
        std::env::var_os("KILONOVA_TEST_GUEST_IMAGE").map_or_else(|| lab_state().join("guest-image"), PathBuf::from);
    let path = dir.join(name);
    assert!(path.exists(), "{} is not there: run `sudo lab/guest-image/make {}`", path.display(), dir.display());
    path
}

/// A tap in a daemon's namespace, as the host agent would have made it; removed when dropped.
pub struct Tap {
    pub name: String,
    netns: Option<String>,
}

impl Tap {
    pub fn new(id: Uuid) -> Tap {
        Tap::on(HOST, id)
    }
    pub fn on(host: &str, id: Uuid) -> Tap {
        // The last digits: ids that tests count up differ there.
        let tap = Tap { name: format!("tap{}", &id.simple().to_string()[21..]), netns: netns_of(host) };
        assert!(tap.ip(&["tuntap", "add", &tap.name, "mode", "tap"]), "making tap {}", tap.name);
        assert!(tap.ip(&["link", "set", &tap.name, "up"]));
        tap
    }
    fn ip(&self, args: &[&str]) -> bool {
        let mut command = Command::new("ip");
        if let Some(ns) = &self.netns {
            command.args(["-n", ns]);
        }
        command.args(args).status().unwrap().success()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.ip(&["link", "del", &self.name]);
    }
}

/// Images from files; snapshots go to files.
pub struct Images {
    pub dir: PathBuf,
    files: Mutex<BTreeMap<Uuid, (DiskFormat, PathBuf)>>,
    /// Bytes are given in drips, so that a fetch can be cut.
    pub slow: std::sync::atomic::AtomicBool,
}

impl Images {
    pub fn add(&self, format: DiskFormat, path: &Path) -> ImageRef {
        let id = Uuid::new_v4();
        self.files.lock().unwrap().insert(id, (format, path.to_owned()));
        self.reference(id)
    }
    pub fn reference(&self, id: Uuid) -> ImageRef {
        let (disk_format, path) = self.files.lock().unwrap()[&id].clone();
        ImageRef {
            id,
            name: "test".into(),
            disk_format,
            container_format: "bare".into(),
            size: std::fs::metadata(path).unwrap().len(),
            virtual_size: None,
            hash: None,
            properties: BTreeMap::new(),
        }
    }
    pub fn path(&self, id: Uuid) -> PathBuf {
        self.files.lock().unwrap()[&id].1.clone()
    }
}

#[async_trait]
impl ImageSource for Images {
    async fn open(&self, image: Uuid) -> Result<ImageStream> {
        let entry = self.files.lock().unwrap().get(&image).cloned();
        let (format, path) = entry.ok_or_else(|| Error::new(ErrorKind::NotFound, "no such image"))?;
        let file = tokio::fs::File::open(&path).await.unwrap();
        let size = file.metadata().await.unwrap().len();
        let slow = self.slow.load(std::sync::atomic::Ordering::Relaxed);
        let reader: std::pin::Pin<Box<dyn tokio::io::AsyncRead + Send>> =
            // One byte, and then nothing for ever.
            if slow { Box::pin(file.take(1).chain(Never)) } else { Box::pin(file) };
        Ok(ImageStream { format, size, reader, local: None })
    }
    async fn upload(&self, image: Uuid, mut sink: ImageSink) -> Result<u64> {
        let path = self.dir.join(image.to_string());
        let mut file = tokio::fs::File::create(&path).await.unwrap();
        let n = tokio::io::copy(&mut sink.reader, &mut file).await.unwrap();
        file.sync_all().await.unwrap();
        self.files.lock().unwrap().insert(image, (sink.format, path));
        Ok(n)
    }
}

/// A reader whose bytes never come.
struct Never;

impl tokio::io::AsyncRead for Never {
    fn poll_read(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        _: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Pending
    }
}

struct Documents;

#[async_trait]
impl GuestDocuments for Documents {
    async fn config_drive(&self, instance: Uuid) -> Result<Vec<u8>> {
        let guest = guestdata::Guest {
            id: instance,
            name: "test".into(),
            hostname: "first-light".into(),
            ..guestdata::Guest::default()
        };
        Ok(guestdata::config_drive(&guest))
    }
}

#[derive(Default)]
struct Memory(Mutex<BTreeMap<String, Vec<u8>>>);

#[async_trait]
impl Ledger for Memory {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }
    async fn put(&self, key: &str, value: Vec<u8>) -> Result<()> {
        self.0.lock().unwrap().insert(key.into(), value);
        Ok(())
    }
    async fn delete(&self, key: &str) -> Result<()> {
        self.0.lock().unwrap().remove(key);
        Ok(())
    }
    async fn keys(&self) -> Result<Vec<String>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }
}

/// A driver on the laboratory's daemon with a directory of its own; its guests are seen by no other test.
pub struct Lab {
    pub driver: Libvirt,
    pub options: Options,
    pub context: HostContext,
    pub images: Arc<Images>,
    pub dir: tempfile::TempDir,
}

pub fn options() -> Options {
    let mut options = Options::new(VirtType::Qemu);
    options.uri = format!("qemu+unix:///system?socket={}", socket().display());
    options
}

pub async fn lab(name: &str, options: Options) -> Lab {
    let dir = tempfile::Builder::new().prefix("kilonova-libvirt").tempdir().unwrap();
    let images = Arc::new(Images {
        dir: dir.path().to_owned(),
        files: Mutex::default(),
        slow: std::sync::atomic::AtomicBool::new(false),
    });
    let context = HostContext {
        host: format!("{name}-{}", Uuid::new_v4()),
        data_dir: dir.path().to_owned(),
        netns: netns_of(HOST),
        clock: Clock::system(),
        images: images.clone(),
        documents: Arc::new(Documents),
        ledger: Arc::new(Memory::default()),
    };
    let driver = Libvirt::new(options.clone()).unwrap();
    driver.start(context.clone()).await.unwrap();
    Lab { driver, options, context, images, dir }
}

impl Lab {
    /// The directory of a guest.
    pub fn instance_dir(&self, id: Uuid) -> PathBuf {
        self.dir.path().join("instances").join(id.to_string())
    }
    /// The driver again, as after a restart of the process.
    pub async fn reopen(&mut self) {
        self.driver.stop().await;
        self.driver = Libvirt::new(self.options.clone()).unwrap();
        self.driver.start(self.context.clone()).await.unwrap();
    }
    /// Waits until the console's log has `text` for the `times`-th time; panics with the log otherwise.
    pub async fn wait_log(&self, id: Uuid, text: &str, times: usize) -> String {
        let log = self.driver.as_console_log().unwrap();
        let end = tokio::time::Instant::now() + Duration::from_secs(180);
        loop {
            let bytes = log.console_log(id, None).await.unwrap();
            let seen = String::from_utf8_lossy(&bytes).into_owned();
            if seen.matches(text).count() >= times {
                return seen;
            }
            assert!(tokio::time::Instant::now() < end, "'{text}' x{times} did not appear:\n{seen}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// What `virsh` answers.
pub fn virsh(uri: &str, args: &[&str]) -> String {
    let out = Command::new("virsh").args(["-q", "-c", uri]).args(args).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

impl Drop for Lab {
    /// A test that failed must not leave its guests to the next.
    fn drop(&mut self) {
        let virsh = |args: &[&str]| virsh(&options().uri, args);
        for id in virsh(&["list", "--all", "--uuid"]).split_whitespace() {
            if virsh(&["metadata", id, "urn:kilonova:instance:1"]).contains(&self.context.host) {
                virsh(&["destroy", id]);
                virsh(&["undefine", id, "--managed-save"]);
            }
        }
    }
}

/// A small guest.
pub fn spec(image: ImageRef) -> InstanceSpec {
    InstanceSpec {
        id: Uuid::new_v4(),
        generation: 1,
        name: "test & <guest>".into(),
        hostname: "first-light".into(),
        project_id: "0123456789abcdef0123456789abcdef".into(),
        user_id: "u".into(),
        node: String::new(),
        flavor_name: "m1.tiny".into(),
        vcpus: 1,
        memory_mib: 128,
        root_gib: 1,
        ephemeral_gib: 0,
        swap_mib: 0,
        extra_specs: BTreeMap::new(),
        image: Some(image),
        kernel: None,
        ramdisk: None,
        config_drive: false,
        nics: vec![],
        metadata: BTreeMap::new(),
    }
}

pub fn nic(tap: &Tap) -> NicSpec {
    NicSpec {
        port_id: Uuid::new_v4(),
        network_id: Uuid::new_v4(),
        network_name: "net".into(),
        mac: "fa:16:3e:12:34:56".into(),
        mtu: 1450,
        device: tap.name.clone(),
        model: None,
        fixed_ips: vec![],
        allowed_pairs: vec![],
        subnets: vec![],
        segment: NetworkSegment::Vxlan { vni: 7, peers: vec![], host_gateway: false },
        port_security: true,
        rules: vec![],
        admin_up: true,
    }
}

pub fn op() -> Op {
    Op::new(Uuid::new_v4())
}

/// Waits for an event; others before it are passed over.
pub async fn wait_event(events: &mut EventStream, id: Uuid, kind: EventKind) {
    let found = async {
        while let Some(e) = events.recv().await {
            if e.id == id && e.kind == kind {
                return;
            }
        }
        panic!("the stream of events ended before {kind:?}");
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.unwrap_or_else(|_| panic!("no event {kind:?}"));
}

/// `qemu-img info` of a file in the format named.
pub fn info(path: &Path, format: &str) -> serde_json::Value {
    let out = Command::new("qemu-img").args(["info", "-U", "--output=json", "-f", format]).arg(path).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}
