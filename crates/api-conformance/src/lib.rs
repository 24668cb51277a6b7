//! The north kit and the test cluster: a whole cloud over simulated hosts in one process, and the clients that drive it.
//!
//! A [`World`] is what outlives a process: the data directory, the database, the simulated machines, the time. A
//! [`TestCluster`] is one life in it: the server's own [`server::cloud::Cloud`], put together as the binary does it,
//! its requests going through the router without a socket. A life ends in order ([`TestCluster::end`], which audits) or
//! as if its process had died ([`TestCluster::die`]). Time is virtual where the database is inline, so nothing here
//! sleeps; where the database has threads, time is real and waits are for events.
//!
//! It is a kit for tests and runs in no served process.

mod client;
mod cluster;
mod journal;
pub mod lab;
mod logs;
pub mod simulation;
mod template;
mod world;

pub use client::{Answer, Client};
pub use cluster::TestCluster;
pub use journal::journal;
pub use logs::Logs;
pub use template::Template;
pub use world::{Database, Host, Shape, World};
