//! Images that QEMU itself makes: the harmless ones are taken with the size QEMU says, the others are refused.
#![allow(clippy::unwrap_used)]

use driver_api::DiskFormat;
use imagefmt::{Limits, Refusal, inspect};
use std::path::Path;
use std::process::Command;

const SIZE: u64 = 64 << 20;

fn qemu_img(dir: &Path, arguments: &[&str]) {
    let done = Command::new("qemu-img")
        .args(arguments)
        .current_dir(dir)
        .output()
        .expect("qemu-img runs: install the package qemu-utils");
    assert!(done.status.success(), "qemu-img {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn look(dir: &Path, name: &str, declared: DiskFormat) -> Result<u64, Refusal> {
    let bytes = std::fs::read(dir.join(name)).unwrap();
    inspect(declared, &bytes, Limits::default()).map(|i| {
        assert_eq!(i.size, bytes.len() as u64);
        i.virtual_size
    })
}

#[test]
fn what_qemu_makes_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let content: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::fs::write(dir.join("source"), &content).unwrap();
    qemu_img(dir, &["resize", "-f", "raw", "source", "64M"]);
    let cases: &[(&str, DiskFormat, &[&str])] = &[
        ("qcow2", DiskFormat::Qcow2, &[]),
        ("qcow2", DiskFormat::Qcow2, &["-o", "compat=0.10"]),
        ("qcow2", DiskFormat::Qcow2, &["-c"]),
        ("qcow2", DiskFormat::Qcow2, &["-c", "-o", "compression_type=zstd"]),
        ("qcow2", DiskFormat::Qcow2, &["-o", "cluster_size=512"]),
        ("qcow2", DiskFormat::Qcow2, &["-o", "cluster_size=2M"]),
        ("qcow2", DiskFormat::Qcow2, &["-o", "extended_l2=on"]),
        ("qcow2", DiskFormat::Qcow2, &["-o", "lazy_refcounts=on,refcount_bits=1"]),
        ("vmdk", DiskFormat::Vmdk, &[]),
        ("vmdk", DiskFormat::Vmdk, &["-o", "subformat=streamOptimized"]),
        ("vdi", DiskFormat::Vdi, &[]),
        ("vdi", DiskFormat::Vdi, &["-o", "static=on"]),
        ("vhdx", DiskFormat::Vhdx, &[]),
        ("vpc", DiskFormat::Vhd, &["-o", "force_size=on"]),
        ("vpc", DiskFormat::Vhd, &["-o", "subformat=fixed,force_size=on"]),
        ("parallels", DiskFormat::Ploop, &[]),
        ("raw", DiskFormat::Raw, &[]),
    ];
    for (format, declared, options) in cases {
        let arguments: Vec<&str> =
            ["convert", "-f", "raw", "-O", format].iter().chain(*options).chain(&["source", "out"]).copied().collect();
        qemu_img(dir, &arguments);
        assert_eq!(look(dir, "out", *declared), Ok(SIZE), "{format} {options:?}");
        if *format != "raw" && !options.iter().any(|o| o.contains("fixed")) {
            assert!(matches!(look(dir, "out", DiskFormat::Raw), Err(Refusal::Mismatch { .. })), "{format} as raw");
        }
        // Cut anywhere in the head it is refused or, behind its tables, found to be what it is: never a panic.
        let bytes = std::fs::read(dir.join("out")).unwrap();
        for cut in [0, 1, 511, 512, 1023, 65_535, 200_000] {
            let _ = inspect(*declared, &bytes[..cut.min(bytes.len())], Limits::default());
        }
        for at in 0..1024.min(bytes.len()) {
            let mut changed = bytes[..bytes.len().min(400 << 10)].to_vec();
            changed[at] ^= 0xff;
            let _ = inspect(*declared, &changed, Limits::default());
        }
    }
    for format in ["qcow2", "vmdk", "vdi", "vhdx"] {
        let declared = DiskFormat::parse(format).unwrap();
        qemu_img(dir, &["create", "-f", format, "empty", "64M"]);
        assert_eq!(look(dir, "empty", declared), Ok(SIZE), "an empty {format}");
    }
}

#[test]
fn what_refers_to_other_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    qemu_img(dir, &["create", "-f", "qcow2", "base", "64M"]);
    qemu_img(dir, &["create", "-f", "qcow2", "-b", "base", "-F", "qcow2", "overlay"]);
    assert_eq!(look(dir, "overlay", DiskFormat::Qcow2), Err(Refusal::Reference("a backing file")));
    qemu_img(dir, &["create", "-f", "qcow2", "-o", "data_file=outside", "external", "64M"]);
    assert_eq!(look(dir, "external", DiskFormat::Qcow2), Err(Refusal::Reference("an external data file")));
    qemu_img(dir, &["create", "-f", "vmdk", "vbase", "64M"]);
    qemu_img(dir, &["create", "-f", "vmdk", "-b", "vbase", "-F", "vmdk", "voverlay"]);
    assert_eq!(look(dir, "voverlay", DiskFormat::Vmdk), Err(Refusal::Reference("a parent disk")));
    qemu_img(dir, &["create", "-f", "vmdk", "-o", "subformat=monolithicFlat", "flat.vmdk", "64M"]);
    assert!(look(dir, "flat.vmdk", DiskFormat::Vmdk).is_err());
    assert!(look(dir, "flat.vmdk", DiskFormat::Raw).is_err());
    // The header's method is written by hand: QEMU 7.2 cannot make LUKS where a CPU's time is counted coarsely.
    qemu_img(dir, &["create", "-f", "qcow2", "luks", "8M"]);
    let mut bytes = std::fs::read(dir.join("luks")).unwrap();
    bytes[32..36].copy_from_slice(&2_u32.to_be_bytes());
    std::fs::write(dir.join("luks"), bytes).unwrap();
    assert!(matches!(look(dir, "luks", DiskFormat::Qcow2), Err(Refusal::Encrypted(_))));
    qemu_img(dir, &["create", "-f", "qcow2", "huge", "2000T"]);
    assert!(matches!(look(dir, "huge", DiskFormat::Qcow2), Err(Refusal::TooLarge { .. })));
}
