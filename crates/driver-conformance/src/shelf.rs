//! An image service in memory, and its misbehaviour on request.

use async_trait::async_trait;
use driver_api::{DiskFormat, Error, ErrorKind, ImageRef, ImageSink, ImageSource, ImageStream, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::sync::Notify;
use uuid::Uuid;

/// Where an image's bytes are.
#[derive(Debug, Clone)]
pub enum Bytes {
    /// In memory.
    Memory(Arc<Vec<u8>>),
    /// In a file.
    File(PathBuf),
}

impl Bytes {
    /// How many.
    /// # Errors
    /// The file cannot be read.
    pub fn len(&self) -> std::io::Result<u64> {
        match self {
            Bytes::Memory(bytes) => Ok(bytes.len() as u64),
            Bytes::File(path) => Ok(std::fs::metadata(path)?.len()),
        }
    }

    /// Whether there are none.
    /// # Errors
    /// The file cannot be read.
    pub fn is_empty(&self) -> std::io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// How an image behaves when it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    Whole,
    /// Half of the bytes, then the end, though the recorded size says otherwise.
    Truncated,
    /// One byte, then nothing for ever.
    Stalled,
}

/// How the service behaves when it is given bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writing {
    /// Refuses after the first bytes.
    Failing,
    /// Never ends.
    Stalled,
}

#[derive(Clone)]
struct Kept {
    format: DiskFormat,
    bytes: Bytes,
    reading: Reading,
}

#[derive(Default)]
struct Inner {
    images: BTreeMap<Uuid, Kept>,
    writing: BTreeMap<Uuid, Writing>,
    uploads: u32,
    /// Told when somebody waits for bytes that never come, by image.
    stalled: BTreeMap<Uuid, Arc<Notify>>,
}

/// Images by id.
#[derive(Default)]
pub struct Shelf(Mutex<Inner>);

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, id: Uuid, format: DiskFormat, bytes: Bytes, reading: Reading) {
        self.lock().images.insert(id, Kept { format, bytes, reading });
    }

    pub(crate) fn misbehave(&self, id: Uuid, writing: Writing) {
        self.lock().writing.insert(id, writing);
    }

    fn bell(&self, id: Uuid) -> Arc<Notify> {
        Arc::clone(self.lock().stalled.entry(id).or_default())
    }

    /// Ends when a driver waits for bytes of `id` that never come, or for an upload that never ends.
    pub(crate) async fn stalled(&self, id: Uuid) {
        self.bell(id).notified().await;
    }

    /// Uploads that were begun.
    pub(crate) fn uploads(&self) -> u32 {
        self.lock().uploads
    }

    /// Format and bytes of an image that was uploaded.
    pub(crate) fn uploaded(&self, id: Uuid) -> Option<(DiskFormat, Arc<Vec<u8>>)> {
        match self.lock().images.get(&id)? {
            Kept { format, bytes: Bytes::Memory(bytes), .. } => Some((*format, Arc::clone(bytes))),
            Kept { .. } => None,
        }
    }

    /// How a driver is told of the image.
    pub(crate) fn reference(&self, id: Uuid) -> std::result::Result<ImageRef, String> {
        let kept = self.lock().images.get(&id).cloned().ok_or_else(|| format!("the kit has no image {id}"))?;
        Ok(ImageRef {
            id,
            name: "conformance".to_owned(),
            disk_format: kept.format,
            container_format: "bare".to_owned(),
            size: kept.bytes.len().map_err(|e| format!("the kit's image cannot be read: {e}"))?,
            virtual_size: None,
            hash: None,
            properties: BTreeMap::new(),
        })
    }
}

/// Never yields a byte and never ends.
struct Stalled(Arc<Notify>);

impl AsyncRead for Stalled {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.0.notify_one();
        Poll::Pending
    }
}

#[async_trait]
impl ImageSource for Shelf {
    async fn open(&self, image: Uuid) -> Result<ImageStream> {
        let kept = self.lock().images.get(&image).cloned();
        let kept = kept.ok_or_else(|| Error::new(ErrorKind::NotFound, format!("image {image} does not exist")))?;
        let broken = |e: std::io::Error| Error::internal("the kit's image cannot be read", e);
        let size = kept.bytes.len().map_err(broken)?;
        let whole: Pin<Box<dyn AsyncRead + Send>> = match &kept.bytes {
            Bytes::Memory(bytes) => Box::pin(std::io::Cursor::new(bytes.as_ref().clone())),
            Bytes::File(path) => Box::pin(tokio::fs::File::open(path).await.map_err(broken)?),
        };
        let reader: Pin<Box<dyn AsyncRead + Send>> = match kept.reading {
            Reading::Whole => whole,
            Reading::Truncated => Box::pin(whole.take(size / 2)),
            Reading::Stalled => Box::pin(whole.take(1).chain(Stalled(self.bell(image)))),
        };
        Ok(ImageStream { format: kept.format, size, reader, local: None })
    }

    async fn upload(&self, image: Uuid, mut sink: ImageSink) -> Result<u64> {
        let writing = {
            let mut inner = self.lock();
            inner.uploads += 1;
            inner.writing.get(&image).copied()
        };
        let broken = |e: std::io::Error| Error::internal("the snapshot's bytes broke off", e);
        match writing {
            Some(Writing::Failing) => {
                let mut first = [0; 512];
                // What comes does not matter: the service has no room for it.
                let _ = sink.reader.read(&mut first).await.map_err(broken)?;
                Err(Error::new(ErrorKind::NoCapacity, "the image service is full"))
            }
            Some(Writing::Stalled) => {
                self.bell(image).notify_one();
                std::future::pending().await
            }
            None => {
                let mut bytes = Vec::new();
                sink.reader.read_to_end(&mut bytes).await.map_err(broken)?;
                let size = bytes.len() as u64;
                self.add(image, sink.format, Bytes::Memory(Arc::new(bytes)), Reading::Whole);
                Ok(size)
            }
        }
    }
}
