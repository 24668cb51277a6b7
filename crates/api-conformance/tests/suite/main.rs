//! The control plane over simulated hosts, from outside: what it promises, held in one program.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod builds;
mod commits;
mod determinism;
mod hosts;
mod lifecycle;
mod quota;
mod restart;
mod secrets;
mod server_password;
mod steering;
mod tenants;
mod tokens;
