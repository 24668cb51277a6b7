//! The reference driver: simulated hosts with virtual time, a fault plan, consoles that speak and guests that
//! survive a restart when asked to.
//!
//! Two halves: [`Machine`] is the simulated hypervisor (the backend), [`Fake`] the driver in front of it, so that a
//! driver can be dropped and opened again while the machine runs on. It is shipped, not test-only: it is how a
//! newcomer tries the API without a hypervisor and how ten thousand hosts fit into one process, so it keeps no task
//! and no buffer per host. It never runs anything, opens no socket, and draws no randomness but the seed of its
//! fault plan.

mod console;
mod console_log;
mod destroy;
mod diagnostics;
mod driver;
mod events;
mod faults;
mod guest;
mod machine;
mod operation;
mod options;
mod pause;
mod persist;
mod power;
mod reboot;
mod rfb;
mod serial;
mod snapshot;
mod spawn;
mod suspend;

pub use driver::Fake;
pub use faults::{FaultRule, When};
pub use guest::Guest;
pub use machine::Machine;
pub use operation::Operation;
pub use options::{Options, OptionsError};
