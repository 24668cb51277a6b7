//! Names of what we make, as functions of ids. The kernel allows 15 characters for an interface.

use uuid::Uuid;

/// Alias of every interface that we made; what carries it is ours to remove.
pub const ALIAS: &str = "kilonova";

/// Name of the nftables tables, one of family `bridge` and one of family `inet`.
pub const TABLE: &str = "kilonova";

/// Interface inside the namespace of a network.
pub(crate) const ENDPOINT: &str = "ep0";

/// Address of the metadata service.
pub(crate) const METADATA_IP: std::net::Ipv4Addr = std::net::Ipv4Addr::new(169, 254, 169, 254);

fn eleven(id: Uuid) -> String {
    id.simple().to_string()[..11].to_owned()
}

/// Tap of a port: `tap` and the first 11 characters of its id, as Neutron names it.
pub fn tap_name(port: Uuid) -> String {
    format!("tap{}", &port.to_string()[..11])
}

/// Bridge of a network.
pub fn bridge(network: Uuid) -> String {
    format!("kb{}", eleven(network))
}

/// VXLAN interface of a network.
pub fn tunnel(network: Uuid) -> String {
    format!("kx{}", eleven(network))
}

/// The bridge's end of the pair that leads into the network's own namespace.
pub fn endpoint(network: Uuid) -> String {
    format!("kv{}", eleven(network))
}

/// FNV-1a, so that names stay the same whatever the standard library's hasher does.
fn hash(parts: &[&[u8]]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|p| p.iter().copied().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// What the names of this host's namespaces begin with. Namespaces are the machine's, so hosts that share a machine (each in a
/// namespace of its own) and even a name must differ.
pub fn namespace_prefix(host: &str, netns: Option<&str>) -> String {
    let short: String = host.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    let number = hash(&[host.as_bytes(), netns.unwrap_or_default().as_bytes()]) & 0xff_ffff;
    format!("kn-{short}.{number:06x}-")
}

/// Namespace of a network for its DHCP and metadata servers.
pub(crate) fn namespace(prefix: &str, network: Uuid) -> String {
    format!("{prefix}{}", eleven(network))
}

/// A MAC address of our own making: locally administered, the same on each host. Endpoints and gateways are on
/// every host of a network under the same address, and a guest that moves must still reach them.
pub(crate) fn mac_of(network: Uuid, role: &str) -> String {
    let [a, b, c, d, e, ..] = hash(&[network.as_bytes(), role.as_bytes()]).to_be_bytes();
    format!("02:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
}

/// Whether `name` can be an interface and, with a prefix, a chain of nftables.
pub(crate) fn is_device(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    first && name.len() <= 15 && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_the_kernel() {
        let id = Uuid::from_u128(u128::MAX);
        for name in [tap_name(id), bridge(id), tunnel(id), endpoint(id)] {
            assert!(is_device(&name), "{name}");
        }
        assert_eq!(tap_name(id), "tapffffffff-ff");
    }

    #[test]
    fn hosts_of_one_name_in_two_namespaces_differ() {
        assert_ne!(namespace_prefix("hv", Some("a")), namespace_prefix("hv", Some("b")));
        assert_ne!(namespace_prefix("hv1", None), namespace_prefix("hv2", None));
        assert!(namespace_prefix("my host/../x", None).starts_with("kn-myhostx."));
    }

    #[test]
    fn what_could_leave_its_place_is_no_device() {
        for name in ["", "1tap", "tap x", "tap;x", "tap\"x", "a/b", "tap45678901234567", "täp"] {
            assert!(!is_device(name), "{name}");
        }
    }
}
