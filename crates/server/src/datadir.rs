//! The one data directory: where everything of a cloud lives, and the lock that lets one process own it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A data directory that this process owns.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
    /// Held so that an ephemeral directory goes with the process.
    ephemeral: bool,
}

impl DataDir {
    /// Opens (and makes) `path`, for its owner only.
    /// # Errors
    /// I/O, or another process that owns it.
    pub fn open(path: &Path, ephemeral: bool) -> io::Result<DataDir> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        std::fs::DirBuilder::new().recursive(true).mode(0o711).create(path)?;
        let path = path.canonicalize()?;
        let lock = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => {
                return Err(io::Error::other(format!(
                    "{} belongs to a running kilonova; stop it or name another --data-dir",
                    path.display()
                )));
            }
            Err(std::fs::TryLockError::Error(e)) => return Err(e),
        }
        Ok(DataDir { path, _lock: lock, ephemeral })
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// A file or directory in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
    /// The secret in file `name`, made of 24 random bytes at the first call; mode 0600.
    /// # Errors
    /// I/O.
    pub fn secret(&self, name: &str, random: &model::Random) -> io::Result<String> {
        use base64::Engine;
        let path = self.join(name);
        match std::fs::read_to_string(&path) {
            Ok(s) if !s.trim().is_empty() => return Ok(s.trim().to_owned()),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let mut bytes = [0; 24];
        random.fill(&mut bytes);
        let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        crate::clouds_yaml::private(&path, &format!("{secret}\n"))?;
        Ok(secret)
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if self.ephemeral && let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "the ephemeral data directory stays");
        }
    }
}

/// Where data lives when nothing is said: `/var/lib/kilonova` for root, the user's data directory otherwise.
pub fn default_path() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return PathBuf::from("/var/lib/kilonova");
    }
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_else(|| PathBuf::from("."));
    std::env::var_os("XDG_DATA_HOME").map_or_else(|| home.join(".local/share"), PathBuf::from).join("kilonova")
}
