//! Clients that do not behave, against the built binary: it lives on, within its memory, and others are served
//! meanwhile. Abusers and others come from different loopback addresses, as they would from different machines.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod floods;
#[path = "../process/place.rs"]
#[allow(dead_code)] // The other target's kit; not all of it is of use here.
mod place;
mod slow;
mod sockets;
mod wild;
