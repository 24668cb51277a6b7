//! The files as a tree, and the names that each hierarchy gives them.

use super::{FileEntry, Naming};
use std::collections::{BTreeMap, BTreeSet};

/// One directory. Directories are kept in the order of a path table: by depth, then parent, then name.
pub(super) struct Directory {
    /// Its name; empty for the root.
    pub name: String,
    /// Position of its parent; the root's is itself.
    pub parent: usize,
    /// Position of each directory below it.
    pub directories: Vec<usize>,
    /// Position of each file in it.
    pub files: Vec<usize>,
}

/// A file of a directory.
pub(super) struct File<'a> {
    /// Last part of its path.
    pub name: String,
    /// Its bytes.
    pub contents: &'a [u8],
}

/// All directories and files.
pub(super) struct Tree<'a> {
    pub directories: Vec<Directory>,
    pub files: Vec<File<'a>>,
}

fn parts(path: &str) -> Vec<String> {
    path.split('/').filter(|p| !p.is_empty()).map(|p| p.chars().take(64).collect()).collect()
}

impl<'a> Tree<'a> {
    /// The tree of these files; a path given twice keeps its last bytes.
    pub(super) fn new(entries: &'a [FileEntry]) -> Tree<'a> {
        let files: BTreeMap<Vec<String>, &[u8]> =
            entries.iter().map(|f| (parts(&f.path), f.contents.as_slice())).filter(|(p, _)| !p.is_empty()).collect();
        let mut paths: BTreeSet<(usize, Vec<String>)> = BTreeSet::from([(0, Vec::new())]);
        for path in files.keys() {
            paths.extend((1..path.len()).map(|n| (n, path[..n].to_vec())));
        }
        // Sorted by depth and then by whole path, which is by parent and then by name.
        let position: BTreeMap<Vec<String>, usize> =
            paths.iter().enumerate().map(|(n, (_, path))| (path.clone(), n)).collect();
        let mut tree = Tree { directories: Vec::new(), files: Vec::new() };
        for (_, path) in &paths {
            let parent = path.split_last().map_or(0, |(_, up)| position[up]);
            let name = path.last().cloned().unwrap_or_default();
            tree.directories.push(Directory { name, parent, directories: Vec::new(), files: Vec::new() });
        }
        for n in 1..tree.directories.len() {
            let parent = tree.directories[n].parent;
            tree.directories[parent].directories.push(n);
        }
        for (path, contents) in files {
            if let Some((name, up)) = path.split_last() {
                tree.directories[position[up]].files.push(tree.files.len());
                tree.files.push(File { name: name.clone(), contents });
            }
        }
        tree
    }
}

/// Upper case with `_` for whatever level 2 does not allow.
fn plain(text: &str, length: usize) -> String {
    let letter = |c: char| {
        if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }
    };
    text.chars().map(letter).take(length).collect()
}

fn level2(name: &str, is_file: bool) -> Vec<u8> {
    if !is_file {
        return plain(name, 31).into_bytes();
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    format!("{}.{};1", plain(stem, 20), plain(extension, 8)).into_bytes()
}

/// Without a version, as genisoimage writes it: some readers would show it.
fn joliet(name: &str) -> Vec<u8> {
    let allowed = |c: char| {
        if "*/:;?\\".contains(c) || c.is_control() { '_' } else { c }
    };
    ucs2(&name.chars().map(allowed).collect::<String>())
}

/// 16-bit characters, big endian.
pub(super) fn ucs2(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// The identifier of a name in a hierarchy, made unlike those in `taken` by a number.
pub(super) fn identifier(naming: Naming, name: &str, is_file: bool, taken: &mut BTreeSet<Vec<u8>>) -> Vec<u8> {
    let make = |name: &str| match naming {
        Naming::RockRidge => level2(name, is_file),
        Naming::Joliet => joliet(name),
    };
    let mut id = make(name);
    let mut number = 0;
    while !taken.insert(id.clone()) {
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let stem: String = stem.chars().take(12).collect();
        id = make(&format!("{stem}_{number}.{extension}"));
        number += 1;
    }
    id
}
