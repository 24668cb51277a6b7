//! Images fetched once a host, kept under `_base` by their id, read-only, beneath many guests.
//!
//! A cached file appears whole or not at all (written aside, renamed), one fetch at a time an image. Its format is the
//! recorded one. A qcow2 that refers to any other file is refused before any program opens it.

use crate::disks::Format;
use crate::error::io;
use crate::host::Host;
use crate::options::DiskKind;
use crate::qemu_img;
use driver_api::{DiskFormat, Error, ErrorKind, ImageRef, ImageStream, Op, Phase, Result};
use sha2::Digest;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

const CHUNK: usize = 1 << 20;
const REPORT_EVERY: u64 = 4 << 20;

/// One lock an image, so that two guests of a new image fetch it once.
#[derive(Default)]
pub(crate) struct Locks(Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>);

impl Locks {
    fn of(&self, key: &str) -> Arc<tokio::sync::Mutex<()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key.to_owned()).or_default().clone()
    }
}

/// A cached image.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    /// Bytes of the disk inside.
    pub(crate) virtual_size: u64,
}

/// A file that is removed unless kept.
pub(crate) struct Scratch(Option<PathBuf>);

impl Scratch {
    pub(crate) fn new(path: PathBuf) -> Scratch {
        Scratch(Some(path))
    }
    fn keep(&mut self) {
        self.0 = None;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(path) = self.0.take() {
            // One unlink; the operation may be dropped at any await, so this cannot be async.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The cached form of `image` for root disks of kind `want`, fetched if it is not there.
pub(crate) async fn ensure(host: &Host, image: &ImageRef, want: DiskKind, op: &Op) -> Result<Base> {
    let stored = match image.disk_format {
        DiskFormat::Qcow2 => Format::Qcow2,
        DiskFormat::Raw | DiskFormat::Ami | DiskFormat::Aki | DiskFormat::Ari => Format::Raw,
        other => {
            let message = format!("disk format {} is not offered by this host", other.as_str());
            return Err(Error::new(ErrorKind::UnsupportedSpec, message));
        }
    };
    // A full copy reads its base once; a layer can lie over either format.
    let format = if want == DiskKind::Raw { Format::Raw } else { stored };
    let name = format!("{}.{}", image.id, format.as_str());
    let path = host.base_dir().join(&name);
    let lock = host.locks.of(&name);
    let _turn = lock.lock().await;
    if !path.exists() {
        op.check()?;
        fetch(host, image, stored, format, &path, op).await?;
    }
    let virtual_size = match format {
        Format::Raw => tokio::fs::metadata(&path).await.map_err(|e| io("reading an image", &e))?.len(),
        Format::Qcow2 => qcow2_size(&path).await?,
    };
    Ok(Base { path, format, virtual_size })
}

async fn fetch(host: &Host, image: &ImageRef, stored: Format, format: Format, path: &Path, op: &Op) -> Result<()> {
    let stream = host.context.images.open(image.id).await?;
    if stream.format != image.disk_format {
        let message = format!("image {}: its recorded format is not the one asked for", image.id);
        return Err(Error::new(ErrorKind::InvalidSpec, message));
    }
    let part = host.base_dir().join(format!("{}.{}.part", image.id, op.id));
    let mut scratch = Scratch::new(part.clone());
    download(image, stream, &part, op).await?;
    if stored == Format::Qcow2 {
        qcow2_size(&part).await?;
    }
    if stored == format {
        finish(&part, path).await?;
        scratch.keep();
        return Ok(());
    }
    let converted = host.base_dir().join(format!("{}.{}.converted.part", image.id, op.id));
    let mut second = Scratch::new(converted.clone());
    qemu_img::convert((&part, stored), (&converted, format), host.options.convert_seconds, op).await?;
    finish(&converted, path).await?;
    second.keep();
    Ok(())
}

async fn finish(part: &Path, path: &Path) -> Result<()> {
    let failed = |e: std::io::Error| io("storing an image", &e);
    tokio::fs::File::open(part).await.map_err(failed)?.sync_all().await.map_err(failed)?;
    // Read-only: guests share it.
    tokio::fs::set_permissions(part, std::fs::Permissions::from_mode(0o440)).await.map_err(failed)?;
    tokio::fs::rename(part, path).await.map_err(failed)
}

enum Digester {
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    None,
}

impl Digester {
    /// Bytes of a local file were verified when they were stored.
    fn of(image: &ImageRef, local: bool) -> Digester {
        match image.hash.as_ref().map(|(algorithm, _)| algorithm.as_str()) {
            Some("sha256") if !local => Digester::Sha256(sha2::Sha256::new()),
            Some("sha512") if !local => Digester::Sha512(sha2::Sha512::new()),
            _ => Digester::None,
        }
    }
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Digester::Sha256(d) => d.update(bytes),
            Digester::Sha512(d) => d.update(bytes),
            Digester::None => {}
        }
    }
    fn hex(self) -> Option<String> {
        let bytes = match self {
            Digester::Sha256(d) => d.finalize().to_vec(),
            Digester::Sha512(d) => d.finalize().to_vec(),
            Digester::None => return None,
        };
        Some(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }
}

/// Writes the image's bytes to `part`: as many as announced, no more, no fewer, of the recorded digest; zeros are holes.
async fn download(image: &ImageRef, mut stream: ImageStream, part: &Path, op: &Op) -> Result<()> {
    let failed = |e: std::io::Error| io("storing an image", &e);
    let mut file =
        tokio::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part).await.map_err(failed)?;
    let mut digest = Digester::of(image, stream.local.is_some());
    let mut buffer = vec![0u8; CHUNK];
    let (mut done, mut reported) = (0u64, 0u64);
    loop {
        op.check()?;
        let n = stream
            .reader
            .read(&mut buffer)
            .await
            .map_err(|e| Error::new(ErrorKind::Unreachable, "the image's bytes stopped coming").detail(e))?;
        if n == 0 {
            break;
        }
        done += n as u64;
        if done > stream.size {
            return Err(Error::new(ErrorKind::Internal, format!("image {} is longer than its record says", image.id)));
        }
        let bytes = &buffer[..n];
        digest.update(bytes);
        if bytes.iter().all(|b| *b == 0) {
            let forward = i64::try_from(n).unwrap_or(i64::MAX);
            file.seek(std::io::SeekFrom::Current(forward)).await.map_err(failed)?;
        } else {
            file.write_all(bytes).await.map_err(failed)?;
        }
        if done - reported >= REPORT_EVERY {
            reported = done;
            op.report(Phase::BlockDevices { done, total: stream.size });
        }
    }
    if done < stream.size {
        let message = format!("image {} ended after {done} of {} bytes", image.id, stream.size);
        return Err(Error::new(ErrorKind::Unreachable, message));
    }
    if let (Some(found), Some((_, recorded))) = (digest.hex(), &image.hash)
        && !found.eq_ignore_ascii_case(recorded)
    {
        return Err(Error::new(ErrorKind::Internal, format!("image {} does not match its recorded hash", image.id)));
    }
    file.flush().await.map_err(failed)?;
    file.set_len(done).await.map_err(failed)?;
    op.report(Phase::BlockDevices { done, total: stream.size });
    Ok(())
}

/// Checks a qcow2 header and yields the size of the disk inside.
async fn qcow2_size(path: &Path) -> Result<u64> {
    let failed = |e: std::io::Error| io("reading an image", &e);
    let mut head = Vec::new();
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    file.take(4_096).read_to_end(&mut head).await.map_err(failed)?;
    check_qcow2(&head).map_err(|why| Error::new(ErrorKind::InvalidSpec, format!("the image is refused: {why}")))
}

/// The disk's size from the first bytes of a qcow2 that stands by itself.
///
/// # Errors
/// Why it is refused: no qcow2, a backing file, an external data file.
fn check_qcow2(head: &[u8]) -> std::result::Result<u64, &'static str> {
    let word = |at: usize| head.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_be_bytes);
    let double = |at: usize| head.get(at..at + 8).and_then(|b| b.try_into().ok()).map(u64::from_be_bytes);
    if head.get(..4) != Some(b"QFI\xfb") {
        return Err("it is recorded as qcow2 and is none");
    }
    let version = word(4).ok_or("its header is cut off")?;
    if !(2..=3).contains(&version) {
        return Err("its qcow2 version is unknown");
    }
    if double(8).ok_or("its header is cut off")? != 0 || word(16).ok_or("its header is cut off")? != 0 {
        return Err("it refers to a backing file");
    }
    // Bit 2: the data lies in another file.
    if version == 3 && double(72).ok_or("its header is cut off")? & 4 != 0 {
        return Err("it refers to an external data file");
    }
    double(24).ok_or("its header is cut off")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn header() -> Vec<u8> {
        let mut h = vec![0u8; 104];
        h[..4].copy_from_slice(b"QFI\xfb");
        h[4..8].copy_from_slice(&3u32.to_be_bytes());
        h[24..32].copy_from_slice(&(5u64 << 30).to_be_bytes());
        h
    }

    #[test]
    fn a_plain_image_passes() {
        assert_eq!(check_qcow2(&header()), Ok(5 << 30));
    }

    #[test]
    fn references_to_other_files_are_refused() {
        let mut h = header();
        h[8..16].copy_from_slice(&600u64.to_be_bytes());
        assert_eq!(check_qcow2(&h), Err("it refers to a backing file"));
        let mut h = header();
        h[79] = 4;
        assert_eq!(check_qcow2(&h), Err("it refers to an external data file"));
        assert!(check_qcow2(b"KDMV").is_err());
        assert!(check_qcow2(&header()[..30]).is_err());
    }
}
