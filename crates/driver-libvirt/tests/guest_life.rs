//! A real guest through every verb and facet. Needs `lab/libvirt/up hv1` and `lab/guest-image/make`.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lab;

use driver_api::*;
use lab::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

/// Disk boot, q35, qcow2 overlay, config drive on virtio-scsi, one tap; then a second guest from its snapshot.
#[tokio::test]
async fn a_guest_booted_from_disk_lives_through_every_verb() {
    let mut lab = lab("disk", options()).await;
    let mut events = lab.driver.events().unwrap();
    let image = lab.images.add(DiskFormat::Qcow2, &guest_file("disk.qcow2"));
    let mut s = spec(image);
    let tap = Tap::new(s.id);
    s.nics = vec![nic(&tap)];
    s.config_drive = true;
    s.swap_mib = 16;

    let born = lab.driver.spawn(&s, &op()).await.unwrap();
    assert_eq!((born.power, born.generation), (PowerState::Running, 1));
    assert_eq!(born.root_device.as_deref(), Some("/dev/vda"));
    assert_eq!(born.backend_name, format!("instance-{}", &s.id.simple().to_string()[24..]));
    wait_event(&mut events, s.id, EventKind::Started).await;
    assert_eq!(lab.driver.spawn(&s, &op()).await.unwrap(), born);
    assert_eq!(lab.driver.list().await.unwrap(), std::slice::from_ref(&born));
    let log = lab.wait_log(s.id, "GUEST-MARKER ready", 1).await;
    assert!(log.contains(&format!("configdrive uuid={}", s.id)), "{log}");
    assert!(log.contains("host=first-light boots=1") && log.contains("mac=fa:16:3e:12:34:56"), "{log}");
    let last = lab.driver.as_console_log().unwrap().console_log(s.id, Some(2)).await.unwrap();
    assert!(last.iter().filter(|b| **b == b'\n').count() <= 2);

    nobody_else_reads(&lab, s.id);

    pause(&lab, &mut events, s.id).await;
    serial(&lab, s.id).await;
    vnc(&lab, s.id).await;
    diagnostics(&lab, s.id).await;
    let image = snapshot(&lab, &s).await;
    suspend(&lab, &mut events, &s).await;

    // Soft: the guest shuts down in order and comes back in the same process, so that nothing "stopped".
    lab.driver.reboot(&s, RebootKind::Soft, &op()).await.unwrap();
    let log = lab.wait_log(s.id, "GUEST-MARKER ready", 2).await;
    assert!(log.contains("acpi-shutdown") && log.contains("boots=2"), "{log}");

    lab.reopen().await;
    let mut events = lab.driver.events().unwrap();
    assert_eq!(lab.driver.list().await.unwrap(), std::slice::from_ref(&born));
    let off = lab.driver.power(&s, Power::Off { grace: Duration::from_secs(60) }, &op()).await.unwrap();
    assert_eq!(off.power, PowerState::Shutdown);
    wait_event(&mut events, s.id, EventKind::Stopped).await;
    let log = lab.wait_log(s.id, "acpi-shutdown", 2).await;
    assert_eq!(log.matches("boots=").count(), 2);
    // A guest that is off stays so.
    lab.driver.power(&s, Power::Off { grace: Duration::ZERO }, &op()).await.unwrap();
    let cold = snapshot(&lab, &s).await;
    assert_eq!(info(&lab.images.path(cold), "qcow2")["virtual-size"], 1u64 << 30);

    s.generation = 2;
    let on = lab.driver.power(&s, Power::On, &op()).await.unwrap();
    assert_eq!((on.power, on.generation), (PowerState::Running, 2));
    s.generation = 3;
    let hard = lab.driver.reboot(&s, RebootKind::Hard, &op()).await.unwrap();
    assert_eq!((hard.power, hard.generation), (PowerState::Running, 3));

    lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap();
    lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap();
    assert!(!lab.instance_dir(s.id).exists());
    assert!(lab.driver.list().await.unwrap().is_empty());

    // What was alive at the snapshot boots again, for the second time.
    let copy = spec(lab.images.reference(image));
    lab.driver.spawn(&copy, &op()).await.unwrap();
    let log = lab.wait_log(copy.id, "GUEST-MARKER ready", 1).await;
    assert!(log.contains("boots=2"), "{log}");
    lab.driver.destroy(copy.id, DestroyMode::Everything, &op()).await.unwrap();
}

/// Users of the host who are neither root nor QEMU's read no disk, no image and no log (CVE-2013-7048).
fn nobody_else_reads(lab: &Lab, id: Uuid) {
    use std::os::unix::fs::PermissionsExt;
    let base = lab.dir.path().join("instances/_base");
    for dir in [lab.instance_dir(id), base] {
        assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o711);
        for entry in std::fs::read_dir(&dir).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o007, 0, "{} has mode {mode:o}", entry.path().display());
        }
    }
}

async fn pause(lab: &Lab, events: &mut EventStream, id: Uuid) {
    let facet = lab.driver.as_pause().unwrap();
    for _ in 0..2 {
        assert_eq!(facet.pause(id, &op()).await.unwrap().power, PowerState::Paused);
    }
    wait_event(events, id, EventKind::Paused).await;
    for _ in 0..2 {
        assert_eq!(facet.unpause(id, &op()).await.unwrap().power, PowerState::Running);
    }
    wait_event(events, id, EventKind::Resumed).await;
}

/// Talks with the guest's shell; what it wrote is on its disk afterwards.
async fn serial(lab: &Lab, id: Uuid) {
    let facet = lab.driver.as_console().unwrap();
    // The second takes the line from the first.
    let mut first = facet.open_console(id, ConsoleKind::Serial).await.unwrap();
    let mut line = facet.open_console(id, ConsoleKind::Serial).await.unwrap();
    let mut rest = Vec::new();
    let ended = first.reader.read_to_end(&mut rest);
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
    line.writer.write_all(b"sync; echo one$((1+1))three\n").await.unwrap();
    let mut seen = String::new();
    let answer = async {
        let mut buffer = [0u8; 1024];
        while !seen.contains("one2three") {
            let n = line.reader.read(&mut buffer).await.unwrap();
            assert!(n > 0, "the line ended: {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    };
    tokio::time::timeout(Duration::from_secs(30), answer).await.expect("the guest's shell answers on the serial line");
}

async fn vnc(lab: &Lab, id: Uuid) {
    let facet = lab.driver.as_console().unwrap();
    assert_eq!(facet.kinds(), [ConsoleKind::Vnc, ConsoleKind::Serial]);
    let mut display = facet.open_console(id, ConsoleKind::Vnc).await.unwrap();
    let mut banner = [0u8; 12];
    let greeting = display.reader.read_exact(&mut banner);
    tokio::time::timeout(Duration::from_secs(20), greeting).await.unwrap().unwrap();
    assert_eq!(&banner, b"RFB 003.008\n");
}

async fn diagnostics(lab: &Lab, id: Uuid) {
    let report = lab.driver.as_diagnostics().unwrap().diagnostics(id).await.unwrap();
    assert_eq!(
        (report.state.as_str(), report.driver.as_str(), report.hypervisor.as_str()),
        ("running", "libvirt", "qemu")
    );
    assert_eq!((report.memory_max_mib, report.cpu_time_ns.len(), report.config_drive), (128, 1, true));
    assert_eq!(report.nics[0].mac, "fa:16:3e:12:34:56");
    assert!(report.nics[0].tx_packets > 0, "{report:?}");
    let root = report.disks.iter().find(|d| d.device == "vda").unwrap();
    assert!(root.read_bytes > 1 << 20 && root.write_requests > 0, "{root:?}");
    assert!(report.uptime.is_some());
}

async fn snapshot(lab: &Lab, s: &InstanceSpec) -> Uuid {
    let image = Uuid::new_v4();
    let before = lab.driver.get(s.id).await.unwrap();
    let result = lab.driver.as_snapshot().unwrap().snapshot(s, image, &op()).await.unwrap();
    assert_eq!(result.format, DiskFormat::Qcow2);
    assert_eq!(result.size, std::fs::metadata(lab.images.path(image)).unwrap().len());
    let facts = info(&lab.images.path(image), "qcow2");
    assert!(facts.get("backing-filename").is_none(), "{facts}");
    assert_eq!(lab.driver.get(s.id).await.unwrap(), before);
    let left: Vec<_> = std::fs::read_dir(lab.instance_dir(s.id))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.starts_with("mirror") || n.starts_with("snapshot"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    image
}

async fn suspend(lab: &Lab, events: &mut EventStream, s: &InstanceSpec) {
    let facet = lab.driver.as_suspend().unwrap();
    for _ in 0..2 {
        assert_eq!(facet.suspend(s.id, &op()).await.unwrap().power, PowerState::Suspended);
    }
    wait_event(events, s.id, EventKind::Suspended).await;
    assert_eq!(lab.driver.list().await.unwrap()[0].power, PowerState::Suspended);
    snapshot(lab, s).await;
    for _ in 0..2 {
        assert_eq!(facet.resume(s, &op()).await.unwrap().power, PowerState::Running);
    }
    // The same life goes on: the shell answers, and no second boot was logged.
    serial(lab, s.id).await;
    let log = lab.driver.as_console_log().unwrap().console_log(s.id, None).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&log).matches("kernel-up").count(), 1);
}

/// Direct kernel boot of a bare file system, i440fx, raw disks; a snapshot while paused; disks kept over a destroy.
#[tokio::test]
async fn a_guest_booted_by_kernel_and_ramdisk_on_raw_disks() {
    let mut options = options();
    options.disk_format = driver_libvirt::DiskKind::Raw;
    options.machine = "pc".into();
    options.vnc = false;
    let lab = lab("kernel", options).await;
    let image = lab.images.add(DiskFormat::Ami, &guest_file("root.ext4"));
    let mut s = spec(image);
    s.kernel = Some(lab.images.add(DiskFormat::Aki, &guest_file("vmlinuz")));
    s.ramdisk = Some(lab.images.add(DiskFormat::Ari, &guest_file("initrd.img")));
    s.config_drive = true;
    s.ephemeral_gib = 1;
    lab.driver.spawn(&s, &op()).await.unwrap();
    let log = lab.wait_log(s.id, "GUEST-MARKER ready", 1).await;
    assert!(log.contains("root=/dev/vda") && log.contains(&format!("configdrive uuid={}", s.id)), "{log}");
    assert_eq!(lab.driver.as_console().unwrap().kinds(), [ConsoleKind::Serial]);
    serial(&lab, s.id).await;
    assert_eq!(std::fs::metadata(lab.instance_dir(s.id).join("disk")).unwrap().len(), 1 << 30);
    assert_eq!(std::fs::metadata(lab.instance_dir(s.id).join("disk.eph0")).unwrap().len(), 1 << 30);

    lab.driver.as_pause().unwrap().pause(s.id, &op()).await.unwrap();
    let image = Uuid::new_v4();
    let result = lab.driver.as_snapshot().unwrap().snapshot(&s, image, &op()).await.unwrap();
    assert_eq!((result.format, result.size), (DiskFormat::Raw, 1 << 30));
    assert_eq!(lab.driver.get(s.id).await.unwrap().power, PowerState::Paused);

    lab.driver.destroy(s.id, DestroyMode::KeepDisks, &op()).await.unwrap();
    assert!(lab.driver.list().await.unwrap().is_empty());
    lab.driver.spawn(&s, &op()).await.unwrap();
    lab.wait_log(s.id, "boots=2", 1).await;
    serial(&lab, s.id).await;
    // A hard reboot works in any state.
    lab.driver.as_suspend().unwrap().suspend(s.id, &op()).await.unwrap();
    assert_eq!(lab.driver.reboot(&s, RebootKind::Hard, &op()).await.unwrap().power, PowerState::Running);
    lab.wait_log(s.id, "boots=3", 1).await;
    lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap();
}
