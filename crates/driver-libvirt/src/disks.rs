//! The directory of one guest: its disks, and the record of their formats.
//!
//! A disk's format is what `disks.json` says, written when the disk was made. It is never read from the disk's bytes,
//! which the guest writes (CVE-2014-0134, CVE-2015-7548, CVE-2026-24708).

use crate::error::io;
use crate::host::Host;
use crate::image_cache::{self, Base};
use crate::options::DiskKind;
use crate::{hardware, qemu_img};
use driver_api::{Error, ErrorKind, InstanceSpec, Op, Phase, Result, external};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::fs;
use uuid::Uuid;

const RECORD: &str = "disks.json";

/// What a disk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Role {
    Root,
    Ephemeral,
    Swap,
    Config,
}

impl Role {
    /// File name in the guest's directory.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Role::Root => "disk",
            Role::Ephemeral => "disk.eph0",
            Role::Swap => "disk.swap",
            Role::Config => "disk.config",
        }
    }
}

/// Format of a guest's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Raw,
    Qcow2,
}

impl Format {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Format::Raw => "raw",
            Format::Qcow2 => "qcow2",
        }
    }
}

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Disk {
    pub(crate) role: Role,
    pub(crate) format: Format,
    /// File in the image cache that it is a layer over, with its format.
    #[serde(default)]
    pub(crate) base: Option<(String, Format)>,
}

/// All files that a guest's description names, as made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Layout {
    /// Image of the root disk.
    pub(crate) image: Option<Uuid>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) kernel: bool,
    pub(crate) ramdisk: bool,
}

impl Layout {
    /// The root disk.
    pub(crate) fn root(&self) -> Option<&Disk> {
        self.disks.iter().find(|d| d.role == Role::Root)
    }
    /// Whether a config drive is attached.
    pub(crate) fn has_config_drive(&self) -> bool {
        self.disks.iter().any(|d| d.role == Role::Config)
    }
}

/// Directory of a guest.
pub(crate) fn dir_of(host: &Host, id: Uuid) -> PathBuf {
    host.dir.join(id.to_string())
}

/// Makes a directory that others may pass through but not read: QEMU runs as another user on most hosts.
pub(crate) async fn make_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).await.map_err(|e| io("making a directory", &e))?;
    fs::set_permissions(path, std::fs::Permissions::from_mode(0o711)).await.map_err(|e| io("making a directory", &e))
}

/// Writes a file that only its owner reads, whole or not at all.
pub(crate) async fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = path.with_extension("part");
    let failed = |e: std::io::Error| io("writing a file", &e);
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).await.map_err(failed)?;
    tokio::io::AsyncWriteExt::write_all(&mut file, bytes).await.map_err(failed)?;
    external("file.sync", file.sync_all()).await.map_err(failed)?;
    fs::rename(&part, path).await.map_err(failed)?;
    // The name is durable only when its directory is.
    match path.parent() {
        Some(dir) => flush(dir).await,
        None => Ok(()),
    }
}

/// Flushes a file's bytes, or a directory's names.
async fn flush(path: &Path) -> Result<()> {
    let failed = |e: std::io::Error| io("flushing a disk", &e);
    let file = fs::File::open(path).await.map_err(failed)?;
    external("file.sync", file.sync_all()).await.map_err(failed)
}

/// Flushes what lies in a guest's directory and the directory's own name, before the record says that all is there.
async fn flush_all(dir: &Path) -> Result<()> {
    let failed = |e: std::io::Error| io("flushing a disk", &e);
    let mut entries = fs::read_dir(dir).await.map_err(failed)?;
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        if entry.file_type().await.map_err(failed)?.is_file() {
            flush(&entry.path()).await?;
        }
    }
    match dir.parent() {
        Some(parent) => flush(parent).await,
        None => Ok(()),
    }
}

/// The record of a guest's disks, if its disks were ever complete.
pub(crate) async fn read_layout(dir: &Path) -> Result<Option<Layout>> {
    match fs::read(dir.join(RECORD)).await {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| Error::internal("the record of the guest's disks does not read", e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(io("reading the record of the guest's disks", &e)),
    }
}

/// Whether a guest's disks were ever complete, without reading their record.
pub(crate) async fn has_record(dir: &Path) -> bool {
    fs::try_exists(dir.join(RECORD)).await.unwrap_or(false)
}

/// Makes every disk of `spec`. The record is written last, so that its presence means completeness.
pub(crate) async fn make(host: &Host, spec: &InstanceSpec, dir: &Path, op: &Op) -> Result<Layout> {
    make_dir(dir).await?;
    let image = spec.image.as_ref().ok_or_else(|| Error::new(ErrorKind::UnsupportedSpec, "no image is given"))?;
    op.report(Phase::BlockDevices { done: 0, total: image.size });
    let want = host.options.disk_format;
    let base = image_cache::ensure(host, image, want, spec.root_gib, op).await?;
    hardware::fits(base.virtual_size, spec.root_gib)?;
    let mut disks = vec![root(host, spec, &base, dir, op).await?];
    for (kernel, file) in [(&spec.kernel, "kernel"), (&spec.ramdisk, "ramdisk")] {
        if let Some(image) = kernel {
            op.check()?;
            let base = image_cache::ensure(host, image, DiskKind::Raw, 0, op).await?;
            fs::copy(&base.path, dir.join(file)).await.map_err(|e| io("copying a kernel", &e))?;
        }
    }
    if spec.ephemeral_gib > 0 {
        let path = dir.join(Role::Ephemeral.file());
        sparse(&path, spec.ephemeral_gib.saturating_mul(1 << 30)).await?;
        qemu_img::format_ext4(&path, "ephemeral0", op).await?;
        disks.push(Disk { role: Role::Ephemeral, format: Format::Raw, base: None });
    }
    if spec.swap_mib > 0 {
        let path = dir.join(Role::Swap.file());
        sparse(&path, spec.swap_mib.saturating_mul(1 << 20)).await?;
        qemu_img::format_swap(&path, op).await?;
        disks.push(Disk { role: Role::Swap, format: Format::Raw, base: None });
    }
    if spec.config_drive {
        op.check()?;
        config_drive(host, spec.id, dir).await?;
        disks.push(Disk { role: Role::Config, format: Format::Raw, base: None });
    }
    let layout =
        Layout { image: Some(image.id), disks, kernel: spec.kernel.is_some(), ramdisk: spec.ramdisk.is_some() };
    let json =
        serde_json::to_vec(&layout).map_err(|e| Error::internal("the record of the guest's disks was not made", e))?;
    flush_all(dir).await?;
    write_private(&dir.join(RECORD), &json).await?;
    Ok(layout)
}

/// Fetches the config drive and lays it beside the disks.
async fn config_drive(host: &Host, id: Uuid, dir: &Path) -> Result<()> {
    let bytes = host.context.documents.config_drive(id).await?;
    write_private(&dir.join(Role::Config.file()), &bytes).await
}

/// Brings back what a guest's description needs and somebody removed or cut off: cached images under its disk, its
/// config drive.
pub(crate) async fn repair(host: &Host, spec: &InstanceSpec, dir: &Path, layout: &Layout, op: &Op) -> Result<()> {
    if let (Some(Disk { base: Some((name, _)), .. }), Some(image)) = (layout.root(), &spec.image)
        && layout.image == Some(image.id)
        && !image_cache::is_whole(&host.base_dir().join(name), image).await
    {
        image_cache::ensure(host, image, host.options.disk_format, 0, op).await?;
    }
    if layout.has_config_drive() && !dir.join(Role::Config.file()).exists() {
        config_drive(host, spec.id, dir).await?;
    }
    Ok(())
}

async fn root(host: &Host, spec: &InstanceSpec, base: &Base, dir: &Path, op: &Op) -> Result<Disk> {
    let path = dir.join(Role::Root.file());
    let size = if spec.root_gib > 0 { spec.root_gib.saturating_mul(1 << 30) } else { base.virtual_size };
    match host.options.disk_format {
        DiskKind::Qcow2 => {
            qemu_img::create_overlay(&path, &base.path, base.format, size, op).await?;
            let name = base.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            Ok(Disk { role: Role::Root, format: Format::Qcow2, base: Some((name, base.format)) })
        }
        DiskKind::Raw => {
            let limit = host.options.convert_seconds;
            qemu_img::convert((&base.path, base.format.as_str()), (&path, Format::Raw), limit, op).await?;
            grow(&path, size).await?;
            Ok(Disk { role: Role::Root, format: Format::Raw, base: None })
        }
    }
}

/// Makes a file of `size` bytes that holds none yet and that only its owner reads; helper programs keep its mode.
pub(crate) async fn sparse(path: &Path, size: u64) -> Result<()> {
    let failed = |e: std::io::Error| io("making a disk", &e);
    let file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).await.map_err(failed)?;
    file.set_len(size).await.map_err(failed)
}

async fn grow(path: &Path, size: u64) -> Result<()> {
    let failed = |e: std::io::Error| io("growing a disk", &e);
    let file = fs::OpenOptions::new().write(true).open(path).await.map_err(failed)?;
    if file.metadata().await.map_err(failed)?.len() < size {
        file.set_len(size).await.map_err(failed)?;
    }
    Ok(())
}

/// Size of the disk in a qcow2 that we made or vetted. QEMU writes this header, not the guest.
pub(crate) async fn qcow2_size(path: &Path) -> Result<u64> {
    let failed = |e: std::io::Error| io("reading a disk", &e);
    let mut head = [0u8; 32];
    let mut file = fs::File::open(path).await.map_err(failed)?;
    tokio::io::AsyncReadExt::read_exact(&mut file, &mut head).await.map_err(failed)?;
    let size: [u8; 8] = head[24..32].try_into().map_err(|_| Error::internal("a disk's header is cut off", ""))?;
    Ok(u64::from_be_bytes(size))
}

/// Removes a guest's directory. Renamed first, so that a half-removed one is never taken for a guest's.
pub(crate) async fn remove(host: &Host, id: Uuid) -> Result<()> {
    let dir = dir_of(host, id);
    let gone = host.dir.join(format!("{id}_del"));
    let failed = |e: std::io::Error| io("removing the guest's files", &e);
    for attempt in 0..2 {
        match fs::rename(&dir, &gone).await {
            Ok(()) => break,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => break,
            // A directory left by an earlier removal that was cut short is in the way.
            Err(_) if attempt == 0 => remove_all(&gone).await.map_err(failed)?,
            Err(e) => return Err(failed(e)),
        }
    }
    remove_all(&gone).await.map_err(failed)
}

async fn remove_all(path: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(path).await {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        // Somebody put a file where a guest's directory was.
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => fs::remove_file(path).await,
        done => done,
    }
}

/// Removes what earlier lives left half done. Called once, before any operation.
pub(crate) async fn sweep(host: &Host) -> Result<()> {
    for path in entries(&host.dir).await? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with("_del") {
            let _ = remove_all(&path).await;
        } else if Uuid::try_parse(&name).is_ok() {
            // One guest's directory that cannot be read keeps no other guest from its host.
            let files = entries(&path).await.unwrap_or_else(|e| {
                tracing::warn!(path = %path.display(), error = %e, detail = e.detail, "a guest's directory cannot be read");
                Vec::new()
            });
            for file in files {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with("mirror-") || name.starts_with("snapshot-") || name.ends_with(".part") {
                    let _ = fs::remove_file(&file).await;
                }
            }
        }
    }
    for file in entries(&host.base_dir()).await? {
        if file.extension().is_some_and(|e| e == "part") {
            let _ = fs::remove_file(&file).await;
        }
    }
    Ok(())
}

async fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let failed = |e: std::io::Error| io("reading the instances directory", &e);
    let mut entries = fs::read_dir(dir).await.map_err(failed)?;
    let mut out = Vec::new();
    while let Some(entry) = entries.next_entry().await.map_err(failed)? {
        out.push(entry.path());
    }
    Ok(out)
}
