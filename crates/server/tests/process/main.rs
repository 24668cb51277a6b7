//! The built binary as a newcomer, an operator and a script meet it: real processes with a home, a data directory and
//! a port of their own. Nothing here reaches into the program.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_config;
mod clouds_yaml;
mod commands;
mod life;
mod limits;
mod place;
mod postgres;
mod tls;
mod without_root;
