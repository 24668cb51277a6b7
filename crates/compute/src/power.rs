//! `power`: on and off. The wires are made sure of before a start: a host that was booted has lost its taps.

use crate::host::Host;
use driver_api::{Observed, Op, Power, Result};
use messaging::Assignment;

impl Host {
    pub(crate) async fn power(&self, a: &Assignment, to: Power, op: &Op) -> Result<Observed> {
        match to {
            Power::On => self.driver.power(&self.wire(&a.spec).await?, to, op).await,
            Power::Off { .. } => self.driver.power(&self.with_devices(&a.spec), to, op).await,
        }
    }
}
