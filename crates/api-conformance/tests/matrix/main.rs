//! The failure matrix: every step of every flow going wrong in every way, the process killed at every durable write,
//! every pair of operations on one server, and the fences. All of it is generated from `ACTIONS`, `Step`, `Mode` and
//! `ErrorKind`; a step or a way of going wrong that was not exercised fails the suite, so nothing can be added without
//! its scenes. Virtual time, simulated hosts.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "the counts are told")]

mod fencing;
mod pairs;
mod plan;
mod scene;
mod steps;
mod truth;
mod writes;
