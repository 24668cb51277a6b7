//! What the agent asks of the host's network around the driver's calls.

use async_trait::async_trait;
use driver_api::{InstanceSpec, Result};
use uuid::Uuid;

/// The host's network as the agent sees it. A host without one (`networking = false`, or a backend that owns the
/// network) has no implementation at all.
#[async_trait]
pub trait Wiring: Send + Sync {
    /// Makes the guest's wires what `spec` says: what is missing is made, what changed is changed, what is no longer
    /// named is taken away. Returns the host-side device of each interface, in order.
    /// # Errors
    /// Any; what was made stays until `unplug`.
    async fn plug(&self, spec: &InstanceSpec) -> Result<Vec<String>>;
    /// Takes all wires of a guest away; the absent is no error.
    /// # Errors
    /// Any.
    async fn unplug(&self, instance: Uuid) -> Result<()>;
    /// Guests that have wires, sorted.
    /// # Errors
    /// Any.
    async fn wired(&self) -> Result<Vec<Uuid>>;
}

/// Name of a port's host-side device: `tap` and the first 11 characters of the port's id, as Neutron's agents name it
/// (an interface name has at most 15 bytes).
pub(crate) fn device(port: Uuid) -> String {
    format!("tap{}", &port.to_string()[..11])
}
