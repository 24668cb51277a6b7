//! `refresh`: what changed without being an operation (rules, ports, metadata), and the end of wires that belong to
//! nobody any more.

use crate::host::Host;
use driver_api::{ErrorKind, InstanceSpec, Result};
use messaging::Assignment;
use uuid::Uuid;

impl Host {
    /// Wires of a guest that is there become what the assignment says. A guest that is not made yet gets its wires
    /// from `spawn`; a backend that does not answer is no reason to leave old rules in force.
    pub(crate) async fn refresh(&self, a: &Assignment) -> Result<()> {
        let Some(wiring) = self.wires() else { return Ok(()) };
        match self.driver.get(a.spec.id).await {
            Err(e) if e.kind == ErrorKind::NotFound => Ok(()),
            _ => wiring.plug(&a.spec).await.map(drop),
        }
    }

    /// Takes away wires of a guest that is not assigned here (any more): its addresses may belong to another by now.
    pub(crate) async fn unwire(&self, id: Uuid) -> Result<()> {
        match self.wires() {
            Some(wiring) if self.assignments.get(id).is_none() => wiring.unplug(id).await,
            _ => Ok(()),
        }
    }

    /// Guests that have wires.
    pub(crate) async fn wired(&self) -> Result<Vec<Uuid>> {
        match self.wires() {
            Some(wiring) => wiring.wired().await,
            None => Ok(Vec::new()),
        }
    }

    /// The specification with the devices' names, for calls that change no wire.
    pub(crate) fn with_devices(&self, a: &Assignment) -> InstanceSpec {
        let mut spec = a.spec.clone();
        if self.wires().is_some() {
            for nic in &mut spec.nics {
                nic.device = crate::wiring::device(nic.port_id);
            }
        }
        spec
    }
}
