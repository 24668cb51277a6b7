//! Volume descriptors and the placing of everything.

use super::directory::{Places, Target, contents, path_table, record};
use super::tree::{Tree, ucs2};
use super::{Naming, SECTOR, Stamp, Volume, both16, both32};
use std::collections::BTreeMap;

/// Primary, Joliet and the terminator come after the sixteen sectors of the system area.
const FIRST_DESCRIPTOR: u32 = 16;
const FIRST_TABLE: u32 = FIRST_DESCRIPTOR + 3;

/// Sectors that so many bytes take.
fn sectors(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(SECTOR)).unwrap_or(u32::MAX)
}

/// One hierarchy as it is written.
struct Hierarchy {
    little: Vec<u8>,
    big: Vec<u8>,
    table_sector: u32,
    directories: Vec<Vec<u8>>,
    places: Places,
}

/// Sizes of a hierarchy's directories do not depend on where they lie, so a first pass with zeros finds them.
fn sizes(tree: &Tree<'_>, naming: Naming) -> Vec<u32> {
    let places = Places { directories: vec![0; tree.directories.len()], files: vec![0; tree.files.len()] };
    let zero = vec![0; tree.directories.len()];
    let size = |n| contents(tree, n, naming, &places, &zero, [0; 7]).len();
    (0..tree.directories.len()).map(|n| u32::try_from(size(n)).unwrap_or(u32::MAX)).collect()
}

/// Places the directories from `at` on; returns the sector behind them.
fn place_directories(sizes: &[u32], mut at: u32) -> (Vec<u32>, u32) {
    let mut out = Vec::new();
    for size in sizes {
        out.push(at);
        at += sectors(*size as usize);
    }
    (out, at)
}

/// Places the files from `at` on. Equal bytes are stored once: most versions of a document are the same.
fn place_files(tree: &Tree<'_>, mut at: u32) -> (Vec<u32>, u32) {
    let mut seen: BTreeMap<&[u8], u32> = BTreeMap::new();
    let mut out = Vec::new();
    for file in &tree.files {
        out.push(*seen.entry(file.contents).or_insert_with(|| {
            let here = at;
            at += sectors(file.contents.len());
            here
        }));
    }
    (out, at)
}

fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A text field of `length` bytes, filled up with spaces.
fn text(naming: Naming, text: &str, length: usize) -> Vec<u8> {
    match naming {
        Naming::RockRidge => {
            let mut out: Vec<u8> = text.bytes().filter(u8::is_ascii).take(length).collect();
            out.resize(length, b' ');
            out
        }
        Naming::Joliet => {
            let mut out = ucs2(text);
            out.truncate(length - length % 2);
            while out.len() + 1 < length {
                out.extend([0, b' ']);
            }
            out.resize(length, 0);
            out
        }
    }
}

fn descriptor(volume: &Volume, naming: Naming, hierarchy: &Hierarchy, total: u32) -> Vec<u8> {
    let stamp = Stamp::of(volume.created);
    let mut out = vec![0; SECTOR];
    put(&mut out, 0, &[if naming == Naming::Joliet { 2 } else { 1 }]);
    put(&mut out, 1, b"CD001\x01");
    put(&mut out, 8, &text(naming, "LINUX", 32));
    put(&mut out, 40, &text(naming, &volume.label, 32));
    put(&mut out, 80, &both32(total));
    if naming == Naming::Joliet {
        put(&mut out, 88, b"%/E");
    }
    put(&mut out, 120, &both16(1));
    put(&mut out, 124, &both16(1));
    put(&mut out, 128, &both16(2048));
    put(&mut out, 132, &both32(u32::try_from(hierarchy.little.len()).unwrap_or(u32::MAX)));
    put(&mut out, 140, &hierarchy.table_sector.to_le_bytes());
    put(&mut out, 148, &(hierarchy.table_sector + sectors(hierarchy.little.len())).to_be_bytes());
    let size = u32::try_from(hierarchy.directories[0].len()).unwrap_or(u32::MAX);
    let root = Target { sector: hierarchy.places.directories[0], size, is_directory: true };
    put(&mut out, 156, &record(&[0], &root, stamp.short(), &[]));
    for (at, length, content) in [
        (190, 128, ""),
        (318, 128, volume.publisher.as_str()),
        (446, 128, ""),
        (574, 128, ""),
        (702, 37, ""),
        (739, 37, ""),
        (776, 37, ""),
    ] {
        put(&mut out, at, &text(naming, content, length));
    }
    put(&mut out, 813, &stamp.long());
    put(&mut out, 830, &stamp.long());
    put(&mut out, 847, b"0000000000000000\0");
    put(&mut out, 864, &stamp.long());
    put(&mut out, 881, &[1]);
    out
}

/// Writes `bytes` at a sector, growing the image.
fn place(image: &mut Vec<u8>, sector: u32, bytes: &[u8]) {
    let start = sector as usize * SECTOR;
    let end = start + bytes.len().next_multiple_of(SECTOR);
    if image.len() < end {
        image.resize(end, 0);
    }
    put(image, start, bytes);
}

/// The whole image.
pub(super) fn write(volume: &Volume, tree: &Tree<'_>) -> Vec<u8> {
    let date = Stamp::of(volume.created).short();
    let namings = [Naming::RockRidge, Naming::Joliet];
    let all_sizes = namings.map(|naming| sizes(tree, naming));
    // Tables have the size of their identifiers alone; four of them, then both sets of directories, then files.
    let nowhere = || Places { directories: vec![0; tree.directories.len()], files: Vec::new() };
    let table_sectors = namings.map(|naming| sectors(path_table(tree, naming, &nowhere(), false).len()));
    let tables = [FIRST_TABLE, FIRST_TABLE + 2 * table_sectors[0]];
    let (rock, after_rock) = place_directories(&all_sizes[0], tables[1] + 2 * table_sectors[1]);
    let (joliet, after_joliet) = place_directories(&all_sizes[1], after_rock);
    let (files, total) = place_files(tree, after_joliet);

    let mut image = Vec::new();
    for (n, directories) in [rock, joliet].into_iter().enumerate() {
        let naming = namings[n];
        let places = Places { directories, files: files.clone() };
        let content = |d| contents(tree, d, naming, &places, &all_sizes[n], date);
        let hierarchy = Hierarchy {
            little: path_table(tree, naming, &places, false),
            big: path_table(tree, naming, &places, true),
            table_sector: tables[n],
            directories: (0..tree.directories.len()).map(content).collect(),
            places,
        };
        let number = u32::try_from(n).unwrap_or(0);
        place(&mut image, FIRST_DESCRIPTOR + number, &descriptor(volume, naming, &hierarchy, total));
        place(&mut image, hierarchy.table_sector, &hierarchy.little);
        place(&mut image, hierarchy.table_sector + table_sectors[n], &hierarchy.big);
        for (sector, bytes) in hierarchy.places.directories.iter().zip(&hierarchy.directories) {
            place(&mut image, *sector, bytes);
        }
    }
    place(&mut image, FIRST_DESCRIPTOR + 2, b"\xffCD001\x01");
    for (sector, file) in files.iter().zip(&tree.files) {
        place(&mut image, *sector, file.contents);
    }
    image.resize(total as usize * SECTOR, 0);
    image
}
