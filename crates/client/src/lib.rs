//! Typed HTTP clients of the OpenStack APIs: the few calls that our own programs make, over any cloud.
//!
//! It speaks to any Keystone v3 cloud, ours or another. It never decides anything and repeats nothing: a caller that
//! wants a retry says so.

mod cloud;
mod compute;
mod error;
mod image;
mod network;

pub use cloud::{Cloud, Credentials};
pub use compute::{Action, ActionEvent, Flavor, Hypervisor, NewServer, Server, ServerFault, ServiceRow};
pub use error::Error;
pub use image::{Image, NewImage};
pub use network::Network;
pub use reqwest::Method;
