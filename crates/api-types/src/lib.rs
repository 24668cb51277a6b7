//! The north contract: bodies of the Compute API.
//!
//! Requests are read by [`check`], strictly and by microversion; answers are serde structs whose optional fields
//! are left out. One module a resource. Nothing here is stored, looked up or decided.

pub mod aggregates;
pub mod check;
pub mod consoles;
pub mod flavors;
pub mod hypervisors;
pub mod instance_actions;
pub mod keypairs;
pub mod link;
pub mod microversion;
pub mod quotas;
pub mod server_actions;
pub mod server_groups;
pub mod server_view;
pub mod servers;
pub mod services;
pub mod versions;

pub use check::Invalid;
pub use link::Link;
pub use microversion::Microversion;
