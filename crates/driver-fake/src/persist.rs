//! Guests on disk, one small JSON file each, so that they survive the death of the process.
//!
//! Written beside and renamed: a reader finds the old or the new record, never half of one. Not flushed on every
//! operation: the promise covers a killed process, not a lost machine, since the simulated host dies with it.

use crate::guest::Guest;
use std::io;
use std::path::{Path, PathBuf};
use uuid::Uuid;

fn path_of(dir: &Path, id: Uuid) -> PathBuf {
    dir.join(format!("{id}.json"))
}

/// All records below `dir`, which is made if it is not there, and the files that are none: one damaged record is no reason
/// to lose sight of the other guests. It stays as it is.
pub(crate) fn load(dir: &Path) -> io::Result<(Vec<Guest>, Vec<PathBuf>)> {
    std::fs::create_dir_all(dir)?;
    let (mut guests, mut damaged) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        // A `.new` that a killed process left behind was never acknowledged.
        if path.extension().is_some_and(|e| e == "json") {
            match serde_json::from_slice::<Guest>(&std::fs::read(&path)?) {
                Ok(guest) => guests.push(guest),
                Err(_) => damaged.push(path),
            }
        }
    }
    guests.sort_by_key(|g| g.id);
    damaged.sort();
    Ok((guests, damaged))
}

/// Makes the record of `id` what `guest` is; `None` removes it.
pub(crate) fn save(dir: &Path, id: Uuid, guest: Option<&Guest>) -> io::Result<()> {
    let path = path_of(dir, id);
    match guest {
        Some(guest) => {
            let fresh = path.with_extension("new");
            std::fs::write(&fresh, serde_json::to_vec(guest).map_err(io::Error::other)?)?;
            std::fs::rename(&fresh, &path)
        }
        None => match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        },
    }
}
