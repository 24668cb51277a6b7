//! `ConsoleLog`: the tail of what virtlogd wrote. Bounded, whatever the guest prints (CVE-2013-4261).

use crate::error::io;
use crate::{Libvirt, disks};
use async_trait::async_trait;
use driver_api::{ConsoleLog, Error, Result};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Most bytes given back.
const MOST: u64 = 1 << 20;

#[async_trait]
impl ConsoleLog for Libvirt {
    async fn console_log(&self, instance: Uuid, lines: Option<u32>) -> Result<Vec<u8>> {
        let host = self.host()?;
        let client = host.client()?;
        host.must_find(&client, instance).await?;
        let path = disks::dir_of(&host, instance).join("console.log");
        let bytes = tokio::task::spawn_blocking(move || read(&path))
            .await
            .map_err(|e| Error::internal("the console's log was not read", e))?
            .map_err(|e| io("reading the console's log", &e))?;
        Ok(match lines {
            Some(n) => last_lines(&bytes, n).to_vec(),
            None => bytes,
        })
    }
}

/// The end of the log; virtlogd moves a full one aside as `.0`, so the end may begin there.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = tail(path, MOST)?;
    let left = MOST - bytes.len() as u64;
    if left > 0 {
        let mut older = PathBuf::from(path).into_os_string();
        older.push(".0");
        let mut all = tail(Path::new(&older), left)?;
        all.append(&mut bytes);
        return Ok(all);
    }
    Ok(bytes)
}

fn tail(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let len = file.metadata()?.len();
    file.seek(SeekFrom::Start(len.saturating_sub(most)))?;
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The last `n` lines; a line that has not ended counts.
fn last_lines(bytes: &[u8], n: u32) -> &[u8] {
    if n == 0 {
        return &[];
    }
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let start =
        body.iter().enumerate().rev().filter(|(_, b)| **b == b'\n').nth(n as usize - 1).map_or(0, |(at, _)| at + 1);
    &bytes[start..]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines() {
        assert_eq!(last_lines(b"a\nb\nc\n", 2), b"b\nc\n");
        assert_eq!(last_lines(b"a\nb\nc", 2), b"b\nc");
        assert_eq!(last_lines(b"a\n", 5), b"a\n");
        assert_eq!(last_lines(b"a\n", 0), b"");
        assert_eq!(last_lines(b"", 3), b"");
    }

    #[test]
    fn a_huge_log_yields_its_end_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("console.log");
        std::fs::write(&path, vec![b'x'; 3 << 20]).unwrap();
        assert_eq!(read(&path).unwrap().len(), 1 << 20);
        std::fs::write(&path, b"new\n").unwrap();
        std::fs::write(dir.path().join("console.log.0"), b"old\n").unwrap();
        assert_eq!(read(&path).unwrap(), b"old\nnew\n");
        assert_eq!(read(&dir.path().join("none")).unwrap(), b"");
    }
}
