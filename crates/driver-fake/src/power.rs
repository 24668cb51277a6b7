//! `power`: on and off. The simulated guest obeys at once, so the grace is never used up.

use crate::driver::Fake;
use crate::operation::Operation;
use driver_api::{Error, ErrorKind, EventKind, InstanceSpec, Observed, Op, Power, PowerState, Result};

impl Fake {
    pub(crate) async fn do_power(&self, spec: &InstanceSpec, to: Power, op: &Op) -> Result<Observed> {
        let id = spec.id;
        self.change(
            Operation::Power,
            id,
            op,
            |state| {
                let now = state.now();
                match to {
                    Power::Off { .. } => state.halt(id, "reboot: Power down")?,
                    Power::On => {
                        let guest = state.guest(id)?;
                        guest.define(spec);
                        let event = match guest.power {
                            PowerState::Running => None,
                            PowerState::Paused => {
                                let text = "a paused guest is continued by unpause, not by power on";
                                return Err(Error::new(ErrorKind::InvalidSpec, text));
                            }
                            PowerState::Suspended => {
                                guest.power = PowerState::Running;
                                Some(EventKind::Resumed)
                            }
                            _ => Some(guest.boot(now)),
                        };
                        if let Some(event) = event {
                            state.emit(id, event);
                        }
                    }
                }
                Ok(state.guest(id)?.observed())
            },
            |_| {},
        )
        .await
    }
}
