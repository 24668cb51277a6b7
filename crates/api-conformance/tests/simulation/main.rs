//! The deterministic simulation: seeds, and the races of the original by name.
#![allow(clippy::unwrap_used)]

mod races;
mod seeds;
