//! Bytes on their way in: measured, hashed, inspected and written, a mebibyte at a time.
//!
//! The async side fills one buffer while a blocking thread works on the other, so that no thread waits for a slow
//! sender and no async thread hashes: a mebibyte of MD5 and SHA-512 takes several milliseconds.

use crate::error::{Error, Result};
use crate::files::{Files, Incoming};
use bytes::BufMut;
use driver_api::DiskFormat;
use imagefmt::{Inspector, Limits};
use md5::Md5;
use model::image::Written;
use sha2::{Digest, Sha512};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Bytes worked on at once.
const CHUNK: usize = 1 << 20;
/// From so many bytes on a second thread pays: each digest makes 0.4 GB/s at the most, a thread costs 20 µs.
const SPLIT: usize = 256 << 10;

/// What an upload is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Declared format.
    pub(crate) format: DiskFormat,
    /// The container is one whose inside is a disk, so the bytes are inspected.
    pub(crate) inspect: bool,
    /// Largest image.
    pub(crate) max_size: u64,
    /// Largest disk inside.
    pub(crate) max_virtual_size: u64,
    /// What the sender announced.
    pub(crate) announced: Option<u64>,
    /// Longest silence.
    pub(crate) idle: Duration,
}

/// What the blocking side holds; dropped unfinished, it leaves nothing.
struct Work {
    incoming: Incoming,
    md5: Md5,
    sha512: Sha512,
    inspector: Option<Inspector>,
    size: u64,
}

impl Work {
    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        // First what may refuse, so that a refused image costs no disk.
        if let Some(inspector) = &mut self.inspector {
            inspector.feed(bytes)?;
        }
        if bytes.len() < SPLIT {
            self.md5.update(bytes);
            self.sha512.update(bytes);
            self.incoming.write(bytes)?;
        } else {
            let (md5, sha512, incoming) = (&mut self.md5, &mut self.sha512, &mut self.incoming);
            std::thread::scope(|scope| {
                scope.spawn(|| md5.update(bytes));
                sha512.update(bytes);
                incoming.write(bytes)
            })?;
        }
        self.size += bytes.len() as u64;
        Ok(())
    }
}

/// Where the blocking side is: at rest with an empty buffer, or at work on a full one.
enum Side {
    Rest(Box<Work>, Vec<u8>),
    Busy(JoinHandle<Result<(Box<Work>, Vec<u8>)>>),
}

impl Side {
    async fn rest(self) -> Result<(Box<Work>, Vec<u8>)> {
        match self {
            Side::Rest(work, buffer) => Ok((work, buffer)),
            Side::Busy(running) => running
                .await
                .unwrap_or_else(|e| Err(Error::Disk { doing: "in a worker thread", source: std::io::Error::other(e) })),
        }
    }
}

/// Takes all of `reader` into a file without a name yet.
pub(crate) async fn receive(
    files: &Files,
    name: Uuid,
    bounds: Bounds,
    mut reader: impl AsyncRead + Send + Unpin,
) -> Result<(Incoming, Written)> {
    let incoming = files.blocking(move |files| files.incoming(name)).await?;
    let limits = Limits { max_virtual_size: bounds.max_virtual_size };
    let inspector = bounds.inspect.then(|| Inspector::with_limits(bounds.format, limits));
    let work = Work { incoming, md5: Md5::new(), sha512: Sha512::new(), inspector, size: 0 };
    let mut side = Side::Rest(Box::new(work), Vec::new());
    let (mut buffer, mut total) = (Vec::new(), 0_u64);
    loop {
        let filled = fill(&mut reader, &mut buffer, bounds.idle).await;
        total = total.saturating_add(buffer.len() as u64);
        // Whatever went wrong here, nobody hears of it before the blocking side is at rest and cleans up.
        let (mut work, spare) = side.rest().await?;
        filled.and_then(|()| check_size(total, bounds.max_size))?;
        if buffer.is_empty() {
            return finish(files, work, bounds).await;
        }
        let mut full = std::mem::replace(&mut buffer, spare);
        if files.inline() {
            work.take(&full)?;
            full.clear();
            side = Side::Rest(work, full);
            continue;
        }
        side = Side::Busy(tokio::task::spawn_blocking(move || {
            work.take(&full)?;
            full.clear();
            Ok((work, full))
        }));
    }
}

/// Fills the buffer, unless the data ends before.
async fn fill(reader: &mut (impl AsyncRead + Send + Unpin), buffer: &mut Vec<u8>, idle: Duration) -> Result<()> {
    while buffer.len() < CHUNK {
        let room = CHUNK - buffer.len();
        if buffer.capacity() - buffer.len() < room.min(CHUNK / 16) {
            buffer.reserve(room.min(buffer.len().max(CHUNK / 16)));
        }
        let mut limited = (&mut *buffer).limit(room);
        let read = tokio::time::timeout(idle, reader.read_buf(&mut limited)).await;
        match read {
            Ok(Ok(0)) => break,
            Ok(Ok(_)) => {}
            Ok(Err(e)) => return Err(Error::Incomplete(format!("The image data ended before its end: {e}."))),
            Err(_) => {
                return Err(Error::Incomplete(format!("No image data came for {} seconds.", idle.as_secs())));
            }
        }
    }
    Ok(())
}

/// Refuses what is larger than an image may be.
pub(crate) fn check_size(size: u64, max: u64) -> Result<()> {
    if size > max {
        return Err(Error::TooLarge(format!(
            "The incoming image is too large: The provided image is too large; at most {max} bytes are allowed."
        )));
    }
    Ok(())
}

async fn finish(files: &Files, work: Box<Work>, bounds: Bounds) -> Result<(Incoming, Written)> {
    if let Some(announced) = bounds.announced.filter(|n| *n != work.size) {
        return Err(Error::Incomplete(format!(
            "{} bytes of image data came, but {announced} were announced; send the image again.",
            work.size
        )));
    }
    let close = move |_: &Files| {
        let virtual_size = work.inspector.map(Inspector::finish).transpose()?.map(|i| i.virtual_size);
        let written = Written {
            format: bounds.format,
            size: work.size,
            virtual_size,
            checksum: hex::encode(work.md5.finalize()),
            sha512: hex::encode(work.sha512.finalize()),
        };
        Ok((work.incoming, written))
    };
    files.blocking(close).await
}
