//! What a driver may ask of the platform. Handed over in `start`; everything else comes as arguments.

use crate::{Clock, DiskFormat, Result};
use async_trait::async_trait;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use tokio::io::AsyncRead;
use uuid::Uuid;

/// Bytes of an image with what is recorded about them. The format is recorded, never guessed from the bytes.
pub struct ImageStream {
    /// Recorded format of the bytes.
    pub format: DiskFormat,
    /// Bytes in all.
    pub size: u64,
    /// The bytes.
    pub reader: Pin<Box<dyn AsyncRead + Send>>,
    /// Path of a local file with exactly these bytes, where the image store is on this machine. Read only.
    pub local: Option<PathBuf>,
}

/// Where a snapshot's bytes go.
pub struct ImageSink {
    /// Format of the bytes that follow.
    pub format: DiskFormat,
    /// The bytes; read to the end.
    pub reader: Pin<Box<dyn AsyncRead + Send>>,
}

/// The image service as a host sees it.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// Opens an active image.
    /// # Errors
    /// `NotFound` if there is none; `Unreachable` if the service does not answer.
    async fn open(&self, image: Uuid) -> Result<ImageStream>;
    /// Gives the queued image `image` its bytes. The platform activates it when the flow commits.
    /// # Errors
    /// As `open`; `NoCapacity` where the store is full.
    async fn upload(&self, image: Uuid, sink: ImageSink) -> Result<u64>;
}

/// Documents of a guest that hold secrets: the driver asks for them by reference, at the moment of use.
#[async_trait]
pub trait GuestDocuments: Send + Sync {
    /// An ISO 9660 image labelled `config-2` for this guest.
    /// # Errors
    /// `NotFound` if the guest is not assigned to this host.
    async fn config_drive(&self, instance: Uuid) -> Result<Vec<u8>>;
}

/// Opaque bytes for drivers whose backend can store nothing itself (IPMI). Survives restarts of the host agent.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Bytes kept under `key`.
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>>;
    /// Keeps `value` durably under `key`.
    async fn put(&self, key: &str, value: Vec<u8>) -> Result<()>;
    /// Forgets `key`; absent keys are no error.
    async fn delete(&self, key: &str) -> Result<()>;
    /// All keys, sorted.
    async fn keys(&self) -> Result<Vec<String>>;
}

/// What the host lends to its driver.
#[derive(Clone)]
pub struct HostContext {
    /// Name of the compute host (`[[compute]] name`).
    pub host: String,
    /// Directory that belongs to this host's driver alone.
    pub data_dir: PathBuf,
    /// Network namespace this host lives in (`/run/netns/NAME`), `None` for the machine's own.
    pub netns: Option<String>,
    /// Time.
    pub clock: Clock,
    /// Images in and out.
    pub images: Arc<dyn ImageSource>,
    /// Guests' secret documents.
    pub documents: Arc<dyn GuestDocuments>,
    /// Bytes lent.
    pub ledger: Arc<dyn Ledger>,
}
