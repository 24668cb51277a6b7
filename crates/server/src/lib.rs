//! One binary: every role in one process, or the parts of it that tests put together.
//!
//! `kilonova up` reads the configuration, opens the data directory and the database, puts the cloud together
//! ([`cloud`]) and serves it on one listener. Nothing here knows what a server is.

mod announce;
pub mod audit;
pub mod cloud;
pub mod clouds_yaml;
pub mod config;
pub mod datadir;
pub mod doctor;
pub mod documents;
pub mod listener;
pub mod owner;
mod root;
mod seed;
pub mod tls;
pub mod up;
