//! Addresses: ranges, pools, gateways, MACs. Pure; what is free only the database knows.

use crate::{Error, Result};
use ipnet::IpNet;
use model::Random;
use model::network::{Pool, Subnet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address as a number, for ranges.
pub(crate) fn number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v) => u128::from(u32::from(v)),
        IpAddr::V6(v) => u128::from(v),
    }
}

/// The address of a number, in the family of `like`.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn address(n: u128, like: IpAddr) -> IpAddr {
    match like {
        // Numbers come from addresses of the same family, so they fit.
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(n as u32)),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(n)),
    }
}

/// First and last address that a port may have: neither the network's nor the broadcast address.
pub(crate) fn hosts(net: &IpNet) -> (IpAddr, IpAddr) {
    let (first, last) = (number(net.network()), number(net.broadcast()));
    let like = net.network();
    match net {
        IpNet::V4(v) if v.prefix_len() >= 31 => (address(first, like), address(last, like)),
        IpNet::V4(_) => (address(first + 1, like), address(last - 1, like)),
        IpNet::V6(v) if v.prefix_len() >= 127 => (address(first, like), address(last, like)),
        IpNet::V6(_) => (address(first + 1, like), address(last, like)),
    }
}

/// May a port of this subnet have the address?
pub(crate) fn usable(net: &IpNet, ip: IpAddr) -> bool {
    let (first, last) = hosts(net);
    ip.is_ipv4() == first.is_ipv4() && (number(first)..=number(last)).contains(&number(ip))
}

/// Neutron's default: the first address.
pub(crate) fn default_gateway(net: &IpNet) -> IpAddr {
    hosts(net).0
}

/// All addresses but the gateway's.
pub(crate) fn default_pools(net: &IpNet, gateway: Option<IpAddr>) -> Vec<Pool> {
    let (first, last) = hosts(net);
    let (a, b) = (number(first), number(last));
    let Some(g) = gateway.filter(|g| usable(net, *g)).map(number) else {
        return vec![Pool { start: first, end: last }];
    };
    let pool = |from: u128, to: u128| Pool { start: address(from, first), end: address(to, first) };
    let mut out = Vec::new();
    if g > a {
        out.push(pool(a, g - 1));
    }
    if g < b {
        out.push(pool(g + 1, b));
    }
    out
}

/// Checks pools that a user gave.
pub(crate) fn check_pools(net: &IpNet, pools: &[Pool], gateway: Option<IpAddr>) -> Result<()> {
    let text = |p: &Pool| format!("{}-{}", p.start, p.end);
    for p in pools {
        if p.start.is_ipv4() != p.end.is_ipv4() || number(p.start) > number(p.end) {
            return Err(Error::invalid("InvalidAllocationPool", format!("The allocation pool {} is not valid.", text(p))));
        }
        if !usable(net, p.start) || !usable(net, p.end) {
            let message = format!("The allocation pool {} spans beyond the subnet cidr {net}.", text(p));
            return Err(Error::invalid("OutOfBoundsAllocationPool", message));
        }
        if let Some(g) = gateway.filter(|g| within(p, *g)) {
            let message = format!("Gateway ip {g} conflicts with allocation pool {}.", text(p));
            return Err(Error::conflict("GatewayConflictWithAllocationPools", message));
        }
    }
    let mut sorted: Vec<&Pool> = pools.iter().collect();
    sorted.sort_by_key(|p| number(p.start));
    for pair in sorted.windows(2) {
        if number(pair[1].start) <= number(pair[0].end) {
            let message = format!(
                "Found overlapping allocation pools: {} {} for subnet {net}.",
                text(pair[0]),
                text(pair[1])
            );
            return Err(Error::conflict("OverlappingAllocationPools", message));
        }
    }
    Ok(())
}

/// Is the address in the pool?
pub(crate) fn within(p: &Pool, ip: IpAddr) -> bool {
    p.start.is_ipv4() == ip.is_ipv4() && (number(p.start)..=number(p.end)).contains(&number(ip))
}

/// How many addresses the pools hold.
pub(crate) fn size(pools: &[Pool]) -> u128 {
    pools.iter().map(|p| number(p.end) - number(p.start)).fold(pools.len() as u128, u128::saturating_add)
}

/// The `n`th address of the pools.
pub(crate) fn nth(pools: &[Pool], mut n: u128) -> Option<IpAddr> {
    for p in pools {
        let len = (number(p.end) - number(p.start)).saturating_add(1);
        if n < len {
            return Some(address(number(p.start) + n, p.start));
        }
        n -= len;
    }
    None
}

/// The lowest address of the pools that is not among `taken`.
pub(crate) fn lowest_free(s: &Subnet, taken: &[IpAddr]) -> Option<IpAddr> {
    let mut taken: Vec<u128> = taken.iter().map(|ip| number(*ip)).collect();
    taken.sort_unstable();
    for p in &s.allocation_pools {
        let mut n = number(p.start);
        for t in taken.iter().skip_while(|t| **t < number(p.start)) {
            if *t != n {
                break;
            }
            n += 1;
        }
        if n <= number(p.end) {
            return Some(address(n, p.start));
        }
    }
    None
}

/// A MAC address under Neutron's prefix.
pub(crate) fn random_mac(random: &Random) -> String {
    let mut b = [0; 3];
    random.fill(&mut b);
    format!("fa:16:3e:{:02x}:{:02x}:{:02x}", b[0], b[1], b[2])
}

/// Reads a unicast MAC address in the usual spellings; canonical form is lower case with colons.
pub(crate) fn parse_mac(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
    let whole = digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let mut bytes = [0u8; 6];
    for (n, b) in bytes.iter_mut().enumerate() {
        *b = u8::from_str_radix(digits.get(2 * n..2 * n + 2)?, 16).ok()?;
    }
    if !whole || bytes[0] & 1 == 1 || bytes == [0; 6] {
        return None;
    }
    let parts: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
    Some(parts.join(":"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use driver_api::Timestamp;
    use uuid::Uuid;

    fn net(s: &str) -> IpNet {
        s.parse().unwrap()
    }
    fn ip(s: &str) -> IpAddr {
        s.parse().unwrap()
    }
    fn pools(p: &[(&str, &str)]) -> Vec<Pool> {
        p.iter().map(|(a, b)| Pool { start: ip(a), end: ip(b) }).collect()
    }

    #[test]
    fn ranges_leave_out_what_no_port_may_have() {
        assert_eq!(hosts(&net("10.0.0.0/24")), (ip("10.0.0.1"), ip("10.0.0.254")));
        assert_eq!(hosts(&net("10.0.0.0/31")), (ip("10.0.0.0"), ip("10.0.0.1")));
        assert_eq!(hosts(&net("fd00::/64")), (ip("fd00::1"), ip("fd00::ffff:ffff:ffff:ffff")));
        assert!(!usable(&net("10.0.0.0/24"), ip("10.0.0.255")) && !usable(&net("10.0.0.0/24"), ip("fd00::5")));
        assert_eq!(default_pools(&net("10.0.0.0/24"), Some(ip("10.0.0.1"))), pools(&[("10.0.0.2", "10.0.0.254")]));
        let split = pools(&[("10.0.0.1", "10.0.0.9"), ("10.0.0.11", "10.0.0.254")]);
        assert_eq!(default_pools(&net("10.0.0.0/24"), Some(ip("10.0.0.10"))), split);
        assert_eq!(size(&split), 253);
        assert_eq!(nth(&split, 9), Some(ip("10.0.0.11")));
        assert_eq!(nth(&split, 253), None);
    }

    #[test]
    fn pools_are_checked() {
        let n = net("10.0.0.0/24");
        let kind = |p: &[(&str, &str)], g: Option<&str>| match check_pools(&n, &pools(p), g.map(ip)) {
            Ok(()) => "ok",
            Err(Error::Conflict { kind, .. } | Error::Invalid { kind, .. }) => kind,
            Err(_) => "other",
        };
        assert_eq!(kind(&[("10.0.0.10", "10.0.0.20")], None), "ok");
        assert_eq!(kind(&[("10.0.0.20", "10.0.0.10")], None), "InvalidAllocationPool");
        assert_eq!(kind(&[("10.0.0.10", "10.0.1.20")], None), "OutOfBoundsAllocationPool");
        assert_eq!(kind(&[("10.0.0.1", "10.0.0.20")], Some("10.0.0.1")), "GatewayConflictWithAllocationPools");
        assert_eq!(kind(&[("10.0.0.15", "10.0.0.30"), ("10.0.0.5", "10.0.0.15")], None), "OverlappingAllocationPools");
    }

    #[test]
    fn the_lowest_free_address_is_found() {
        let s = Subnet {
            id: Uuid::nil(),
            network_id: Uuid::nil(),
            project_id: String::new(),
            name: String::new(),
            description: String::new(),
            cidr: net("10.0.0.0/29"),
            gateway_ip: None,
            enable_dhcp: false,
            allocation_pools: pools(&[("10.0.0.2", "10.0.0.3"), ("10.0.0.5", "10.0.0.6")]),
            dns_nameservers: vec![],
            host_routes: vec![],
            tags: Default::default(),
            revision: 0,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        };
        assert_eq!(lowest_free(&s, &[]), Some(ip("10.0.0.2")));
        assert_eq!(lowest_free(&s, &[ip("10.0.0.3"), ip("10.0.0.2")]), Some(ip("10.0.0.5")));
        assert_eq!(lowest_free(&s, &["10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6"].map(ip)), None);
    }

    #[test]
    fn macs_have_one_spelling() {
        assert_eq!(parse_mac("FA-16-3E-00-00-01").unwrap(), "fa:16:3e:00:00:01");
        assert_eq!(parse_mac("01:00:5e:00:00:01"), None, "multicast");
        assert_eq!(parse_mac("fa:16:3e:00:00"), None);
        assert_eq!(parse_mac("00:00:00:00:00:00"), None);
        assert!(parse_mac(&random_mac(&Random::seeded(1))).is_some());
    }
}
