//! Hand-made headers: what must be refused, and that no byte can make the reader panic.
#![allow(clippy::unwrap_used)]

use driver_api::DiskFormat;
use imagefmt::{Inspector, Limits, Refusal, inspect};
use proptest::prelude::*;

const ALL: [DiskFormat; 11] = [
    DiskFormat::Raw,
    DiskFormat::Qcow2,
    DiskFormat::Aki,
    DiskFormat::Ari,
    DiskFormat::Ami,
    DiskFormat::Iso,
    DiskFormat::Vmdk,
    DiskFormat::Vhd,
    DiskFormat::Vhdx,
    DiskFormat::Vdi,
    DiskFormat::Ploop,
];

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// A version 3 qcow2 of 1 GiB with 64 KiB clusters.
fn qcow2() -> Vec<u8> {
    let mut b = vec![0; 4 * 65536];
    put(&mut b, 0, b"QFI\xfb");
    put(&mut b, 4, &3_u32.to_be_bytes());
    put(&mut b, 20, &16_u32.to_be_bytes());
    put(&mut b, 24, &(1_u64 << 30).to_be_bytes());
    put(&mut b, 36, &2_u32.to_be_bytes());
    put(&mut b, 40, &(3 * 65536_u64).to_be_bytes());
    put(&mut b, 48, &65536_u64.to_be_bytes());
    put(&mut b, 56, &1_u32.to_be_bytes());
    put(&mut b, 96, &4_u32.to_be_bytes());
    put(&mut b, 100, &104_u32.to_be_bytes());
    b
}

fn vmdk(descriptor: &str) -> Vec<u8> {
    let mut b = vec![0; 65536];
    put(&mut b, 0, b"KDMV");
    put(&mut b, 4, &1_u32.to_le_bytes());
    put(&mut b, 12, &2048_u64.to_le_bytes());
    put(&mut b, 20, &128_u64.to_le_bytes());
    put(&mut b, 28, &1_u64.to_le_bytes());
    put(&mut b, 36, &20_u64.to_le_bytes());
    put(&mut b, 44, &512_u32.to_le_bytes());
    put(&mut b, 56, &26_u64.to_le_bytes());
    put(&mut b, 512, descriptor.as_bytes());
    b
}

const DESCRIPTOR: &str = "# Disk DescriptorFile\nversion=1\nCID=ab12\nparentCID=ffffffff\n\
     createType=\"monolithicSparse\"\n\n# Extent description\nRW 2048 SPARSE \"disk.vmdk\"\n\nddb.virtualHWVersion = \"4\"\n";

fn look(declared: DiskFormat, bytes: &[u8]) -> Result<u64, Refusal> {
    inspect(declared, bytes, Limits::default()).map(|i| i.virtual_size)
}

/// The corpus of refused qcow2 headers: where, what, and a word of the reason.
#[test]
fn qcow2_is_refused_for_every_known_trick() {
    assert_eq!(look(DiskFormat::Qcow2, &qcow2()), Ok(1 << 30));
    let cases: &[(&str, usize, &[u8], &str)] = &[
        ("backing file", 8, &104_u64.to_be_bytes(), "backing file"),
        ("version", 4, &4_u32.to_be_bytes(), "version 4"),
        ("version 1", 4, &1_u32.to_be_bytes(), "version 1"),
        ("data file", 72, &4_u64.to_be_bytes(), "data file"),
        ("unknown feature", 72, &(1_u64 << 40).to_be_bytes(), "incompatible"),
        ("corrupt", 72, &2_u64.to_be_bytes(), "corrupt"),
        ("AES", 32, &1_u32.to_be_bytes(), "encrypted"),
        ("LUKS", 32, &2_u32.to_be_bytes(), "encrypted"),
        ("clusters", 20, &30_u32.to_be_bytes(), "cluster_bits"),
        ("64 EiB", 24, &u64::MAX.to_be_bytes(), "more than"),
        ("2 PiB", 24, &(1_u64 << 51).to_be_bytes(), "more than"),
        ("small L1", 36, &1_u32.to_be_bytes(), "L1 table is too small"),
        ("large L1", 36, &u32::MAX.to_be_bytes(), "L1 table is too large"),
        ("odd L1", 40, &7_u64.to_be_bytes(), "L1 table begins"),
        ("L1 beyond the end", 40, &(1_u64 << 40).to_be_bytes(), "L1 table is missing"),
        ("refcounts", 56, &u32::MAX.to_be_bytes(), "refcount table"),
        ("snapshots", 60, &u32::MAX.to_be_bytes(), "snapshot table"),
        ("refcount order", 96, &7_u32.to_be_bytes(), "refcount_order"),
        ("short header", 100, &8_u32.to_be_bytes(), "header_length"),
        ("long header", 100, &0xffff_fff8_u32.to_be_bytes(), "header_length"),
        ("data file's name", 104, b"DATA\0\0\0\x04/etc", "data file"),
        ("backing format", 104, b"\xe2\x79\x2a\xca\0\0\0\x03raw\0", "backing"),
        ("encryption header", 104, b"\x05\x37\xbe\x77\0\0\0\0", "encrypted"),
        ("endless extension", 104, b"\x01\x02\x03\x04\xff\xff\xff\xff", "extension"),
    ];
    for (name, at, value, reason) in cases {
        let mut bytes = qcow2();
        put(&mut bytes, *at, value);
        let refusal = look(DiskFormat::Qcow2, &bytes).expect_err(name).to_string();
        assert!(refusal.contains(reason), "{name}: {refusal}");
    }
}

#[test]
fn qcow2_with_harmless_features_is_taken() {
    for bit in [1_u64, 16] {
        let mut bytes = qcow2();
        put(&mut bytes, 72, &bit.to_be_bytes());
        put(&mut bytes, 36, &4_u32.to_be_bytes());
        assert_eq!(look(DiskFormat::Qcow2, &bytes), Ok(1 << 30), "bit {bit}");
    }
    let mut zstd = qcow2();
    put(&mut zstd, 72, &8_u64.to_be_bytes());
    put(&mut zstd, 100, &112_u32.to_be_bytes());
    put(&mut zstd, 104, &[1]);
    assert_eq!(look(DiskFormat::Qcow2, &zstd), Ok(1 << 30));
    zstd[104] = 9;
    assert!(look(DiskFormat::Qcow2, &zstd).is_err());
}

#[test]
fn a_size_limit_of_the_operator_holds_for_every_kind() {
    let limits = Limits { max_virtual_size: 1 << 20 };
    assert!(matches!(inspect(DiskFormat::Qcow2, &qcow2(), limits), Err(Refusal::TooLarge { .. })));
    let mut raw = Inspector::with_limits(DiskFormat::Raw, limits);
    let refused = (0..3).find_map(|_| raw.feed(&[7; 512 << 10]).err());
    assert!(matches!(refused, Some(Refusal::TooLarge { .. })), "a raw disk is refused while it comes");
}

/// CVE-2024-40767: declared raw, really something that QEMU would follow.
#[test]
fn foreign_signatures_are_refused_under_every_flat_name() {
    let mut vdi = vec![0; 1024];
    put(&mut vdi, 0x40, &0xbeda_107f_u32.to_le_bytes());
    let foreign: Vec<Vec<u8>> = vec![
        qcow2(),
        vmdk(DESCRIPTOR),
        DESCRIPTOR.into(),
        b"QED\0 and more".to_vec(),
        b"conectix and more".to_vec(),
        b"vhdxfile and more".to_vec(),
        b"COWD and more".to_vec(),
        b"WithoutFreeSpace".to_vec(),
        vdi,
    ];
    for bytes in &foreign {
        for declared in [DiskFormat::Raw, DiskFormat::Aki, DiskFormat::Ari, DiskFormat::Ami, DiskFormat::Iso] {
            assert!(matches!(look(declared, bytes), Err(Refusal::Mismatch { .. })), "{declared:?} {:?}", &bytes[..8]);
        }
    }
    for harmless in [&b""[..], b"#!/bin/sh\n", b"MZ a kernel", b"LUKS\xba\xbe", &[0; 4096]] {
        assert_eq!(look(DiskFormat::Raw, harmless), Ok(harmless.len() as u64));
    }
}

/// A polyglot: an ISO whose free boot area holds another format's header.
#[test]
fn an_iso_may_not_be_two_things() {
    let mut iso = vec![0; 64 << 10];
    put(&mut iso, 0x8000, b"\x01CD001\x01");
    assert_eq!(look(DiskFormat::Iso, &iso), Ok(64 << 10));
    put(&mut iso, 0, b"QFI\xfb");
    assert!(look(DiskFormat::Iso, &iso).is_err());
    assert!(look(DiskFormat::Iso, &[0; 64 << 10]).is_err());
    assert!(look(DiskFormat::Iso, b"short").is_err());
}

/// CVE-2022-47951 and its relatives.
#[test]
fn vmdk_descriptors_are_understood_wholly() {
    assert_eq!(look(DiskFormat::Vmdk, &vmdk(DESCRIPTOR)), Ok(2048 * 512));
    let cases = [
        ("monolithicSparse", "monolithicFlat"),
        ("monolithicSparse", "custom"),
        ("RW 2048 SPARSE \"disk.vmdk\"", "RW 2048 FLAT \"flat.img\" 0"),
        ("RW 2048 SPARSE \"disk.vmdk\"", "RW 2048 SPARSE \"/etc/shadow\""),
        ("RW 2048 SPARSE \"disk.vmdk\"", "RW 2048 SPARSE \"..\\x\""),
        ("RW 2048 SPARSE \"disk.vmdk\"", ""),
        ("RW 2048 SPARSE \"disk.vmdk\"", "RW 1 SPARSE \"a\"\nRW 1 SPARSE \"b\""),
        ("parentCID=ffffffff", "parentCID=12345678"),
        ("CID=ab12", "parentFileNameHint=\"/etc/shadow\""),
        ("# Extent description", "# parentFileNameHint=\"/etc/shadow\""),
        ("# Extent description", "a line of prose"),
        ("version=1", "createType=\"streamOptimized\""),
        ("createType", "nothing"),
    ];
    for (from, to) in cases {
        let descriptor = DESCRIPTOR.replace(from, to);
        assert!(look(DiskFormat::Vmdk, &vmdk(&descriptor)).is_err(), "{to}");
    }
    assert!(look(DiskFormat::Vmdk, DESCRIPTOR.as_bytes()).is_err(), "a bare descriptor names other files");
    let mut short = vmdk(DESCRIPTOR);
    short.truncate(3000);
    assert!(matches!(look(DiskFormat::Vmdk, &short), Err(Refusal::Truncated(_))));
}

#[test]
fn a_vhd_with_a_parent_is_refused() {
    let mut footer = vec![0; 512];
    put(&mut footer, 0, b"conectix");
    put(&mut footer, 12, &0x0001_0000_u32.to_be_bytes());
    put(&mut footer, 48, &4096_u64.to_be_bytes());
    let seal = |footer: &mut Vec<u8>, kind: u32| {
        put(footer, 60, &kind.to_be_bytes());
        put(footer, 64, &[0; 4]);
        let sum: u32 = footer.iter().map(|b| u32::from(*b)).sum();
        put(footer, 64, &(!sum).to_be_bytes());
    };
    seal(&mut footer, 2);
    let fixed = [vec![1; 4096], footer.clone()].concat();
    assert_eq!(look(DiskFormat::Vhd, &fixed), Ok(4096));
    assert!(look(DiskFormat::Vhd, &fixed[512..]).is_err(), "a piece of the disk is missing");
    assert!(look(DiskFormat::Vhd, &fixed[..4096]).is_err(), "the footer is missing");
    seal(&mut footer, 4);
    assert!(matches!(look(DiskFormat::Vhd, &[vec![1; 4096], footer].concat()), Err(Refusal::Reference(_))));
}

fn seed() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(qcow2()),
        Just(vmdk(DESCRIPTOR)),
        Just({
            let mut b = vec![0; 400 << 10];
            put(&mut b, 0, b"vhdxfile");
            put(&mut b, 192 << 10, b"regi");
            put(&mut b, (192 << 10) + 8, &3_u32.to_le_bytes());
            b
        }),
        Just({
            let mut b = vec![0; 2048];
            put(&mut b, 0x40, &0xbeda_107f_u32.to_le_bytes());
            b
        }),
        Just([b"conectix".to_vec(), vec![0; 2040]].concat()),
        Just([b"WithouFreSpacExt".to_vec(), vec![0; 200]].concat()),
        prop::collection::vec(any::<u8>(), 0..5000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the bytes and however they are cut, the answer is the same and nothing panics.
    #[test]
    fn pieces_do_not_matter(
        mut bytes in seed(),
        changes in prop::collection::vec((0_usize..1400, any::<u8>()), 0..12),
        cut in 1_usize..70_000,
        cuts in prop::collection::vec(1_usize..3000, 1..6),
    ) {
        for (at, value) in changes {
            if let Some(b) = bytes.get_mut(at) {
                *b = value;
            }
        }
        for declared in ALL {
            let whole = inspect(declared, &bytes, Limits::default());
            let mut pieces = Inspector::new(declared);
            let mut rest = &bytes[..];
            let mut sizes = cuts.iter().copied().chain(std::iter::repeat(cut));
            let mut early = None;
            while let Some(n) = sizes.next().filter(|_| !rest.is_empty()) {
                let (piece, more) = rest.split_at(n.min(rest.len()));
                rest = more;
                if let Err(refusal) = pieces.feed(piece) {
                    early = Some(refusal);
                    break;
                }
            }
            let in_pieces = early.map_or_else(|| pieces.finish(), Err);
            prop_assert_eq!(whole, in_pieces);
        }
    }
}
