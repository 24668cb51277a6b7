//! What a guest's making costs outside of us is told by name.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lab;

use driver_api::*;
use lab::*;

#[tokio::test]
async fn the_making_of_a_guest_tells_its_calls() {
    let lab = lab("external", options()).await;
    let file = lab.dir.path().join("empty.raw");
    std::fs::write(&file, vec![0; 1 << 20]).unwrap();
    let mut s = spec(lab.images.add(DiskFormat::Raw, &file));
    (s.memory_mib, s.config_drive, s.swap_mib, s.ephemeral_gib) = (64, true, 1, 1);
    let op = op();
    let began = std::time::Instant::now();
    let (made, time) = metered(op.id, lab.driver.spawn(&s, &op)).await;
    let wall = began.elapsed();
    made.unwrap();
    let calls = |name: &str| time.by_name.get(name).map_or(0, |(calls, _)| *calls);
    for (name, expected) in [
        ("libvirt.define", 1),
        ("libvirt.create", 1),
        ("qemu-img", 1),
        ("mkfs.ext4", 1),
        ("mkswap", 1),
    ] {
        assert_eq!(calls(name), expected, "{name}: {}", time.parts());
    }
    // The record, the config drive, what they stand for, and the names of them.
    assert!(calls("file.sync") >= 2, "{}", time.parts());
    assert!(time.total <= wall, "{:?} of {wall:?}: {}", time.total, time.parts());
    assert_eq!(calls("libvirt"), 0, "a procedure without a name: {}", time.parts());
    let ((), time) =
        metered(op.id, async { lab.driver.destroy(s.id, DestroyMode::Everything, &op).await.unwrap() }).await;
    assert!(
        time.by_name.contains_key("libvirt.destroy") && time.by_name.contains_key("libvirt.undefine"),
        "{}",
        time.parts()
    );
}
