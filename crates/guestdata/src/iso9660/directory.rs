//! Directory records and path tables.

use super::tree::{Tree, identifier};
use super::{Naming, SECTOR, both16, both32};
use std::collections::BTreeSet;

/// Where things lie, in sectors.
pub(super) struct Places {
    /// First sector of each directory.
    pub directories: Vec<u32>,
    /// First sector of each file.
    pub files: Vec<u32>,
}

/// What a record points to.
pub(super) struct Target {
    pub sector: u32,
    pub size: u32,
    pub is_directory: bool,
}

/// A directory record; `system_use` is empty but for Rock Ridge.
pub(super) fn record(identifier: &[u8], target: &Target, date: [u8; 7], system_use: &[u8]) -> Vec<u8> {
    let padding = usize::from(identifier.len().is_multiple_of(2));
    let length = 33 + identifier.len() + padding + system_use.len();
    let length = length + length % 2;
    let mut out = Vec::with_capacity(length);
    out.push(u8::try_from(length).unwrap_or(u8::MAX));
    out.push(0);
    out.extend(both32(target.sector));
    out.extend(both32(target.size));
    out.extend(date);
    out.push(if target.is_directory { 2 } else { 0 });
    out.extend([0, 0]);
    out.extend(both16(1));
    out.push(u8::try_from(identifier.len()).unwrap_or(u8::MAX));
    out.extend(identifier);
    out.resize(33 + identifier.len() + padding, 0);
    out.extend(system_use);
    out.resize(length, 0);
    out
}

/// Rock Ridge entries of a record: which are there, the POSIX attributes, the name.
/// All files belong to root and may be read by all, as `genisoimage -r` makes them.
fn rock_ridge(name: Option<&str>, is_directory: bool, links: u32) -> Vec<u8> {
    let mut out = vec![b'R', b'R', 5, 1, if name.is_some() { 0x09 } else { 0x01 }];
    out.extend([b'P', b'X', 36, 1]);
    out.extend(both32(if is_directory { 0o040_555 } else { 0o100_444 }));
    out.extend(both32(links));
    out.extend(both32(0));
    out.extend(both32(0));
    if let Some(name) = name {
        // What is left of a record's 255 bytes for the name.
        let end = (0..=name.len().min(120)).rev().find(|n| name.is_char_boundary(*n)).unwrap_or(0);
        let name = &name.as_bytes()[..end];
        out.extend([b'N', b'M', u8::try_from(5 + name.len()).unwrap_or(u8::MAX), 1, 0]);
        out.extend(name);
    }
    out
}

/// The marks by which a reader recognises Rock Ridge, in the first record of the root.
fn rock_ridge_root() -> Vec<u8> {
    let mut out = vec![b'S', b'P', 7, 1, 0xbe, 0xef, 0];
    out.extend([b'E', b'R', 18, 1, 10, 0, 0, 1]);
    out.extend(b"RRIP_1991A");
    out
}

/// The records of a directory, none across a sector's end; `sizes` are those of all directories.
pub(super) fn contents(
    tree: &Tree<'_>,
    number: usize,
    naming: Naming,
    places: &Places,
    sizes: &[u32],
    date: [u8; 7],
) -> Vec<u8> {
    let rr = naming == Naming::RockRidge;
    let directory = &tree.directories[number];
    let links = |n: usize| 2 + u32::try_from(tree.directories[n].directories.len()).unwrap_or(0);
    let target = |n: usize| Target { sector: places.directories[n], size: sizes[n], is_directory: true };
    let dots = |n: usize, name: Option<&str>| {
        if rr { rock_ridge(name, true, links(n)) } else { Vec::new() }
    };

    let mut own = if rr && number == 0 { rock_ridge_root() } else { Vec::new() };
    own.extend(dots(number, None));
    let mut out = record(&[0], &target(number), date, &own);
    out.extend(record(&[1], &target(directory.parent), date, &dots(directory.parent, None)));

    let mut taken = BTreeSet::new();
    let mut records: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for &n in &directory.directories {
        let name = &tree.directories[n].name;
        let id = identifier(naming, name, false, &mut taken);
        let bytes = record(&id, &target(n), date, &dots(n, Some(name)));
        records.push((id, bytes));
    }
    for &n in &directory.files {
        let file = &tree.files[n];
        let id = identifier(naming, &file.name, true, &mut taken);
        let size = u32::try_from(file.contents.len()).unwrap_or(u32::MAX);
        let target = Target { sector: places.files[n], size, is_directory: false };
        let system_use = if rr { rock_ridge(Some(&file.name), false, 1) } else { Vec::new() };
        let bytes = record(&id, &target, date, &system_use);
        records.push((id, bytes));
    }
    records.sort();
    for (_, bytes) in records {
        if out.len() % SECTOR + bytes.len() > SECTOR {
            out.resize(out.len().next_multiple_of(SECTOR), 0);
        }
        out.extend(bytes);
    }
    out.resize(out.len().next_multiple_of(SECTOR), 0);
    out
}

/// The path table, with numbers in little or big endian.
pub(super) fn path_table(tree: &Tree<'_>, naming: Naming, places: &Places, big: bool) -> Vec<u8> {
    let mut taken: Vec<BTreeSet<Vec<u8>>> = vec![BTreeSet::new(); tree.directories.len()];
    let mut out = Vec::new();
    for (n, directory) in tree.directories.iter().enumerate() {
        let id = match n {
            0 => vec![0],
            _ => identifier(naming, &directory.name, false, &mut taken[directory.parent]),
        };
        let sector = places.directories[n];
        let parent = u16::try_from(directory.parent + 1).unwrap_or(u16::MAX);
        out.extend([u8::try_from(id.len()).unwrap_or(u8::MAX), 0]);
        out.extend(if big { sector.to_be_bytes() } else { sector.to_le_bytes() });
        out.extend(if big { parent.to_be_bytes() } else { parent.to_le_bytes() });
        out.extend(&id);
        out.extend(std::iter::repeat_n(0, id.len() % 2));
    }
    out
}
