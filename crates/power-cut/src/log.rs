//! What happened below the directory, in the order in which it could be relied on: a change stands where its call
//! returned, a flush covers what had returned before it was called.

use crate::{Result, io};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file, whatever its name is at the moment.
pub type FileId = usize;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A file.
    File(FileId),
    /// A directory.
    Dir,
}

/// What was flushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flush {
    /// A file's bytes and length.
    File(FileId),
    /// The names in a directory.
    Dir(PathBuf),
}

/// One thing that happened. Paths are below the recorded directory, which itself is `""`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Bytes were written.
    Data {
        /// Where to.
        file: FileId,
        /// At which offset.
        at: u64,
        /// Which.
        data: Vec<u8>,
    },
    /// A file was cut or extended.
    Length {
        /// Which.
        file: FileId,
        /// To how many bytes.
        length: u64,
    },
    /// A new file or directory got its name.
    Link {
        /// The name.
        path: PathBuf,
        /// What it stands for.
        entry: Entry,
    },
    /// A name is gone.
    Unlink {
        /// Which.
        path: PathBuf,
    },
    /// A name became another, in one step, replacing what had it.
    Rename {
        /// The old name.
        from: PathBuf,
        /// The new name.
        to: PathBuf,
        /// What it stands for: the old name may never have become durable.
        entry: Entry,
    },
    /// A flush returned without error.
    Flushed {
        /// Of what.
        what: Flush,
        /// Covers the events before this one.
        before: usize,
    },
    /// The program wrote this on its standard output: its caller knows it from here on.
    Said(Vec<u8>),
}

/// Everything that happened, over any number of processes one after another.
#[derive(Debug, Default)]
pub struct Log {
    pub(crate) root: PathBuf,
    pub(crate) events: Vec<Event>,
    /// What was there, and durable, before.
    pub(crate) old_names: BTreeMap<PathBuf, Entry>,
    pub(crate) old_files: BTreeMap<FileId, Vec<u8>>,
    /// The names as they are now.
    pub(crate) names: BTreeMap<PathBuf, Entry>,
    files: FileId,
}

/// SQLite's index of its log lives in shared memory, which no flush covers; SQLite makes it anew after a cut.
pub(crate) fn ignored(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"-shm")
}

impl Log {
    /// A log of what will happen below `root`; what is there now counts as durable.
    /// # Errors
    /// I/O.
    pub fn start(root: &Path) -> Result<Log> {
        let mut log = Log { root: root.canonicalize().map_err(io("finding the directory"))?, ..Log::default() };
        for (path, content) in files_below(&log.root)? {
            let entry = match content {
                Some(bytes) => {
                    let id = log.new_file();
                    log.old_files.insert(id, bytes);
                    Entry::File(id)
                }
                None => Entry::Dir,
            };
            log.old_names.insert(path, entry);
        }
        log.names = log.old_names.clone();
        Ok(log)
    }
    /// What happened.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }
    pub(crate) fn new_file(&mut self) -> FileId {
        self.files += 1;
        self.files
    }
    pub(crate) fn file(&self, path: &Path) -> Option<FileId> {
        match self.names.get(path) {
            Some(Entry::File(id)) => Some(*id),
            _ => None,
        }
    }
    pub(crate) fn push(&mut self, event: Event) {
        rename_in(&mut self.names, &event);
        self.events.push(event);
    }
}

/// What an event makes of names; others leave them alone.
pub(crate) fn rename_in(names: &mut BTreeMap<PathBuf, Entry>, event: &Event) {
    match event {
        Event::Link { path, entry } => {
            names.insert(path.clone(), *entry);
        }
        Event::Unlink { path } => {
            names.remove(path);
        }
        Event::Rename { from, to, entry } => {
            names.insert(from.clone(), *entry);
            let moved: Vec<PathBuf> = names.keys().filter(|name| name.starts_with(from)).cloned().collect();
            for name in moved {
                let Some(entry) = names.remove(&name) else { continue };
                let rest = name.strip_prefix(from).unwrap_or(Path::new(""));
                let new = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                names.insert(new, entry);
            }
        }
        Event::Data { .. } | Event::Length { .. } | Event::Flushed { .. } | Event::Said(_) => {}
    }
}

/// The name that an event gives or takes.
pub(crate) fn name_of(event: &Event) -> Option<&Path> {
    match event {
        Event::Link { path, .. } | Event::Unlink { path } | Event::Rename { to: path, .. } => Some(path),
        _ => None,
    }
}

/// The directory whose flush makes a change of names durable. A rename counts as one step, durable with its new
/// name.
pub(crate) fn directory_of(event: &Event) -> Option<&Path> {
    name_of(event).and_then(Path::parent)
}

/// Everything below `root` by its path below it: bytes of files, `None` for directories.
pub(crate) fn files_below(root: &Path) -> Result<BTreeMap<PathBuf, Option<Vec<u8>>>> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(root.join(&dir)).map_err(io("reading a directory"))? {
            let entry = entry.map_err(io("reading a directory"))?;
            let path = dir.join(entry.file_name());
            if entry.file_type().map_err(io("reading a directory"))?.is_dir() {
                found.insert(path.clone(), None);
                dirs.push(path);
            } else if !ignored(&path) {
                found.insert(path.clone(), Some(std::fs::read(entry.path()).map_err(io("reading a file"))?));
            }
        }
    }
    Ok(found)
}
