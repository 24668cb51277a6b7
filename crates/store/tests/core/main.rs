//! The core aggregates, each rule on every engine.
#![allow(clippy::unwrap_used)]

mod flows;
mod make;
mod operator;
mod plans;
mod quotas;
mod servers;
