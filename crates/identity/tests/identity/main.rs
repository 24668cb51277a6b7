//! The Keystone door, driven through its router: logins, tokens that lose their worth, resources, policy, bad input.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod credentials;
mod guesses;
mod harness;
mod login;
mod policy;
mod resources;
mod roles;
mod several;
mod worth;
