//! nftables: who may send what from a port, what reaches it, and the gateway's translation. Texts only; pure.
//!
//! Table `bridge kilonova` holds four verdict maps by interface: frames from a port (`from_port`), to a port
//! (`to_port`), from a port to the host itself (`host_in`) and from the host to a port (`host_out`). Each port has its
//! own chains, so that one transaction replaces what a port may do; nothing else in the table changes.
//!
//! Replies are recognised by sets of flows that belong to the port, not by the kernel's connection tracking: tracking
//! of bridged frames is a part that kernels lack, its one table would mix tenants with equal addresses and let one
//! tenant fill it for all, and through `br_netfilter` the host's own rules would apply (see [`crate::netfilter`]).

mod base;
mod gateway;
mod port;

pub(crate) use base::{VERSION_CHAIN, base, members};
pub(crate) use gateway::gateway;
pub(crate) use port::{PortView, forget_flows, port, remove_port};
