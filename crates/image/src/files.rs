//! The directory of bytes: `images/<id>` for what is complete, `images/<id>.json` for what a snapshot turned out to be,
//! `incoming/` for what is still coming. Every name is made here from an id, never from a user's text.
//!
//! All of it blocks; [`Files::blocking`] is the only door to it. A name under `images/` appears by a rename of a file that is on
//! the disk already, so that a crash leaves either nothing or the whole.

use crate::error::{Error, Result};
use model::image::Written;
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Where the bytes lie.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    images: PathBuf,
    incoming: PathBuf,
    /// Work is done on the calling thread.
    inline: bool,
}

/// What lies under `images/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Found {
    /// Size of the bytes, if they are there.
    pub(crate) size: Option<u64>,
    /// A record of a snapshot is there.
    pub(crate) record: bool,
}

impl Files {
    /// Makes the directories, open to this user alone: images are their owners' secret.
    pub(crate) fn open(dir: &Path, inline: bool) -> Result<Files> {
        let files = Files { images: dir.join("images"), incoming: dir.join("incoming"), inline };
        for dir in [&files.images, &files.incoming] {
            make_dir(dir).map_err(Error::disk("making its directories"))?;
        }
        Ok(files)
    }
    /// Whether work is done on the calling thread.
    pub(crate) fn inline(&self) -> bool {
        self.inline
    }
    /// Runs what blocks where it may.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.inline {
            return work(self);
        }
        let files = self.clone();
        tokio::task::spawn_blocking(move || work(&files))
            .await
            .unwrap_or_else(|e| Err(Error::Disk { doing: "in a worker thread", source: std::io::Error::other(e) }))
    }
    /// Path of an image's bytes.
    pub(crate) fn data(&self, id: Uuid) -> PathBuf {
        self.images.join(id.to_string())
    }
    fn record(&self, id: Uuid) -> PathBuf {
        self.images.join(format!("{id}.json"))
    }
    /// A new file for incoming bytes.
    pub(crate) fn incoming(&self, name: Uuid) -> Result<Incoming> {
        let path = self.incoming.join(name.to_string());
        let file = create(&path).map_err(Error::disk("making a file"))?;
        Ok(Incoming { path, file: Some(file) })
    }
    /// Gives complete bytes their name. What a snapshot recorded before is forgotten first.
    pub(crate) fn keep(&self, mut incoming: Incoming, id: Uuid) -> Result<()> {
        if self.record(id).exists() {
            self.unlink(&self.record(id))?;
            // Or a power cut could leave the old record beside the new bytes.
            self.sync_images()?;
        }
        incoming.sync()?;
        std::fs::rename(&incoming.path, self.data(id)).map_err(Error::disk("naming the bytes"))?;
        incoming.file = None;
        self.sync_images()
    }
    /// Records what a snapshot's bytes are, after [`Files::keep`].
    pub(crate) fn write_record(&self, id: Uuid, written: &Written, name: Uuid) -> Result<()> {
        let mut incoming = self.incoming(name)?;
        let text = serde_json::to_vec(written)
            .map_err(|e| Error::Disk { doing: "writing a record", source: std::io::Error::other(e) })?;
        incoming.write(&text)?;
        incoming.sync()?;
        std::fs::rename(&incoming.path, self.record(id)).map_err(Error::disk("naming a record"))?;
        incoming.file = None;
        self.sync_images()
    }
    /// What a snapshot's bytes are, if they are all there.
    pub(crate) fn read_record(&self, id: Uuid) -> Result<Option<Written>> {
        match std::fs::read(self.record(id)) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|e| Error::Disk { doing: "reading a record", source: std::io::Error::other(e) }),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::disk("reading a record")(e)),
        }
    }
    /// Forgets the record alone.
    pub(crate) fn forget_record(&self, id: Uuid) -> Result<()> {
        self.unlink(&self.record(id))
    }
    /// Removes the bytes and their record; the absent is no error.
    pub(crate) fn remove(&self, id: Uuid) -> Result<()> {
        self.unlink(&self.record(id))?;
        self.unlink(&self.data(id))
    }
    fn unlink(&self, path: &Path) -> Result<()> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::disk("removing a file")(e)),
            // Not synced: a file that comes back after a crash is an orphan, and those are removed at start.
            _ => Ok(()),
        }
    }
    fn sync_images(&self) -> Result<()> {
        File::open(&self.images).and_then(|d| d.sync_all()).map_err(Error::disk("flushing its directory"))
    }
    /// Removes what was coming when the process ended; how many files.
    pub(crate) fn clear_incoming(&self) -> Result<u64> {
        let mut removed = 0;
        for entry in std::fs::read_dir(&self.incoming).map_err(Error::disk("reading its directory"))? {
            let entry = entry.map_err(Error::disk("reading its directory"))?;
            self.unlink(&entry.path())?;
            removed += 1;
        }
        Ok(removed)
    }
    /// All that lies under `images/`, by image. Foreign names are left alone.
    pub(crate) fn scan(&self) -> Result<BTreeMap<Uuid, Found>> {
        let mut found: BTreeMap<Uuid, Found> = BTreeMap::new();
        for entry in std::fs::read_dir(&self.images).map_err(Error::disk("reading its directory"))? {
            let entry = entry.map_err(Error::disk("reading its directory"))?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let (stem, record) = match name.strip_suffix(".json") {
                Some(stem) => (stem, true),
                None => (&*name, false),
            };
            let Ok(id) = Uuid::try_parse(stem) else {
                tracing::warn!("a file that is no image lies in the image store");
                continue;
            };
            let slot = found.entry(id).or_default();
            if record {
                slot.record = true;
            } else {
                slot.size = Some(entry.metadata().map_err(Error::disk("reading its directory"))?.len());
            }
        }
        Ok(found)
    }
}

/// Makes a directory, and its name durable: bytes in a directory that a power cut takes away are lost too. The name is
/// flushed even if it is there, for a process may have been killed before it did so.
fn make_dir(dir: &Path) -> std::io::Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    for made in missing.iter().chain([&dir]) {
        let parent = made.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// A file that has no name of an image yet; dropped without one, it is removed.
#[derive(Debug)]
pub(crate) struct Incoming {
    path: PathBuf,
    file: Option<File>,
}

impl Incoming {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes).map_err(Error::disk("writing")),
            None => Err(Error::Disk { doing: "writing", source: ErrorKind::NotFound.into() }),
        }
    }
    fn sync(&mut self) -> Result<()> {
        match &self.file {
            Some(file) => file.sync_all().map_err(Error::disk("flushing")),
            None => Ok(()),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if self.file.take().is_some()
            && let Err(e) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(error = %e, "incoming bytes could not be removed; the next start does");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use power_cut::{Disk, Event, Honesty, Log, record};

    const DIR: &str = "KILONOVA_IMAGE_CUT_DIR";

    fn bytes(n: u128) -> Vec<u8> {
        (0..20_000_u32).map(|at| u8::try_from((u128::from(at) % 251) ^ n).unwrap()).collect()
    }

    fn say(line: &str) {
        writeln!(std::io::stdout(), "{line}").unwrap();
    }

    /// The recorded program: this test run again. Without the variable it has nothing to do.
    #[test]
    fn uploads_one_after_another() {
        let Some(dir) = std::env::var_os(DIR) else { return };
        let files = Files::open(&Path::new(&dir).join("made/here"), true).unwrap();
        for n in 1..=6 {
            let id = Uuid::from_u128(n);
            let mut incoming = files.incoming(Uuid::from_u128(100 + n)).unwrap();
            bytes(n).chunks(7_000).for_each(|chunk| incoming.write(chunk).unwrap());
            files.keep(incoming, id).unwrap();
            say(&format!("kept {n}"));
            let written = Written { size: u64::try_from(n).unwrap(), ..written() };
            files.write_record(id, &written, Uuid::from_u128(200 + n)).unwrap();
            say(&format!("recorded {n}"));
        }
    }

    fn written() -> Written {
        Written {
            format: driver_api::DiskFormat::Raw,
            size: 0,
            virtual_size: None,
            checksum: String::new(),
            sha512: String::new(),
        }
    }

    /// What was said before the cut is there whole; nothing is ever there by half.
    fn wrong(image: &power_cut::Image, said: &str, whole: &BTreeMap<u128, Vec<u8>>) -> Option<String> {
        for (n, whole) in whole {
            let n = *n;
            let id = Uuid::from_u128(n);
            let at = |name: String| image.files.get(&Path::new("made/here/images").join(name));
            let (data, record) = (at(id.to_string()), at(format!("{id}.json")));
            if data.is_some_and(|d| d != whole) {
                return Some(format!("half of image {n}"));
            }
            if record.is_some_and(|r| serde_json::from_slice::<Written>(r).is_err()) {
                return Some(format!("half of record {n}"));
            }
            if data.is_none() && said.contains(&format!("kept {n}\n")) {
                return Some(format!("image {n} is lost"));
            }
            if record.is_none() && said.contains(&format!("recorded {n}\n")) {
                return Some(format!("record {n} is lost"));
            }
        }
        None
    }

    #[test]
    fn kept_bytes_survive_a_power_cut_at_any_moment() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::start(dir.path()).unwrap();
        let test = std::env::current_exe().unwrap();
        let args = ["files::tests::uploads_one_after_another", "--exact", "--nocapture"];
        record(&mut log, &test, &args, &[(DIR, dir.path().to_str().unwrap())], &mut |_| false).unwrap();
        let whole: BTreeMap<u128, Vec<u8>> = (1..=6).map(|n| (n, bytes(n))).collect();
        let found = |honesty| {
            let (mut disk, mut said, mut found) = (Disk::new(&log, honesty), String::new(), Vec::new());
            for at in 0..=log.events().len() {
                disk.advance(at);
                for seed in 0..20 {
                    found.extend(wrong(&disk.cut(seed), &said, &whole).map(|why| format!("before event {at}, dice {seed}: {why}")));
                }
                if let Some(Event::Said(words)) = log.events().get(at) {
                    said.push_str(&String::from_utf8_lossy(words));
                }
            }
            found
        };
        let lost = found(Honesty::Honest);
        assert!(lost.is_empty(), "{} wrong, first {:?}", lost.len(), lost.first());
        assert!(!found(Honesty::Liar).is_empty(), "the test can fail");
    }
}
