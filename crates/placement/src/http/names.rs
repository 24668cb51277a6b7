//! The standard traits and resource classes, and what a custom name looks like.

use super::refuse;
use std::collections::BTreeSet;
use store::Tx;
use store::placement::names::{self, Names};
use web::Fault;

/// Standard traits, one a line (the names of os-traits).
const TRAITS: &str = include_str!("traits.txt");

/// Standard resource classes (the names of os-resource-classes), in its order.
pub(super) const CLASSES: &[&str] = &[
    "VCPU",
    "MEMORY_MB",
    "DISK_GB",
    "PCI_DEVICE",
    "SRIOV_NET_VF",
    "NUMA_SOCKET",
    "NUMA_CORE",
    "NUMA_THREAD",
    "NUMA_MEMORY_MB",
    "IPV4_ADDRESS",
    "VGPU",
    "VGPU_DISPLAY_HEAD",
    "NET_BW_EGR_KILOBIT_PER_SEC",
    "NET_BW_IGR_KILOBIT_PER_SEC",
    "PCPU",
    "MEM_ENCRYPTION_CONTEXT",
    "FPGA",
    "PGPU",
    "NET_PACKET_RATE_KILOPACKET_PER_SEC",
    "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC",
    "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
];

/// The standard traits.
pub(super) fn standard_traits() -> impl Iterator<Item = &'static str> {
    TRAITS.lines().filter(|l| !l.is_empty())
}

/// Is the name a standard trait?
pub(super) fn is_standard_trait(name: &str) -> bool {
    standard_traits().any(|t| t == name)
}

/// `CUSTOM_` and capital letters, digits and underscores, 255 at the most.
pub(super) fn is_custom(name: &str) -> bool {
    let rest = name.strip_prefix("CUSTOM_").unwrap_or("");
    let fit = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    !rest.is_empty() && name.len() <= 255 && rest.bytes().all(fit)
}

/// Is the trait known? Those that hosts reported count too.
pub(super) fn is_trait(tx: &mut Tx, name: &str) -> store::Result<bool> {
    Ok(is_standard_trait(name)
        || names::exists(tx, Names::Traits, name)?
        || store::placement::traits::in_use(tx, name)?)
}

/// Refuses names that are no traits.
pub(super) fn check_traits<'a>(tx: &mut Tx, wanted: impl Iterator<Item = &'a str>) -> store::Result<()> {
    let mut unknown = Vec::new();
    for t in wanted.collect::<BTreeSet<_>>() {
        if !is_trait(tx, t)? {
            unknown.push(t);
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    refuse(Fault::bad_request(format!("No such trait(s): {}.", unknown.join(", "))))
}

/// Is the name a resource class?
pub(super) fn is_class(tx: &mut Tx, name: &str) -> store::Result<bool> {
    Ok(CLASSES.contains(&name)
        || names::exists(tx, Names::Classes, name)?
        || store::placement::inventories::class_in_use(tx, name)?)
}
