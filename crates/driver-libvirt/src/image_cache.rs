//! Images fetched once a host, kept under `_base` by their id, read-only, beneath many guests.
//!
//! A cached file appears whole or not at all (written aside, renamed), one fetch at a time an image. Its format is the
//! recorded one: the bytes are held against it while they arrive, and an image that is of another format, or refers to
//! any other file, is refused before any program opens it (CVE-2022-47951, CVE-2024-32498, CVE-2024-40767).

use crate::disks::Format;
use crate::error::io;
use crate::host::Host;
use crate::options::DiskKind;
use crate::{disks, hardware, qemu_img};
use driver_api::{DiskFormat, Error, ErrorKind, ImageRef, ImageStream, Op, Phase, Result, external};
use imagefmt::{Inspection, Inspector};
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
/// `root_gib` bounds the disk inside; 0 does not.
pub(crate) async fn ensure(host: &Host, image: &ImageRef, want: DiskKind, root_gib: u64, op: &Op) -> Result<Base> {
    let stored = stored_as(image.disk_format)?;
    let format = match (want, stored) {
        (DiskKind::Raw, _) | (_, "raw") => Format::Raw,
        (DiskKind::Qcow2, _) => Format::Qcow2,
    };
    let name = format!("{}.{}", image.id, format.as_str());
    let path = host.base_dir().join(&name);
    let lock = host.locks.of(&name);
    let _turn = lock.lock().await;
    if !is_whole(&path, image).await {
        op.check()?;
        fetch(host, image, (stored, format), root_gib, &path, op).await?;
    }
    let virtual_size = match format {
        Format::Raw => tokio::fs::metadata(&path).await.map_err(|e| io("reading an image", &e))?.len(),
        Format::Qcow2 => disks::qcow2_size(&path).await?,
    };
    Ok(Base { path, format, virtual_size })
}

/// Whether a cached image is there in its full length. One that is not is named; it is fetched again by whoever needs it.
/// (That its bytes are the right ones is not held against their hash each time.)
pub(crate) async fn is_whole(path: &Path, image: &ImageRef) -> bool {
    let Ok(found) = tokio::fs::metadata(path).await else { return false };
    let recorded = tokio::fs::read_to_string(length_of(path)).await.ok().and_then(|t| t.trim().parse::<u64>().ok());
    // Without a record, one that was stored as it came is as long as it was.
    let as_it_came = path.extension().is_some_and(|e| stored_as(image.disk_format).is_ok_and(|s| e == s));
    let wanted = recorded.or_else(|| as_it_came.then_some(image.size));
    if !found.is_file() || wanted.is_some_and(|w| w != found.len()) {
        tracing::warn!(path = %path.display(), length = found.len(), wanted, "a cached image is damaged; it is fetched again");
        return false;
    }
    true
}

/// File that holds a cached image's length.
fn length_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".length");
    name.into()
}

/// QEMU's name of the driver for a recorded format. An ISO is no root disk.
pub(crate) fn stored_as(format: DiskFormat) -> Result<&'static str> {
    Ok(match format {
        DiskFormat::Raw | DiskFormat::Ami | DiskFormat::Aki | DiskFormat::Ari => "raw",
        DiskFormat::Qcow2 => "qcow2",
        DiskFormat::Vmdk => "vmdk",
        DiskFormat::Vhd => "vpc",
        DiskFormat::Vhdx => "vhdx",
        DiskFormat::Vdi => "vdi",
        DiskFormat::Ploop => "parallels",
        DiskFormat::Iso => {
            let message = format!("disk format {} is not offered by this host", format.as_str());
            return Err(Error::new(ErrorKind::UnsupportedSpec, message));
        }
    })
}

async fn fetch(
    host: &Host,
    image: &ImageRef,
    (stored, format): (&str, Format),
    root_gib: u64,
    path: &Path,
    op: &Op,
) -> Result<()> {
    let stream = host.context.images.open(image.id).await?;
    if stream.format != image.disk_format {
        let message = format!("image {}: its recorded format is not the one asked for", image.id);
        return Err(Error::new(ErrorKind::InvalidSpec, message));
    }
    let part = host.base_dir().join(format!("{}.{}.part", image.id, op.id));
    let mut scratch = Scratch::new(part.clone());
    let inspection = download(image, stream, &part, op).await?;
    hardware::fits(inspection.virtual_size, root_gib)?;
    if stored == format.as_str() {
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
    let file = tokio::fs::File::open(part).await.map_err(failed)?;
    external("file.sync", file.sync_all()).await.map_err(failed)?;
    // Read-only: guests share it.
    tokio::fs::set_permissions(part, std::fs::Permissions::from_mode(0o440)).await.map_err(failed)?;
    let length = tokio::fs::metadata(part).await.map_err(failed)?.len();
    disks::write_private(&length_of(path), length.to_string().as_bytes()).await?;
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
async fn download(image: &ImageRef, mut stream: ImageStream, part: &Path, op: &Op) -> Result<Inspection> {
    let refused = |e: imagefmt::Refusal| Error::new(ErrorKind::InvalidSpec, format!("image {}: {e}", image.id));
    let mut inspector = Inspector::new(image.disk_format);
    let failed = |e: std::io::Error| io("storing an image", &e);
    let mut file = tokio::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(part)
        .await
        .map_err(failed)?;
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
        inspector.feed(bytes).map_err(refused)?;
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
    let inspection = inspector.finish().map_err(refused)?;
    file.flush().await.map_err(failed)?;
    file.set_len(done).await.map_err(failed)?;
    op.report(Phase::BlockDevices { done, total: stream.size });
    Ok(inspection)
}
