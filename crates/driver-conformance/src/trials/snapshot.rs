//! Facet `snapshot`.

use crate::bench::{Bench, Verdict, ensure, refused, said};
use crate::shelf::Writing;
use driver_api::{DiskFormat, ErrorKind, InstanceSpec, Power, PowerState};
use std::time::Duration;
use uuid::Uuid;

const NONE: &str = "the facet went away";

/// Takes a snapshot and holds what arrived against what was promised.
async fn take(b: &Bench<'_>, spec: &InstanceSpec) -> Verdict<Uuid> {
    let driver = b.driver();
    let facet = driver.as_snapshot().ok_or(NONE)?;
    let (image, before) = (b.fresh(), b.observed(spec.id).await?);
    let result = said("snapshot", facet.snapshot(spec, image, &b.op()).await)?;
    let (format, bytes) = b.shelf.uploaded(image).ok_or("the image service got no bytes")?;
    let arrived = (format, bytes.len() as u64);
    let promised = (result.format, result.size);
    ensure(arrived == promised, || format!("{promised:?} was promised, {arrived:?} arrived"))?;
    ensure(!bytes.is_empty(), || "the snapshot is empty".to_owned())?;
    let magic = bytes.starts_with(b"QFI\xfb");
    ensure((format == DiskFormat::Qcow2) == magic, || format!("the bytes are not of the format {format:?}"))?;
    if magic {
        // A backing file would name a file of this host, which the next host has not (and must not read).
        let backing = bytes.get(8..16).is_some_and(|offset| offset.iter().any(|b| *b != 0));
        ensure(!backing, || "the snapshot refers to a backing file".to_owned())?;
    }
    let after = b.observed(spec.id).await?;
    ensure(before == after, || format!("the guest was {before:?} before and {after:?} after"))?;
    Ok(image)
}

pub(super) async fn snapshot_arrives_complete(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    take(b, &spec).await.map(drop)
}

pub(super) async fn snapshot_twice_is_two_whole_images(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_snapshot().ok_or(NONE)?;
    let (image, op) = (b.fresh(), b.op());
    for what in ["snapshot", "the same snapshot again"] {
        let result = said(what, facet.snapshot(&spec, image, &op).await)?;
        let (_, bytes) = b.shelf.uploaded(image).ok_or("the image service got no bytes")?;
        ensure(bytes.len() as u64 == result.size, || format!("{what}: {} of {} bytes arrived", bytes.len(), result.size))?;
    }
    Ok(())
}

pub(super) async fn snapshot_of_a_stopped_guest(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let off = Power::Off { grace: Duration::ZERO };
    said("power off", b.driver().power(&spec, off, &b.op()).await)?;
    take(b, &spec).await?;
    b.expect(spec.id, PowerState::Shutdown).await
}

pub(super) async fn snapshot_boots(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let image = take(b, &spec).await?;
    let copy = b.spec_of(b.uploaded_image(image)?).await?;
    said("spawn from the snapshot", b.driver().spawn(&copy, &b.op()).await)?;
    b.expect(copy.id, PowerState::Running).await
}

pub(super) async fn snapshot_that_cannot_be_stored_harms_nothing(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_snapshot().ok_or(NONE)?;
    let image = b.fresh();
    b.shelf.misbehave(image, Writing::Failing);
    let before = b.observed(spec.id).await?;
    let stored = facet.snapshot(&spec, image, &b.op()).await;
    ensure(stored.is_err(), || "a snapshot that the image service refused succeeded".to_owned())?;
    let after = b.observed(spec.id).await?;
    ensure(before == after, || format!("the guest was {before:?} before and {after:?} after"))?;
    take(b, &spec).await.map(drop)
}

pub(super) async fn snapshot_is_cancelled_soon(b: &Bench<'_>) -> Verdict {
    let spec = b.shared().await?;
    let driver = b.driver();
    let facet = driver.as_snapshot().ok_or(NONE)?;
    let (image, op) = (b.fresh(), b.op());
    b.shelf.misbehave(image, Writing::Stalled);
    let before = b.observed(spec.id).await?;
    let cancel = async {
        b.shelf.stalled(image).await;
        op.cancel.cancel();
    };
    let both = async { tokio::join!(facet.snapshot(&spec, image, &op), cancel).0 };
    let result = b.soon("the end of a cancelled snapshot", both).await?;
    refused("a cancelled snapshot", result, &[ErrorKind::Cancelled])?;
    let after = b.observed(spec.id).await?;
    ensure(before == after, || format!("the guest was {before:?} before and {after:?} after"))?;
    take(b, &spec).await.map(drop)
}
