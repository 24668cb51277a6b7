//! All SQL: SQLite and PostgreSQL behind one transaction.
//!
//! A caller hands [`Store::write`] a closure over a [`Tx`]: one durable unit, which either happened
//! wholly when the call returns `Ok`, flushed to the disk, or did not happen at all. One text of SQL
//! serves both engines: `$1, $2` parameters, the portable subset, [`Value`] in and [`Row`] out.
//!
//! What holds on both engines, so that a unit cannot behave differently on one of them:
//! * a statement that fails dooms its unit (PostgreSQL could not go on, so SQLite does not either): to
//!   branch on a conflict use `ON CONFLICT DO NOTHING` and count the rows, or [`Tx::attempt`];
//! * a unit may be run again (a PostgreSQL transaction that lost a race), so it has no effect besides SQL;
//! * a read sees one snapshot.
//!
//! This crate never decides anything: rules live in `model` and in the services. It has no clock and no
//! randomness, and nothing above it sees a database library.

pub mod aggregates;
pub mod changes;
pub mod controllers;
pub mod counters;
pub mod damage;
mod door;
mod error;
pub mod flavors;
pub mod flows;
pub mod identity;
pub mod image;
pub mod keypairs;
mod lite;
mod migrations;
mod pg;
pub mod network;
pub mod placement;
pub mod quotas;
mod row;
pub mod secrets;
pub mod server_groups;
pub mod servers;
pub mod services;
mod store;
pub mod testing;
mod tx;
mod unit;
mod value;

pub use door::Door;
pub use error::{Error, Result};
pub use row::Row;
pub use store::{SqliteMode, Store};
pub use tx::{Dialect, Tx};
pub use value::{FromValue, Value, placeholders};
