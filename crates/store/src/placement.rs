//! Placement's rows: providers, inventories, traits, aggregates, consumers and allocations.
//!
//! `inventories.used` is changed here only, and only by guarded updates: what two schedulers promise at the
//! same instant the database decides. Never filters or weighs; that is the service's work in memory.

pub mod allocations;
pub mod inventories;
pub mod names;
pub mod providers;
pub mod traits;
