//! The deterministic simulation: seeds, and the races of the original by name.
#![allow(clippy::unwrap_used)]
#![allow(clippy::print_stderr, reason = "counts and failing seeds are for whoever runs it")]

mod races;
mod seeds;
