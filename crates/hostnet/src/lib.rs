//! One host's networking, always inside a named namespace.
//!
//! [`HostNet`] wires guests: a bridge for each network, a tap for each port, VXLAN between hosts with unicast
//! forwarding entries, nftables against spoofing and for security groups, and for each network a namespace of its
//! own in which our DHCP and metadata servers have their sockets. It works by the programs `ip`, `bridge` and
//! `nft`, given arguments and batches, never a shell's line.
//!
//! It stores nothing: the kernel is the truth, names are functions of ids, and what is ours carries the alias
//! [`names::ALIAS`]. It never touches an interface, a bridge or a table of somebody else but the mapped physical
//! interface, and the switch that [`HostNet`] documents for `br_netfilter`.

mod command;
mod dhcp;
mod error;
mod fdb;
mod host;
mod links;
mod metadata;
pub mod names;
mod netfilter;
mod netns;
mod plan;
mod rules;
mod service;
mod source;
mod wire;

pub use error::{Error, Result};
pub use host::{HostNet, HostNetOptions};
pub use names::tap_name;
pub use source::{MetadataSource, PasswordRefused};
