//! The ledger on disk: one file a key, flushed before it counts.

use async_trait::async_trait;
use driver_api::{Error, Ledger, Result};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes lent to a driver, in a directory of their own.
#[derive(Debug, Clone)]
pub struct DiskLedger {
    dir: PathBuf,
    inline: bool,
}

impl DiskLedger {
    /// A ledger below `dir`, which is made when something is first kept.
    pub fn new(dir: PathBuf) -> DiskLedger {
        DiskLedger { dir, inline: false }
    }

    /// The same, with its file work on the calling thread: for simulations, where a second thread would make the
    /// order of events a matter of luck.
    pub fn inline(dir: PathBuf) -> DiskLedger {
        DiskLedger { dir, inline: true }
    }

    /// Runs file work off the asynchronous threads.
    async fn on_disk<T: Send + 'static>(&self, f: impl FnOnce(&Path) -> io::Result<T> + Send + 'static) -> Result<T> {
        let failed = |e: &dyn std::fmt::Display| Error::internal("the host's ledger cannot be used", e);
        if self.inline {
            return f(&self.dir).map_err(|e| failed(&e));
        }
        let dir = self.dir.clone();
        tokio::task::spawn_blocking(move || f(&dir)).await.map_err(|e| failed(&e))?.map_err(|e| failed(&e))
    }
}

/// File name of a key: letters, digits, `-` and `_` as they are, other bytes as `%xx`, so that no key leaves the directory.
fn encode(key: &str) -> String {
    let mut name = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    name.push_str(".v");
    name
}

fn decode(name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = name.strip_suffix(".v")?.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

fn write(dir: &Path, name: &str, value: &[u8]) -> io::Result<()> {
    if !dir.is_dir() {
        std::fs::create_dir_all(dir)?;
        if let Some(parent) = dir.parent() {
            std::fs::File::open(parent)?.sync_all()?;
        }
    }
    let path = dir.join(name);
    let fresh = path.with_extension("new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(value)?;
    file.sync_all()?;
    std::fs::rename(&fresh, &path)?;
    // The name is durable only when its directory is.
    std::fs::File::open(dir)?.sync_all()
}

#[async_trait]
impl Ledger for DiskLedger {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        let name = encode(key);
        self.on_disk(move |dir| absent_is_none(std::fs::read(dir.join(name)))).await
    }

    async fn put(&self, key: &str, value: Vec<u8>) -> Result<()> {
        let name = encode(key);
        self.on_disk(move |dir| write(dir, &name, &value)).await
    }

    async fn delete(&self, key: &str) -> Result<()> {
        let name = encode(key);
        self.on_disk(move |dir| absent_is_none(std::fs::remove_file(dir.join(name))).map(drop)).await
    }

    async fn keys(&self) -> Result<Vec<String>> {
        self.on_disk(|dir| {
            let mut keys = Vec::new();
            for entry in absent_is_none(std::fs::read_dir(dir))?.into_iter().flatten() {
                keys.extend(entry?.file_name().to_str().and_then(decode));
            }
            keys.sort();
            Ok(keys)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn what_was_kept_is_there_for_the_next_life_and_no_key_leaves_the_directory() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = DiskLedger::new(dir.path().join("ledger"));
        assert_eq!(ledger.keys().await.unwrap(), Vec::<String>::new());
        for key in ["a", "../../b", "ü%/.", ""] {
            ledger.put(key, key.as_bytes().to_vec()).await.unwrap();
            ledger.put(key, key.as_bytes().to_vec()).await.unwrap();
        }
        let again = DiskLedger::new(dir.path().join("ledger"));
        assert_eq!(again.keys().await.unwrap(), ["", "../../b", "a", "ü%/."]);
        assert_eq!(again.get("../../b").await.unwrap().unwrap(), b"../../b");
        again.delete("../../b").await.unwrap();
        again.delete("../../b").await.unwrap();
        assert_eq!(again.get("../../b").await.unwrap(), None);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
