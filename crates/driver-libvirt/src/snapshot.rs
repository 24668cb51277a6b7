//! `Snapshot`: the root disk at one instant, as an image of its own.
//!
//! A guest that has memory (running, paused) goes on: its disk is mirrored into a second layer until both are equal,
//! then the mirror is cut. One that has none (off, suspended) is read as it lies. Formats are the recorded ones.

use crate::disks::{self, Disk, Format};
use crate::error::{from_rpc, io};
use crate::hardware::Hardware;
use crate::host::Host;
use crate::image_cache::Scratch;
use crate::options::DiskKind;
use crate::rpc::calls::{Domain, State};
use crate::rpc::client::Client;
use crate::{Libvirt, domain_xml, qemu_img};
use async_trait::async_trait;
use driver_api::{DiskFormat, Error, ErrorKind, ImageSink, InstanceSpec, Op, Phase, Result, Snapshot, SnapshotResult};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[async_trait]
impl Snapshot for Libvirt {
    async fn snapshot(&self, spec: &InstanceSpec, image: Uuid, op: &Op) -> Result<SnapshotResult> {
        let host = self.host()?;
        let client = host.client()?;
        let (domain, _) = host.must_find(&client, spec.id).await?;
        let dir = disks::dir_of(&host, spec.id);
        let layout = disks::read_layout(&dir).await?.ok_or_else(|| Error::no_instance(spec.id))?;
        let root = layout.root().ok_or_else(|| Error::new(ErrorKind::UnsupportedSpec, "the guest has no root disk"))?;
        let target = domain_xml::root_target(&Hardware::of(spec, &host.options)?);
        let work = async {
            op.report(Phase::ImagePending);
            let out = dir.join(format!("snapshot-{}", op.id));
            let _out = Scratch::new(out.clone());
            let format = take(&host, &client, &domain, root, &target, &dir, &out, op).await?;
            op.check()?;
            op.report(Phase::ImageUploading);
            let file = tokio::fs::File::open(&out).await.map_err(|e| io("reading the snapshot", &e))?;
            let format = match format {
                Format::Raw => DiskFormat::Raw,
                Format::Qcow2 => DiskFormat::Qcow2,
            };
            let size = host.context.images.upload(image, ImageSink { format, reader: Box::pin(file) }).await?;
            Ok(SnapshotResult { format, size })
        };
        let result = host.bounded(op, work).await;
        if result.is_err() {
            // A mirror that was under way when we were cancelled would go on copying.
            let _ = client.block_job_abort(&domain, &target).await;
        }
        result
    }
}

/// Writes the root disk's content to `out` and yields its format.
#[allow(clippy::too_many_arguments)]
async fn take(
    host: &Host, client: &Client, domain: &Domain, root: &Disk, target: &str, dir: &Path, out: &Path, op: &Op,
) -> Result<Format> {
    let format = match host.options.snapshot_format {
        Some(DiskKind::Raw) => Format::Raw,
        Some(DiskKind::Qcow2) => Format::Qcow2,
        None => root.format,
    };
    let disk = dir.join(disks::Role::Root.file());
    let limit = host.options.convert_seconds;
    let state = client.state(domain).await.map_err(from_rpc)?;
    if matches!(state, State::Running | State::Paused | State::ShuttingDown) {
        let mirror = dir.join(format!("mirror-{}", op.id));
        let _mirror = Scratch::new(mirror.clone());
        live(host, client, domain, root, target, &disk, &mirror, op).await?;
        op.check()?;
        qemu_img::convert((&mirror, root.format.as_str()), (out, format), limit, op).await?;
    } else {
        qemu_img::convert((&disk, root.format.as_str()), (out, format), limit, op).await?;
    }
    Ok(format)
}

#[allow(clippy::too_many_arguments)]
async fn live(
    host: &Host, client: &Client, domain: &Domain, root: &Disk, target: &str, disk: &Path, mirror: &Path, op: &Op,
) -> Result<()> {
    let shallow = match &root.base {
        Some((name, base_format)) => {
            let base: PathBuf = host.base_dir().join(name);
            let size = disks::qcow2_size(disk).await?;
            qemu_img::create_overlay(mirror, &base, *base_format, size, op).await?;
            true
        }
        None => {
            let len = tokio::fs::metadata(disk).await.map_err(|e| io("reading a disk", &e))?.len();
            disks::sparse(mirror, len).await?;
            false
        }
    };
    let dest = format!(
        "<disk type='file'><driver type='{}'/><source file='{}'/></disk>",
        root.format.as_str(),
        domain_xml::escape(&mirror.to_string_lossy()),
    );
    client.block_copy(domain, target, &dest, shallow).await.map_err(from_rpc)?;
    loop {
        op.check()?;
        match client.block_job(domain, target).await.map_err(from_rpc)? {
            // libvirt holds `cur` below `end` until both sides are equal.
            Some(job) if job.end > 0 && job.cur == job.end => break,
            Some(_) => {}
            None => return Err(Error::new(ErrorKind::Internal, "the disk's copy ended before it was whole")),
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    client.block_job_abort(domain, target).await.map_err(from_rpc)
}
