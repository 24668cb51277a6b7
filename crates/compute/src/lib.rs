//! The host agent: between the control plane's calls and one driver.
//!
//! It keeps one lane per guest, so that changes of a guest happen one after the other while guests do not wait for
//! each other; it plugs ports before a guest is made and unplugs them after it is gone; it lends the driver what it
//! needs ([`driver_api::HostContext`]); it reports what the host offers, that the backend went away and that it came
//! back. It never sees the database: all it knows came with a call, and after a restart the control plane tells it
//! again (`Sync`). Timeouts, spans and the log of failures are here, because the agent is the driver's one caller.

mod agent;
mod assignments;
mod backend;
mod console;
mod console_log;
mod destroy;
mod diagnostics;
mod host;
mod job;
mod lane;
mod ledger;
mod list;
mod options;
mod outbox;
mod pause;
mod power;
mod reboot;
mod rebuild;
mod repeats;
mod snapshot;
mod spawn;
mod suspend;
mod wiring;

#[cfg(test)]
mod tests;

pub use agent::{Agent, Parts};
pub use assignments::Assignments;
pub use lane::{Decision, Lane, Refusal, Ticket, Verb};
pub use ledger::DiskLedger;
pub use options::Options;
pub use wiring::Wiring;

/// What keeps an agent from being made at all. Failures of operations are [`driver_api::Error`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host's directory cannot be used.
    #[error("the directory {path} of the host cannot be used")]
    Directory {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}
