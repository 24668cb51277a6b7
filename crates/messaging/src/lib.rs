//! Typed calls from the control plane to a host, and the host's reports back.
//!
//! The conductor holds one [`ComputeClient`] a host; the host agent holds the other end, [`ComputeServer`]. Today the
//! transport is in process: channels. The one stream that a remote agent will dial carries the same [`Call`]s.
//! This crate knows no driver and no database, and it repeats nothing by itself: repetition belongs to flows.

mod call;
mod client;
mod report;
mod server;

pub use call::{Assignment, Call, Outcome};
pub use client::ComputeClient;
pub use report::{HostReport, Registration};
pub use server::{ComputeServer, Envelope, Reports, in_process};
