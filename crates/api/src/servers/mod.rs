//! Servers: one file per verb.

pub mod create;
pub mod delete;
pub mod filter;
pub mod get;
pub mod ips;
pub mod list;
pub mod metadata;
pub mod name;
pub mod show;
pub mod tags;
#[cfg(test)]
pub mod testing;
pub mod update;
pub mod view;
