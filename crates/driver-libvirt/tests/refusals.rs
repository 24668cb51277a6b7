//! What goes wrong leaves nothing: on a real daemon, without booting a guest.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lab;

use driver_api::*;
use lab::*;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use uuid::Uuid;

async fn nothing_of(lab: &Lab, id: Uuid) {
    assert_eq!(lab.driver.get(id).await.unwrap_err().kind, ErrorKind::NotFound);
    assert!(lab.driver.list().await.unwrap().is_empty());
    assert!(!lab.instance_dir(id).exists());
    let left: Vec<PathBuf> = std::fs::read_dir(lab.dir.path().join("instances/_base"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "part"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn qemu_img(args: &[&str]) {
    assert!(Command::new("qemu-img").args(args).status().unwrap().success());
}

#[tokio::test]
async fn a_failed_spawn_leaves_nothing() {
    let lab = lab("refuse", options()).await;
    let file = |name: &str| lab.dir.path().join(name).to_str().unwrap().to_owned();
    let good = guest_file("disk.qcow2");
    qemu_img(&["create", "-q", "-f", "qcow2", &file("big"), "5G"]);
    qemu_img(&["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", good.to_str().unwrap(), &file("layer")]);
    qemu_img(&["create", "-q", "-f", "qcow2", "-o", &format!("data_file={}", file("data")), &file("outside"), "1M"]);
    std::fs::write(file("noise"), vec![7u8; 70_000]).unwrap();

    let failing = async |s: InstanceSpec, kind: ErrorKind, text: &str| {
        let e = lab.driver.spawn(&s, &op()).await.unwrap_err();
        assert_eq!(e.kind, kind, "{e:?}");
        assert!(e.message.contains(text), "{e:?}");
        assert!(!e.message.contains('/'), "a tenant sees no path: {e:?}");
        nothing_of(&lab, s.id).await;
    };
    let image = |name: &str, format| lab.images.add(format, &PathBuf::from(file(name)));
    failing(spec(image("big", DiskFormat::Qcow2)), ErrorKind::InvalidSpec, "5368709120 bytes").await;
    failing(spec(image("layer", DiskFormat::Qcow2)), ErrorKind::InvalidSpec, "backing").await;
    failing(spec(image("outside", DiskFormat::Qcow2)), ErrorKind::InvalidSpec, "data file").await;
    failing(spec(image("noise", DiskFormat::Qcow2)), ErrorKind::InvalidSpec, "declared").await;
    // Declared raw, but a qcow2: would be safe to run, and is a lie (CVE-2024-40767).
    failing(spec(image("layer", DiskFormat::Raw)), ErrorKind::InvalidSpec, "declared").await;
    let mut unknown = spec(image("noise", DiskFormat::Raw));
    unknown.image.as_mut().unwrap().id = Uuid::new_v4();
    failing(unknown, ErrorKind::NotFound, "image").await;
    // The description is right and the start fails: the device it names is not there.
    let mut no_tap = spec(lab.images.add(DiskFormat::Qcow2, &good));
    let tap = Tap::new(no_tap.id);
    no_tap.nics = vec![nic(&tap)];
    drop(tap);
    let e = lab.driver.spawn(&no_tap, &op()).await.unwrap_err();
    assert!(e.detail.is_some(), "{e:?}");
    nothing_of(&lab, no_tap.id).await;
    // A formerly good image is cached all the same, once, and read-only; beside it lies its length.
    let cached: Vec<_> = std::fs::read_dir(lab.dir.path().join("instances/_base")).unwrap().map(|e| e.unwrap().path()).collect();
    let (lengths, images): (Vec<_>, Vec<_>) = cached.iter().partition(|p| p.extension().unwrap() == "length");
    assert_eq!((images.len(), lengths.len()), (1, 1));
    assert!(images[0].metadata().unwrap().permissions().readonly());
}

#[tokio::test]
async fn a_cancelled_spawn_ends_soon_and_leaves_nothing() {
    let lab = lab("cancel", options()).await;
    lab.images.slow.store(true, std::sync::atomic::Ordering::Relaxed);
    let s = spec(lab.images.add(DiskFormat::Qcow2, &guest_file("disk.qcow2")));
    let op = op();
    let cancel = op.cancel.clone();
    let stop = async {
        let part = lab.dir.path().join("instances/_base");
        let end = tokio::time::Instant::now() + Duration::from_secs(30);
        // Only once bytes have come.
        while std::fs::read_dir(&part).unwrap().count() == 0 {
            assert!(tokio::time::Instant::now() < end);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cancel.cancel();
    };
    let (result, ()) = tokio::join!(lab.driver.spawn(&s, &op), stop);
    assert_eq!(result.unwrap_err().kind, ErrorKind::Cancelled);
    nothing_of(&lab, s.id).await;
    // What is cancelled before it begins does not begin.
    assert_eq!(lab.driver.spawn(&s, &op).await.unwrap_err().kind, ErrorKind::Cancelled);
}

#[tokio::test]
async fn the_absent_and_foreign() {
    let lab = lab("absent", options()).await;
    let s = spec(lab.images.add(DiskFormat::Qcow2, &guest_file("disk.qcow2")));
    lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap();
    for e in [
        lab.driver.get(s.id).await.unwrap_err(),
        lab.driver.power(&s, Power::On, &op()).await.unwrap_err(),
        lab.driver.reboot(&s, RebootKind::Hard, &op()).await.unwrap_err(),
        lab.driver.as_pause().unwrap().pause(s.id, &op()).await.unwrap_err(),
        lab.driver.as_console_log().unwrap().console_log(s.id, None).await.unwrap_err(),
        lab.driver.as_diagnostics().unwrap().diagnostics(s.id).await.unwrap_err(),
        lab.driver.as_snapshot().unwrap().snapshot(&s, Uuid::new_v4(), &op()).await.unwrap_err(),
    ] {
        assert_eq!(e.kind, ErrorKind::NotFound, "{e:?}");
    }
    let nodes = lab.driver.nodes().await.unwrap();
    assert_eq!(nodes.len(), 1);
    assert!(
        nodes[0].vcpus > 0
            && nodes[0].memory_mib > 0
            && nodes[0].disk_gib > 0
            && nodes[0].hypervisor_version > 7_000_000
    );
    assert!(nodes[0].cpu_info["topology"]["cores"].as_u64().unwrap() > 0);

    // A domain that somebody else defined under the same identity is neither listed, nor taken, nor removed.
    let xml = format!(
        "<domain type='qemu'><name>foreign-{id}</name><uuid>{id}</uuid><memory unit='MiB'>64</memory>\
         <os><type arch='x86_64'>hvm</type></os></domain>",
        id = s.id
    );
    let (tx, _rx) = tokio::sync::mpsc::channel(8);
    let address = driver_libvirt::rpc::address::parse(&lab.options.uri).unwrap();
    let client = driver_libvirt::rpc::client::Client::connect(&address, tx).await.unwrap();
    let foreign = client.define(&xml).await.unwrap();
    assert!(lab.driver.list().await.unwrap().is_empty());
    assert_eq!(lab.driver.spawn(&s, &op()).await.unwrap_err().kind, ErrorKind::AlreadyExists);
    lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap();
    assert!(client.lookup(s.id).await.unwrap().is_some());
    client.undefine(&foreign).await.unwrap();
    client.close().await;
}
