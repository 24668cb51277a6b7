//! What all ports share: the table, its maps and the hooks.

use crate::names::TABLE;
use std::fmt::Write as _;

/// A chain whose name tells the layout of the table; a table without it is replaced as a whole.
pub(crate) const VERSION_CHAIN: &str = "layout_2";

/// Sets of constants. Named once: a set in a rule is one more of the table, and the kernel looks through all of them
/// for each rule that brings one.
const CONSTANTS: [(&str, &str, &str); 7] = [
    // Protocols by number: their names are in /etc/protocols, which a small system does not have.
    ("with_ports", "inet_proto", "17, 136, 132, 33"),
    ("tracked", "inet_proto", "6, 17, 136, 132, 33, 1, 58"),
    ("errors", "icmp_type", "destination-unreachable, time-exceeded, parameter-problem"),
    ("errors6", "icmpv6_type", "destination-unreachable, packet-too-big, time-exceeded, parameter-problem"),
    ("asks6", "icmpv6_type", "nd-neighbor-solicit, nd-router-solicit, mld-listener-report, mld2-listener-report"),
    ("told6", "icmpv6_type", "nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query"),
    ("routers6", "icmpv6_type", "nd-router-advert, nd-redirect"),
];

/// Chains that the chains of every port jump to.
const SHARED: [(&str, &[&str]); 5] = [
    // Frames that are neither IPv4 nor IPv6, or carry a VLAN tag.
    ("kinds", &["ether type ip return", "ether type ip6 return", "drop"]),
    // What a guest sends that is not ARP of its own: nothing that only the network may say, and what must pass
    // before it has an address.
    (
        "manners",
        &[
            "ether type arp drop",
            // A hypervisor announces a guest that it took over by RARP.
            "ether type 0x8035 accept",
            "jump kinds",
            "ether type ip udp sport 67 udp dport 68 drop",
            "ip saddr 0.0.0.0 udp sport 68 udp dport 67 accept",
            "icmpv6 type @routers6 drop",
            "ether type ip6 udp sport 547 udp dport 546 drop",
            "ip6 saddr :: icmpv6 type @asks6 accept",
        ],
    ),
    // Only a first fragment has ports; without it the rest cannot be put together. Offset 1 would overwrite the
    // flags of TCP (RFC 1858).
    (
        "fragments",
        &[
            "ip frag-off & 0x1fff == 1 drop",
            "ip frag-off & 0x1fff != 0 accept",
            "ether type ip6 exthdr frag exists frag frag-off != 0 accept",
        ],
    ),
    // What no group can forbid, for without it no address works.
    (
        "needs_out",
        &[
            "icmp type @errors accept",
            "icmpv6 type @errors6 accept",
            "icmpv6 type @asks6 accept",
            "ether type ip udp sport 68 udp dport 67 accept",
        ],
    ),
    ("needs_in", &["icmp type @errors accept", "icmpv6 type @errors6 accept", "icmpv6 type @told6 accept"]),
];

/// The table with maps and hooks. Said again it changes nothing: elements and flows stay.
pub(crate) fn base() -> String {
    let mut out = format!("add table bridge {TABLE}\nadd chain bridge {TABLE} {VERSION_CHAIN}\n");
    for map in ["from_port", "to_port", "host_in", "host_out"] {
        let _ = writeln!(out, "add map bridge {TABLE} {map} {{ type ifname : verdict; }}");
    }
    for set in ["endpoints", "joins"] {
        let _ = writeln!(out, "add set bridge {TABLE} {set} {{ type ifname; }}");
    }
    for (set, kind, elements) in CONSTANTS {
        let _ = writeln!(out, "add set bridge {TABLE} {set} {{ type {kind}; elements = {{ {elements} }}; }}");
    }
    for (chain, rules) in SHARED {
        let _ = writeln!(out, "add chain bridge {TABLE} {chain}\nflush chain bridge {TABLE} {chain}");
        for rule in rules {
            let _ = writeln!(out, "add rule bridge {TABLE} {chain} {rule}");
        }
    }
    let hooks: [(&str, &str, &str, &[&str]); 4] = [
        ("enter", "prerouting", "-300", &["iifname vmap @from_port"]),
        // Every host has its own DHCP and metadata endpoint under the same address: they must not meet.
        (
            "pass",
            "forward",
            "0",
            &[
                "iifname @endpoints oifname @joins drop",
                "iifname @joins oifname @endpoints drop",
                "oifname vmap @to_port",
            ],
        ),
        ("local_in", "input", "0", &["iifname @endpoints drop", "iifname @joins drop", "iifname vmap @host_in"]),
        ("local_out", "output", "0", &["oifname @endpoints drop", "oifname @joins drop", "oifname vmap @host_out"]),
    ];
    for (chain, hook, priority, rules) in hooks {
        let _ = writeln!(
            out,
            "add chain bridge {TABLE} {chain} {{ type filter hook {hook} priority {priority}; policy accept; }}\n\
             flush chain bridge {TABLE} {chain}"
        );
        for rule in rules {
            let _ = writeln!(out, "add rule bridge {TABLE} {chain} {rule}");
        }
    }
    out
}

/// Makes the sets of endpoints and of joins hold exactly these interfaces.
pub(crate) fn members(endpoints: &[&str], joins: &[&str]) -> String {
    let mut out = String::new();
    for (set, names) in [("endpoints", endpoints), ("joins", joins)] {
        let _ = writeln!(out, "flush set bridge {TABLE} {set}");
        if !names.is_empty() {
            let quoted: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
            let _ = writeln!(out, "add element bridge {TABLE} {set} {{ {} }}", quoted.join(", "));
        }
    }
    out
}
