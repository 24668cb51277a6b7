//! DHCP for guests: one static lease for each port, nothing kept, so a restart loses nothing.
//!
//! [`answer`] is a pure function of a request and a lease. The server reads from an ordinary socket in the network's
//! namespace and writes whole frames, addressed to the hardware address that asked: a client without an address
//! is reached without ARP, no other guest sees its lease, and the checksum is there for clients that look at it.

mod answer;
mod frame;
mod server;

pub(crate) use answer::{Lease, leases};
pub(crate) use server::{Leases, open, serve};
