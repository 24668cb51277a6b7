//! The images against two independent readers: `isoinfo` (package genisoimage) and `bsdtar` (libarchive-tools).
#![allow(clippy::unwrap_used)]

use super::{FileEntry, Volume, write_iso};
use driver_api::Timestamp;
use std::process::Command;

fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
    let out = Command::new(program).args(arguments).output().expect("the reader is installed");
    assert!(out.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn entry(path: &str, contents: &[u8]) -> FileEntry {
    FileEntry { path: path.to_owned(), contents: contents.to_vec() }
}

fn image(files: &[FileEntry]) -> (tempfile::TempDir, String) {
    let volume = Volume {
        label: "config-2".to_owned(),
        publisher: "Kilonova test".to_owned(),
        created: Timestamp(1_753_000_000_000_000),
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("drive.iso");
    std::fs::write(&path, write_iso(&volume, files)).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (dir, path)
}

fn sample() -> Vec<FileEntry> {
    let mut files = vec![
        entry("openstack/latest/meta_data.json", b"{\"a\": 1}"),
        entry("openstack/latest/vendor_data.json", b"{}"),
        entry("openstack/latest/vendor_data2.json", b"{\"static\": {}}"),
        entry("openstack/latest/user_data", &[7; 5000]),
        entry("openstack/2012-08-10/meta_data.json", b"{\"a\": 1}"),
        entry("ec2/latest/meta-data.json", b"ec2"),
        entry("openstack/content/0000", b""),
    ];
    // Enough names for a directory of several sectors, alike in their first letters.
    files.extend((0..90).map(|n| entry(&format!("many/a rather long name with spaces {n:03}.text"), &[n; 3])));
    files
}

#[test]
fn both_readers_find_every_file_with_its_bytes() {
    let files = sample();
    let (dir, iso) = image(&files);
    for file in &files {
        let rock = run("isoinfo", &["-R", "-i", &iso, "-x", &format!("/{}", file.path)]);
        assert_eq!(rock, file.contents, "Rock Ridge {}", file.path);
        let joliet = run("isoinfo", &["-J", "-i", &iso, "-x", &format!("/{}", file.path)]);
        assert_eq!(joliet, file.contents, "Joliet {}", file.path);
    }
    for options in ["!rockridge", "!joliet"] {
        let out = dir.path().join(options.trim_start_matches('!'));
        std::fs::create_dir(&out).unwrap();
        let options = format!("iso9660:{options}");
        run("bsdtar", &["--options", &options, "-xf", &iso, "-C", out.to_str().unwrap()]);
        for file in &files {
            assert_eq!(std::fs::read(out.join(&file.path)).unwrap(), file.contents, "{options} {}", file.path);
        }
    }
}

#[test]
fn the_volume_says_what_it_is() {
    let (_dir, iso) = image(&sample());
    let text = String::from_utf8_lossy(&run("isoinfo", &["-d", "-i", &iso])).into_owned();
    for line in ["Volume id: config-2", "Joliet with UCS level 3 found", "Rock Ridge signatures version 1 found"] {
        assert!(text.contains(line), "no {line:?} in {text}");
    }
    let size = std::fs::metadata(&iso).unwrap().len();
    assert!(text.contains(&format!("Volume size is: {}", size / 2048)), "{text}");
}

#[test]
fn a_reader_of_neither_extension_finds_level_2_names() {
    let (_dir, iso) = image(&sample());
    let list = String::from_utf8_lossy(&run("isoinfo", &["-f", "-i", &iso])).into_owned();
    for name in ["/OPENSTACK/LATEST/META_DATA.JSON;1", "/OPENSTACK/2012_08_10", "/OPENSTACK/LATEST/USER_DATA.;1"] {
        assert!(list.lines().any(|l| l == name), "no {name} in {list}");
    }
    let many: std::collections::BTreeSet<&str> = list.lines().filter(|l| l.starts_with("/MANY/")).collect();
    assert_eq!(many.len(), 90, "{list}");
}

#[test]
fn equal_bytes_are_stored_once_and_the_image_is_a_function_of_its_input() {
    let body = vec![9_u8; 100_000];
    let one = write_iso_of(&[entry("a/x", &body)]);
    let two = write_iso_of(&[entry("a/x", &body), entry("a/y", &body)]);
    assert_eq!(one.len(), two.len());
    assert_eq!(two, write_iso_of(&[entry("a/x", &body), entry("a/y", &body)]));
}

fn write_iso_of(files: &[FileEntry]) -> Vec<u8> {
    let volume = Volume { label: "l".to_owned(), publisher: String::new(), created: Timestamp(0) };
    write_iso(&volume, files)
}
