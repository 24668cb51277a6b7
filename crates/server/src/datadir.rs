//! The one data directory: where everything of a cloud lives, and the lock that lets one process own it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// How the names of ephemeral directories begin; 32 hexadecimal digits follow.
pub const EPHEMERAL: &str = "kilonova-";

/// A data directory that this process owns.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock.
    _lock: File,
    /// It goes with the process: ephemeral, or made by it and not in use yet.
    goes: bool,
    ephemeral: bool,
}

impl DataDir {
    /// Opens (and makes) `path`. Others may pass through it, since hypervisors' processes must reach their guests' disks,
    /// but see nothing in it.
    /// # Errors
    /// I/O, or another process that owns it.
    pub fn open(path: &Path, ephemeral: bool) -> io::Result<DataDir> {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        let fresh = !path.exists();
        let missing: Vec<&Path> = path.ancestors().take_while(|d| !d.as_os_str().is_empty() && !d.exists()).collect();
        std::fs::DirBuilder::new().recursive(true).mode(0o711).create(path)?;
        // Or a power cut could take the directory away with everything that was flushed into it.
        for made in missing {
            let parent = made.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(parent)?.sync_all()?;
        }
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
        Ok(DataDir { path, _lock: lock, goes: ephemeral || fresh, ephemeral })
    }
    /// From now on there is something in it that must not be lost. Until this is said, a directory that was made by
    /// [`DataDir::open`] is removed again: a start that failed leaves nothing half-done.
    pub fn keep(&mut self) {
        self.goes = self.ephemeral;
    }
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
    /// A file or directory in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
    /// The secret in file `name`, made of 24 random bytes at the first call; mode 0600. Also whether it was made now.
    /// # Errors
    /// I/O.
    pub fn secret(&self, name: &str, random: &model::Random) -> io::Result<(String, bool)> {
        use base64::Engine;
        let path = self.join(name);
        match std::fs::read_to_string(&path) {
            Ok(s) if !s.trim().is_empty() => return Ok((s.trim().to_owned(), false)),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let mut bytes = [0; 24];
        random.fill(&mut bytes);
        let secret = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
        crate::clouds_yaml::private(&path, &format!("{secret}\n"))?;
        Ok((secret, true))
    }
}

/// Removes the ephemeral directories in `temporary` whose processes were killed before they could. Those that are
/// locked are in use; those without cloud.json may just be in the making.
pub fn sweep(temporary: &Path) {
    let Ok(list) = std::fs::read_dir(temporary) else { return };
    for path in list.flatten().map(|e| e.path()) {
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix(EPHEMERAL)).unwrap_or_default();
        let ours = name.len() == 32 && name.bytes().all(|b| b.is_ascii_hexdigit());
        // No link, nobody else's.
        let mine = std::fs::symlink_metadata(&path).is_ok_and(|m| {
            use std::os::unix::fs::MetadataExt;
            m.is_dir() && m.uid() == nix::unistd::geteuid().as_raw()
        });
        if !ours || !mine || !path.join("cloud.json").is_file() {
            continue;
        }
        let lock = std::fs::OpenOptions::new().append(true).open(path.join("lock"));
        if lock.is_ok_and(|l| l.try_lock().is_ok()) && std::fs::remove_dir_all(&path).is_ok() {
            tracing::info!(path = %path.display(), "removed what an ephemeral cloud left that was killed");
        }
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if self.goes && let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!(%error, "the data directory stays");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DIR: &str = "KILONOVA_SECRET_CUT_DIR";

    /// The recorded program: this test run again. Without the variable it has nothing to do.
    #[test]
    fn a_first_start_makes_a_secret() {
        use std::io::Write;
        let Some(dir) = std::env::var_os(DIR) else { return };
        let mut data = DataDir::open(&Path::new(&dir).join("deep/data"), false).unwrap();
        let (secret, _) = data.secret("admin-password", &model::Random::os()).unwrap();
        data.keep();
        writeln!(std::io::stdout(), "told {secret}").unwrap();
    }

    #[test]
    fn only_what_the_dead_left_is_swept_away() {
        let parent = tempfile::tempdir().unwrap();
        let of = |n: usize| parent.path().join(format!("{EPHEMERAL}{n:032x}"));
        let made = |path: &Path| {
            let mut data = DataDir::open(path, true).unwrap();
            data.keep();
            std::fs::write(path.join("cloud.json"), "{}").unwrap();
            data
        };
        let _alive = made(&of(1));
        // Killed: the lock goes with the process, the directory does not.
        for path in [of(2), parent.path().join("kilonova-mine")] {
            let mut data = made(&path);
            data.goes = false;
        }
        std::fs::create_dir(of(3)).unwrap();
        sweep(parent.path());
        assert_eq!([1, 2, 3].map(|n| of(n).exists()), [true, false, true]);
        assert!(parent.path().join("kilonova-mine").exists());
    }

    #[test]
    fn a_secret_that_was_told_survives_a_power_cut() {
        use power_cut::{Disk, Event, Honesty, Log, record};
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::start(dir.path()).unwrap();
        let args = ["datadir::tests::a_first_start_makes_a_secret", "--exact", "--nocapture"];
        let test = std::env::current_exe().unwrap();
        record(&mut log, &test, &args, &[(DIR, dir.path().to_str().unwrap())], &mut |_| false).unwrap();
        let told = log.events().iter().enumerate().find_map(|(at, event)| match event {
            Event::Said(words) => String::from_utf8_lossy(words).lines().find_map(|l| Some((at, l.split_once("told ")?.1.to_owned()))),
            _ => None,
        });
        let (at, secret) = told.unwrap();
        let lost = |honesty| {
            let mut disk = Disk::new(&log, honesty);
            disk.advance(at + 1);
            let kept = |seed| disk.cut(seed).files.get(Path::new("deep/data/admin-password")).cloned();
            (0..200).filter(|seed| kept(*seed) != Some(format!("{secret}\n").into_bytes())).count()
        };
        assert_eq!(lost(Honesty::Honest), 0);
        assert!(lost(Honesty::Liar) > 0, "the test can fail");
    }

    #[test]
    fn what_was_made_for_nothing_goes_and_what_was_there_stays() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new");
        drop(DataDir::open(&path, false).unwrap());
        assert!(!path.exists());
        let mut data = DataDir::open(&path, false).unwrap();
        let (secret, made) = data.secret("s", &model::Random::os()).unwrap();
        assert!(made);
        data.keep();
        drop(data);
        let data = DataDir::open(&path, false).unwrap();
        assert_eq!(data.secret("s", &model::Random::os()).unwrap(), (secret, false));
        assert!(DataDir::open(&path, false).unwrap_err().to_string().contains("running"));
        drop(data);
        assert!(path.exists());
        let mut data = DataDir::open(&path, true).unwrap();
        data.keep();
        drop(data);
        assert!(!path.exists());
    }
}
