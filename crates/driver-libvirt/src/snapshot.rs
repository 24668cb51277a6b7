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
use std::path::PathBuf;
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
        let shot = Shot {
            host: &host,
            client: &client,
            domain: &domain,
            root,
            target: domain_xml::root_target(&Hardware::of(spec, &host.options)?),
            disk: dir.join(disks::Role::Root.file()),
            mirror: dir.join(format!("mirror-{}", op.id)),
            out: dir.join(format!("snapshot-{}", op.id)),
        };
        op.report(Phase::ImagePending);
        let _files = [Scratch::new(shot.mirror.clone()), Scratch::new(shot.out.clone())];
        let format = shot.take(op).await?;
        op.report(Phase::ImageUploading);
        let upload = async {
            let file = tokio::fs::File::open(&shot.out).await.map_err(|e| io("reading the snapshot", &e))?;
            host.context.images.upload(image, ImageSink { format, reader: Box::pin(file) }).await
        };
        let size = host.bounded(op, upload).await?;
        Ok(SnapshotResult { format, size })
    }
}

/// One snapshot under way.
struct Shot<'a> {
    host: &'a Host,
    client: &'a Client,
    domain: &'a Domain,
    root: &'a Disk,
    /// Device of the root disk, as libvirt names it.
    target: String,
    disk: PathBuf,
    mirror: PathBuf,
    out: PathBuf,
}

impl Shot<'_> {
    /// Writes the root disk's content to `out` and yields its format.
    async fn take(&self, op: &Op) -> Result<DiskFormat> {
        let (format, word) = match self.host.options.snapshot_format {
            Some(DiskKind::Raw) => (Format::Raw, DiskFormat::Raw),
            Some(DiskKind::Qcow2) => (Format::Qcow2, DiskFormat::Qcow2),
            None if self.root.format == Format::Raw => (Format::Raw, DiskFormat::Raw),
            None => (Format::Qcow2, DiskFormat::Qcow2),
        };
        let limit = self.host.options.convert_seconds;
        let convert = |from| qemu_img::convert((from, self.root.format.as_str()), (&self.out, format), limit, op);
        // Other changes of the guest wait until its bytes are aside, and no longer.
        let turn = self.host.bounded(op, async { Ok(self.host.turn(self.domain.uuid).await) }).await?;
        let state = self.client.state(self.domain).await.map_err(from_rpc)?;
        if matches!(state, State::Running | State::Paused | State::ShuttingDown) {
            let mirrored = self.host.bounded(op, self.live(op)).await;
            if mirrored.is_err() {
                // Cut short, it would go on copying.
                let _ = self.client.block_job_abort(self.domain, &self.target).await;
            }
            mirrored?;
            drop(turn);
            self.host.bounded(op, convert(&self.mirror)).await?;
        } else {
            self.host.bounded(op, convert(&self.disk)).await?;
        }
        Ok(word)
    }

    /// Mirrors the disk of a guest that has memory until both sides are equal, and cuts the mirror there.
    async fn live(&self, op: &Op) -> Result<()> {
        if let Some((name, base_format)) = &self.root.base {
            let base = self.host.base_dir().join(name);
            let size = disks::qcow2_size(&self.disk).await?;
            qemu_img::create_overlay(&self.mirror, &base, *base_format, size, op).await?;
        } else {
            let len = tokio::fs::metadata(&self.disk).await.map_err(|e| io("reading a disk", &e))?.len();
            disks::sparse(&self.mirror, len).await?;
        }
        let dest = format!(
            "<disk type='file'><driver type='{}'/><source file='{}'/></disk>",
            self.root.format.as_str(),
            domain_xml::escape(&self.mirror.to_string_lossy()),
        );
        let shallow = self.root.base.is_some();
        // A mirror of a process that died in the middle of it; the turn is ours, so no living one is at it.
        if self.client.block_job(self.domain, &self.target).await.map_err(from_rpc)?.is_some() {
            self.client.block_job_abort(self.domain, &self.target).await.map_err(from_rpc)?;
        }
        self.client.block_copy(self.domain, &self.target, &dest, shallow).await.map_err(from_rpc)?;
        loop {
            op.check()?;
            match self.client.block_job(self.domain, &self.target).await.map_err(from_rpc)? {
                // libvirt holds `cur` below `end` until both sides are equal.
                Some(job) if job.end > 0 && job.cur == job.end => break,
                Some(_) => {}
                None => return Err(Error::new(ErrorKind::Internal, "the disk's copy ended before it was whole")),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        self.client.block_job_abort(self.domain, &self.target).await.map_err(from_rpc)
    }
}
