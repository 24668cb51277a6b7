//! Bytes into an image: from a client, which ends active or queued again, and from a host, which leaves a record.

use crate::error::{Error, Result};
use crate::files::Incoming;
use crate::write::{Bounds, check_size, receive};
use crate::{Images, modifiable};
use driver_api::DiskFormat;
use model::Context;
use model::image::{Image, Status, Written};
use std::time::Duration;
use tokio::io::AsyncRead;
use uuid::Uuid;

/// Containers whose bytes are a disk; the others are archives, whose inside nobody here opens.
const DISKS: &[&str] = &["bare", "ami", "ari", "aki"];

impl Images {
    /// Gives a queued image its bytes and makes it active. When this fails the image is queued as before and no byte is
    /// left. The caller of this must not drop it half-way: the work belongs in a task of its own.
    /// # Errors
    /// `NotFound`, `Forbidden`; `Conflict` if it is not queued; `Invalid` if its formats are not set; `TooLarge`;
    /// `Refused` if the bytes are not what was declared; `Incomplete`; `Gone` if it was deleted meanwhile.
    pub async fn upload(
        &self,
        caller: &Context,
        id: Uuid,
        announced: Option<u64>,
        reader: impl AsyncRead + Send + Unpin,
    ) -> Result<()> {
        let writer = format!("upload:{}", self.env().uuid());
        let (image, room) = self.begin(caller, id, &writer, announced).await?;
        let result = self.receive_into(&image, &writer, announced, room, reader).await;
        if result.is_err() {
            self.give_up(id, &writer).await;
        }
        result
    }

    /// queued → saving; also how many bytes may come.
    async fn begin(&self, caller: &Context, id: Uuid, writer: &str, announced: Option<u64>) -> Result<(Image, u64)> {
        let (caller, writer, now) = (caller.clone(), writer.to_owned(), self.env().now());
        let (max, quota) = (self.options().max_size, self.options().project_bytes);
        let run = move |tx: &mut store::Tx| {
            let mut image = modifiable(tx, &caller, id, "upload_image").map_err(|e| match Error::from_unit(e) {
                Error::Forbidden(_) => {
                    store::Error::abort(Error::Forbidden(format!("Not allowed to upload image data for image {id}")))
                }
                other => store::Error::abort(other),
            })?;
            check_ready(&image).map_err(store::Error::abort)?;
            let room = room(tx, &image, max, quota)?;
            if let Some(size) = announced {
                fits(size, room, max).map_err(store::Error::abort)?;
            }
            if !store::image::begin_upload(tx, id, &writer, now)? {
                // Somebody else was first between our look and our step.
                return Err(store::Error::abort(busy(Status::Saving)));
            }
            image.status = Status::Saving;
            Ok((image, room))
        };
        self.store().write(run).await.map_err(Error::from_unit)
    }

    async fn receive_into(
        &self,
        image: &Image,
        writer: &str,
        announced: Option<u64>,
        room: u64,
        reader: impl AsyncRead + Send + Unpin,
    ) -> Result<()> {
        let id = image.id;
        let Some(format) = image.disk_format else { return Err(Error::no_image(id)) };
        let inspect = image.container_format.as_deref().is_some_and(|c| DISKS.contains(&c));
        let bounds = self.bounds(format, inspect, announced);
        let bounds = Bounds { max_size: room, ..bounds };
        let (incoming, written) =
            receive(self.files(), self.env().uuid(), bounds, reader).await.map_err(|e| match e {
                // The bound that was hit may have been the project's.
                Error::TooLarge(_) if room < self.options().max_size => over_quota(room),
                other => other,
            })?;
        self.keep(incoming, id).await?;
        let (writer, now) = (writer.to_owned(), self.env().now());
        let (quota, owner) = (self.options().project_bytes, image.owner.clone());
        let run = move |tx: &mut store::Tx| {
            // Uploads at the same time each saw the room that all of them share.
            if let (Some(quota), Some(owner)) = (quota, &owner) {
                let left = quota.saturating_sub(store::image::used_bytes(tx, owner)?);
                if written.size > left {
                    return Err(store::Error::abort(over_quota(left)));
                }
            }
            store::image::activate(tx, id, &writer, &written, now)
        };
        match self.store().write(run).await.map_err(Error::from_unit)? {
            true => Ok(()),
            false => Err(Error::gone(id)),
        }
    }

    fn bounds(&self, format: DiskFormat, inspect: bool, announced: Option<u64>) -> Bounds {
        Bounds {
            format,
            inspect,
            max_size: self.options().max_size,
            max_virtual_size: self.options().max_virtual_size,
            announced,
            idle: Duration::from_secs(self.options().idle_timeout),
        }
    }

    async fn keep(&self, incoming: Incoming, id: Uuid) -> Result<()> {
        let _keeping = self.0.keeping.lock().await;
        self.files().blocking(move |files| files.keep(incoming, id)).await
    }

    /// saving → queued, without bytes. Whatever fails here the next start repairs.
    async fn give_up(&self, id: Uuid, writer: &str) {
        let (writer, now) = (writer.to_owned(), self.env().now());
        let run = move |tx: &mut store::Tx| {
            let ours = store::image::abort_upload(tx, id, &writer, now)?;
            Ok(ours || store::image::find(tx, id)?.is_none())
        };
        match self.store().write(run).await {
            // Neither ours nor gone: the commit that seemed to fail did happen, and the bytes belong to the image.
            Ok(false) => {}
            Ok(true) => {
                if let Err(e) = self.discard(id).await {
                    tracing::warn!(image = %id, error = %e, "the bytes of a failed upload stay until the next start");
                }
            }
            Err(e) => tracing::warn!(image = %id, error = %e, "a failed upload stays in saving until the next start"),
        }
    }

    /// Gives a snapshot that its flow queued its bytes, durably, and records what they are. Repeated, it replaces them.
    /// # Errors
    /// `NotFound` if no flow queued such an image (or a user deleted it); `TooLarge`; `Refused` if the bytes are not of
    /// `format`, which a guest can bring about by what it writes at the start of a raw disk.
    pub async fn write(&self, id: Uuid, format: DiskFormat, reader: impl AsyncRead + Send + Unpin) -> Result<Written> {
        let image = self.store().read(move |tx| store::image::find(tx, id)).await?;
        image
            .filter(|i| i.writer.as_deref().is_some_and(|w| w.starts_with("flow:")))
            .ok_or_else(|| Error::no_image(id))?;
        let bounds = self.bounds(format, true, None);
        let (incoming, written) = receive(self.files(), self.env().uuid(), bounds, reader).await?;
        let _keeping = self.0.keeping.lock().await;
        // Whoever removed the image meanwhile removed what bytes there were then, and does not look again.
        if self.store().read(move |tx| store::image::find(tx, id)).await?.is_none() {
            return Err(Error::no_image(id));
        }
        let (record, name) = (written.clone(), self.env().uuid());
        let keep = move |files: &crate::files::Files| {
            files.keep(incoming, id)?;
            files.write_record(id, &record, name)
        };
        self.files().blocking(keep).await?;
        Ok(written)
    }
}

fn busy(status: Status) -> Error {
    Error::Conflict(format!("Image status transition from {} to saving is not allowed", status.as_str()))
}

/// May bytes come? (`glance/domain/__init__.py`, the setter of `status`.)
fn check_ready(image: &Image) -> Result<()> {
    if image.status != Status::Queued {
        return Err(busy(image.status));
    }
    if image.writer.is_some() {
        return Err(Error::Conflict("The image is a snapshot whose data its server's host writes.".into()));
    }
    match (image.disk_format.is_some(), image.container_format.is_some()) {
        (true, true) => Ok(()),
        (false, true) => Err(Error::Invalid("Property disk_format must be set prior to saving data.".into())),
        (true, false) => Err(Error::Invalid("Property container_format must be set prior to saving data.".into())),
        (false, false) => {
            Err(Error::Invalid("Properties disk_format, container_format must be set prior to saving data.".into()))
        }
    }
}

/// Bytes that may come: the largest image, or what is left of the project's share.
fn room(tx: &mut store::Tx, image: &Image, max: u64, quota: Option<u64>) -> store::Result<u64> {
    match (quota, &image.owner) {
        (Some(quota), Some(owner)) => Ok(quota.saturating_sub(store::image::used_bytes(tx, owner)?).min(max)),
        _ => Ok(max),
    }
}

fn fits(size: u64, room: u64, max: u64) -> Result<()> {
    check_size(size, max)?;
    if size > room { Err(over_quota(room)) } else { Ok(()) }
}

fn over_quota(left: u64) -> Error {
    Error::TooLarge(format!(
        "Image exceeds the storage quota: The size of the data will exceed the limit. {left} bytes remaining."
    ))
}
