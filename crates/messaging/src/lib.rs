//! Typed calls from the control plane to a host, and the host's reports back.
//!
//! The conductor holds one [`ComputeClient`] a host; the host agent holds the other end, [`ComputeServer`]. Today the
//! transport is in process: channels. The one stream that a remote agent will dial carries the same [`Call`]s.
//! This crate knows no driver and no database. It repeats a message that a transport may have lost, under one number, so
//! that the host does nothing twice for it; to do something a second time is the flows' decision.

mod call;
mod client;
mod link;
mod report;
mod server;

pub use call::{Assignment, Call, Outcome};
pub use client::ComputeClient;
pub use link::{Link, SILENCE, Way, in_process_over};
pub use report::{HostReport, Registration};
pub use server::{ComputeServer, Envelope, Plugged, Reports, in_process};
