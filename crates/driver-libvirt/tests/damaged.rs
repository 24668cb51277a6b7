//! One damaged guest stops nothing else: it is named in the log, and the host starts and serves all others.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lab;

use driver_api::*;
use lab::*;
use std::io::Write;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

const NAMESPACE: &str = "urn:kilonova:instance:1";

/// What was logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin(&self) -> impl Drop + use<> {
        use tracing_subscriber::util::SubscriberInitExt;
        let log = self.clone();
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).set_default()
    }
    fn lines_with(&self, words: &[&str]) -> usize {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().filter(|l| words.iter().all(|w| l.contains(w))).count()
    }
}

/// An image whose guests stand at the firmware.
fn empty(lab: &Lab) -> ImageRef {
    let file = lab.dir.path().join("empty.raw");
    std::fs::write(&file, vec![0; 1 << 20]).unwrap();
    lab.images.add(DiskFormat::Raw, &file)
}

fn small(image: &ImageRef) -> InstanceSpec {
    InstanceSpec { memory_mib: 64, ..spec(image.clone()) }
}

const OFF: Power = Power::Off { grace: std::time::Duration::ZERO };

fn on_daemon(args: &[&str]) -> String {
    virsh(&options().uri, args)
}

async fn listed(lab: &Lab) -> Vec<Uuid> {
    lab.driver.list().await.unwrap().into_iter().map(|o| o.id).collect()
}

#[tokio::test]
async fn guests_whose_metadata_is_lost_or_garbage_are_known_by_their_disks() {
    let log = Log::default();
    let mut lab = lab("damaged", options()).await;
    let image = empty(&lab);
    let (lost, garbage, healthy) = (small(&image), small(&image), small(&image));
    for s in [&lost, &garbage, &healthy] {
        lab.driver.spawn(s, &op()).await.unwrap();
    }
    let name = |s: &InstanceSpec| s.id.to_string();
    for place in ["--config", "--live"] {
        on_daemon(&["metadata", &name(&lost), NAMESPACE, "--remove", place]);
        on_daemon(&["metadata", &name(&garbage), NAMESPACE, "--key", "k", "--set", "<instance host='7'/>", place]);
    }
    assert!(!on_daemon(&["dumpxml", &name(&lost)]).contains(&lab.context.host), "the damage was not done");

    let heard = log.begin();
    lab.reopen().await;
    let mut all = vec![lost.id, garbage.id, healthy.id];
    all.sort();
    assert_eq!(listed(&lab).await, all);
    assert_eq!(listed(&lab).await, all);
    for s in [&lost, &garbage] {
        assert_eq!(log.lines_with(&["WARN", "damaged guest", &name(s)]), 1, "named, and once");
        assert_eq!(lab.driver.get(s.id).await.unwrap().power, PowerState::Running);
    }
    assert_eq!(log.lines_with(&["WARN", &name(&healthy)]), 0);

    // Its next start makes it whole.
    lab.driver.power(&lost, OFF, &op()).await.unwrap();
    let seen = lab.driver.power(&lost, Power::On, &op()).await.unwrap();
    assert_eq!((seen.power, seen.generation), (PowerState::Running, lost.generation));
    assert!(on_daemon(&["metadata", &name(&lost), NAMESPACE]).contains(&lab.context.host));

    // The other goes as it is; nothing remains of it.
    lab.driver.destroy(garbage.id, DestroyMode::Everything, &op()).await.unwrap();
    assert!(!on_daemon(&["list", "--all", "--uuid"]).contains(&name(&garbage)));
    assert!(!lab.instance_dir(garbage.id).exists());
    for s in [&lost, &healthy] {
        lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap();
    }
    assert!(listed(&lab).await.is_empty());
    drop(heard);
}

/// A domain on the daemon that is not ours.
struct Foreign(Uuid);

impl Foreign {
    fn define(lab: &Lab, name: &str) -> Foreign {
        let id = Uuid::new_v4();
        let file = lab.dir.path().join("foreign.xml");
        let xml = format!(
            "<domain type='qemu'><name>{name}</name><uuid>{id}</uuid><memory unit='MiB'>32</memory>\
             <os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"
        );
        std::fs::write(&file, xml).unwrap();
        on_daemon(&["define", file.to_str().unwrap()]);
        let foreign = Foreign(id);
        assert!(foreign.is_there(), "{name} was not defined");
        foreign
    }
    fn is_there(&self) -> bool {
        on_daemon(&["list", "--all", "--uuid"]).contains(&self.0.to_string())
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        on_daemon(&["undefine", &self.0.to_string()]);
    }
}

#[tokio::test]
async fn a_foreign_domain_that_is_called_like_ours_is_named_and_left_alone() {
    let log = Log::default();
    let mut lab = lab("damaged-foreign", options()).await;
    let s = small(&empty(&lab));
    let digits = s.id.simple().to_string();
    let foreign = Foreign::define(&lab, &format!("instance-{}", &digits[24..]));
    let heard = log.begin();
    lab.reopen().await;
    assert!(listed(&lab).await.is_empty());
    assert_eq!(log.lines_with(&["WARN", "left alone", &foreign.0.to_string()]), 1);
    // Its name is taken; ours finds another.
    let seen = lab.driver.spawn(&s, &op()).await.unwrap();
    assert_eq!((seen.backend_name, seen.power), (format!("instance-{digits}"), PowerState::Running));
    lab.driver.destroy(foreign.0, DestroyMode::Everything, &op()).await.unwrap();
    lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap();
    assert!(foreign.is_there());
    drop(heard);
}

#[tokio::test]
async fn a_disk_and_a_record_that_are_garbage_fail_their_guests_only() {
    let mut lab = lab("damaged-disk", options()).await;
    let image = empty(&lab);
    let (disk, record, unreadable, healthy) = (small(&image), small(&image), small(&image), small(&image));
    for s in [&disk, &record, &unreadable, &healthy] {
        lab.driver.spawn(s, &op()).await.unwrap();
        lab.driver.power(s, OFF, &op()).await.unwrap();
    }
    std::fs::write(lab.instance_dir(disk.id).join("disk"), b"no disk at all").unwrap();
    std::fs::write(lab.instance_dir(record.id).join("disks.json"), b"{").unwrap();
    std::fs::remove_dir_all(lab.instance_dir(unreadable.id)).unwrap();
    std::fs::write(lab.instance_dir(unreadable.id), b"a file where a directory was").unwrap();

    lab.reopen().await;
    assert_eq!(listed(&lab).await.len(), 4);
    for s in [&disk, &record, &unreadable] {
        let e = lab.driver.power(s, Power::On, &op()).await.unwrap_err();
        assert!(!e.message.contains('/'), "the tenant is told of paths: {e}");
        assert!(e.detail.is_some(), "the operator is told nothing: {e}");
        assert_eq!(lab.driver.get(s.id).await.unwrap().power, PowerState::Shutdown);
    }
    assert_eq!(lab.driver.power(&healthy, Power::On, &op()).await.unwrap().power, PowerState::Running);
    let another = small(&image);
    assert_eq!(lab.driver.spawn(&another, &op()).await.unwrap().power, PowerState::Running);
    for s in [&disk, &record, &unreadable, &healthy, &another] {
        lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap();
        assert!(!lab.instance_dir(s.id).exists());
    }
    assert!(listed(&lab).await.is_empty());
}

#[tokio::test]
async fn a_cached_image_that_was_cut_off_is_fetched_again() {
    let log = Log::default();
    let lab = lab("damaged-cache", options()).await;
    let heard = log.begin();
    // One kept as it came, and one that was converted.
    for (format, word, file) in [
        (DiskFormat::Qcow2, "qcow2", guest_file("disk.qcow2")),
        (DiskFormat::Vmdk, "qcow2", {
            let vmdk = lab.dir.path().join("disk.vmdk");
            let args = ["convert", "-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"];
            let empty = lab.dir.path().join("zero.raw");
            std::fs::write(&empty, vec![0; 4 << 20]).unwrap();
            let done = std::process::Command::new("qemu-img").args(args).arg(&empty).arg(&vmdk).status().unwrap();
            assert!(done.success());
            vmdk
        }),
    ] {
        let image = lab.images.add(format, &file);
        let first = small(&image);
        lab.driver.spawn(&first, &op()).await.unwrap();
        lab.driver.power(&first, OFF, &op()).await.unwrap();
        let cached = lab.dir.path().join("instances/_base").join(format!("{}.{word}", image.id));
        let whole = std::fs::metadata(&cached).unwrap().len();
        let cut = || {
            let handle = std::fs::OpenOptions::new().write(true).open(&cached).unwrap();
            handle.set_len(whole / 3).unwrap();
        };
        cut();
        // A new guest and an old one's start both mend it.
        let second = small(&image);
        assert_eq!(lab.driver.spawn(&second, &op()).await.unwrap().power, PowerState::Running);
        assert_eq!(std::fs::metadata(&cached).unwrap().len(), whole);
        assert_eq!(log.lines_with(&["WARN", "fetched again", &image.id.to_string()]), 1);
        lab.driver.destroy(second.id, DestroyMode::Everything, &op()).await.unwrap();
        cut();
        assert_eq!(lab.driver.power(&first, Power::On, &op()).await.unwrap().power, PowerState::Running);
        assert_eq!(std::fs::metadata(&cached).unwrap().len(), whole);
        lab.driver.destroy(first.id, DestroyMode::Everything, &op()).await.unwrap();
    }
    drop(heard);
}
