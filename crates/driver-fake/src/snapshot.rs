//! Facet `snapshot`: the simulated root disk as raw bytes, really uploaded.

use crate::driver::Fake;
use crate::machine::State;
use crate::operation::Operation;
use async_trait::async_trait;
use driver_api::{DiskFormat, Error, ImageSink, InstanceSpec, Op, Phase, Result, Snapshot, SnapshotResult};
use uuid::Uuid;

/// Bytes of the simulated root disk: enough to be a disk, little enough for ten thousand of them.
const DISK_BYTES: usize = 64 * 1024;

#[async_trait]
impl Snapshot for Fake {
    async fn snapshot(&self, spec: &InstanceSpec, image: Uuid, op: &Op) -> Result<SnapshotResult> {
        let context = self.context()?;
        let id = spec.id;
        op.report(Phase::ImagePending);
        let effect = |state: &mut State| {
            let guest = state.guest(id)?;
            Ok(disk(id, guest.image, guest.boots))
        };
        let bytes = self.change(Operation::Snapshot, id, op, effect, |_| {}).await?;
        op.report(Phase::ImageUploading);
        let size = bytes.len() as u64;
        let sink = ImageSink { format: DiskFormat::Raw, reader: Box::pin(std::io::Cursor::new(bytes)) };
        let stored = self.bounded(op, context.images.upload(image, sink)).await?;
        if stored != size {
            return Err(Error::internal("the image service kept fewer bytes than were sent", format!("{stored}/{size}")));
        }
        Ok(SnapshotResult { format: DiskFormat::Raw, size })
    }
}

/// The root disk of a guest: what it says follows from the guest alone.
fn disk(id: Uuid, image: Option<Uuid>, boots: u32) -> Vec<u8> {
    let mut bytes = format!("Kilonova simulated disk\nguest {id}\nimage {image:?}\nboots {boots}\n").into_bytes();
    bytes.resize(DISK_BYTES, 0);
    // A boot signature, so that tools see a disk and not a text.
    bytes[510] = 0x55;
    bytes[511] = 0xaa;
    bytes
}
