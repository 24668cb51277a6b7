//! What the kit must be given of a backend, and the laboratory around it.

use crate::shelf::Bytes;
use async_trait::async_trait;
use driver_api::{Clock, DiskFormat, ImageRef, InstanceSpec};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// An image that the backend boots.
pub struct BootImage {
    /// Its format.
    pub format: DiskFormat,
    /// Its bytes.
    pub bytes: Bytes,
}

/// One backend, as far as the kit cannot reach it through the driver.
#[async_trait]
pub trait Ground: Send + Sync {
    /// An image that boots. Small ones make the kit quick.
    fn image(&self) -> BootImage;

    /// Makes of a plain specification one that this backend can run.
    fn shape(&self, _spec: &mut InstanceSpec) {}

    /// Makes the host-side devices of the guest and names them in the specification, as the host agent would.
    /// # Errors
    /// Why it cannot.
    async fn plug(&self, _spec: &mut InstanceSpec) -> Result<(), String> {
        Ok(())
    }

    /// Takes the devices away again.
    async fn unplug(&self, _instance: Uuid) {}

    /// What the backend still holds of a guest that was destroyed, seen without the driver: domains, directories,
    /// volumes. Empty is right.
    async fn leftovers(&self, instance: Uuid) -> Vec<String>;

    /// Whether `set_reachable` is built: only then the trials that need it are listed.
    fn can_disconnect(&self) -> bool {
        false
    }

    /// Makes the backend answer or not, as its daemon stops and starts again.
    async fn set_reachable(&self, _reachable: bool) {}
}

/// The laboratory of one run.
pub struct Lab {
    /// Name of the host.
    pub host: String,
    /// The driver's directory.
    pub data_dir: PathBuf,
    /// Namespace the host lives in.
    pub netns: Option<String>,
    /// Time.
    pub clock: Clock,
    /// The backend.
    pub ground: Arc<dyn Ground>,
    /// Start of the ids that the run gives to guests, images and operations. Runs that share a backend need their own.
    pub seed: u128,
    /// Longest time for one trial.
    pub limit: Duration,
    /// Longest time for what the contract calls "soon": a cancellation, an event.
    pub soon: Duration,
}

impl Lab {
    /// A laboratory with time limits that suit an emulated guest on a slow machine.
    pub fn new(host: &str, data_dir: PathBuf, clock: Clock, ground: Arc<dyn Ground>, seed: u128) -> Lab {
        let (limit, soon) = (Duration::from_secs(300), Duration::from_secs(30));
        Lab { host: host.to_owned(), data_dir, netns: None, clock, ground, seed, limit, soon }
    }
}

/// A small guest of `image`.
pub fn plain_spec(id: Uuid, image: ImageRef) -> InstanceSpec {
    InstanceSpec {
        id,
        generation: 1,
        // A name is a tenant's text: drivers must quote it wherever they put it.
        name: "conformance <&'\"> guest".to_owned(),
        hostname: "conformance".to_owned(),
        project_id: "0123456789abcdef0123456789abcdef".to_owned(),
        user_id: "fedcba9876543210fedcba9876543210".to_owned(),
        node: String::new(),
        flavor_name: "m1.conformance".to_owned(),
        vcpus: 1,
        memory_mib: 128,
        root_gib: 1,
        ephemeral_gib: 0,
        swap_mib: 0,
        extra_specs: BTreeMap::new(),
        image: Some(image),
        kernel: None,
        ramdisk: None,
        config_drive: false,
        nics: Vec::new(),
        metadata: BTreeMap::new(),
    }
}
