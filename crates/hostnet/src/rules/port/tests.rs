#![allow(clippy::unwrap_used)]

use super::{PortView, condition, port};
use crate::plan::Port;
use driver_api::{Direction, EtherType, FixedIp, NetworkSegment, NicSpec, SecurityRule};
use uuid::Uuid;

fn rule(ethertype: EtherType, protocol: Option<u8>, min: Option<u16>, max: Option<u16>) -> SecurityRule {
    SecurityRule {
        direction: Direction::Ingress,
        ethertype,
        protocol,
        port_min: min,
        port_max: max,
        remote: Vec::new(),
        remote_none: false,
    }
}

#[test]
fn every_kind_of_rule_has_its_condition() {
    use EtherType::{V4, V6};
    for (rule, expected) in [
        (rule(V4, None, None, None), Some("ether type ip")),
        (rule(V6, None, None, None), Some("ether type ip6")),
        (rule(V4, Some(6), Some(80), Some(80)), Some("ether type ip meta l4proto 6 th dport 80")),
        (rule(V4, Some(17), Some(1), Some(65535)), Some("ether type ip meta l4proto 17 th dport 1-65535")),
        (rule(V4, Some(132), Some(5), None), Some("ether type ip meta l4proto 132 th dport 5")),
        (rule(V4, Some(6), None, None), Some("ether type ip meta l4proto 6")),
        (rule(V4, Some(6), Some(9), Some(3)), None),
        (rule(V4, Some(1), None, None), Some("ether type ip meta l4proto 1")),
        (rule(V4, Some(1), Some(8), Some(0)), Some("ether type ip meta l4proto 1 icmp type 8 icmp code 0")),
        (rule(V4, Some(1), Some(0), None), Some("ether type ip meta l4proto 1 icmp type 0")),
        (rule(V4, Some(1), Some(300), None), None),
        (rule(V6, Some(1), Some(128), None), Some("ether type ip6 meta l4proto 58 icmpv6 type 128")),
        (rule(V6, Some(58), None, None), Some("ether type ip6 meta l4proto 58")),
        (rule(V4, Some(47), Some(1), Some(2)), Some("ether type ip meta l4proto 47")),
        (rule(V4, Some(0), None, None), Some("ether type ip meta l4proto 0")),
    ] {
        assert_eq!(condition(&rule).as_deref(), expected, "{rule:?}");
    }
}

#[test]
fn remotes_are_of_the_rules_family_and_never_overlap() {
    let with = |direction, remote: &[&str]| {
        let remote = remote.iter().map(|r| r.parse().unwrap()).collect();
        condition(&SecurityRule { direction, remote, ..rule(EtherType::V4, None, None, None) })
    };
    let own = "ether type ip ip saddr { 10.0.0.0/8, 192.168.0.0/24 }";
    assert_eq!(
        with(Direction::Ingress, &["10.0.0.0/8", "10.1.0.0/16", "192.168.0.0/25", "192.168.0.128/25", "fd00::/8"])
            .as_deref(),
        Some(own)
    );
    assert_eq!(with(Direction::Egress, &["10.0.0.7/8"]).as_deref(), Some("ether type ip ip daddr { 10.0.0.0/8 }"));
    assert_eq!(with(Direction::Ingress, &["10.0.0.0/8", "0.0.0.0/0"]).as_deref(), Some("ether type ip"));
    assert_eq!(with(Direction::Ingress, &["fd00::/8"]), None, "addresses of the other family allow nothing");
    let none = SecurityRule { remote_none: true, ..rule(EtherType::V4, None, None, None) };
    assert_eq!(condition(&none), None);
}

fn nic() -> NicSpec {
    NicSpec {
        port_id: Uuid::from_u128(1),
        network_id: Uuid::from_u128(2),
        network_name: String::new(),
        mac: "fa:16:3e:00:00:05".to_owned(),
        mtu: 1500,
        device: "tapx".to_owned(),
        model: None,
        fixed_ips: vec![FixedIp { subnet_id: Uuid::nil(), ip: "10.0.0.5".parse().unwrap() }],
        allowed_pairs: Vec::new(),
        subnets: Vec::new(),
        segment: NetworkSegment::Vxlan { vni: 1, peers: Vec::new(), host_gateway: false },
        port_security: true,
        rules: Vec::new(),
        admin_up: true,
    }
}

fn text(nic: &NicSpec) -> String {
    port(&PortView { port: &Port::new(nic).unwrap(), dhcp: &[], gateways: &[] })
}

#[test]
fn chains_end_in_a_drop_unless_the_port_is_open() {
    let last = |text: &str, chain: &str| {
        let start = format!("add rule bridge kilonova {chain}_tapx ");
        text.lines().filter_map(|l| l.strip_prefix(&start)).next_back().map(str::to_owned)
    };
    for (nic, verdict) in [
        (nic(), "drop"),
        (NicSpec { admin_up: false, ..nic() }, "drop"),
        (NicSpec { admin_up: false, port_security: false, ..nic() }, "drop"),
        (NicSpec { port_security: false, ..nic() }, "accept"),
    ] {
        let text = text(&nic);
        for chain in ["from", "to"] {
            assert_eq!(last(&text, chain).as_deref(), Some(verdict), "{chain} of {nic:?}");
        }
        for chain in ["hin", "hout"] {
            assert_eq!(last(&text, chain).as_deref(), Some("drop"), "{chain} of {nic:?}");
        }
    }
    assert_eq!(last(&text(&nic()), "body").as_deref(), Some("drop"));
}

#[test]
fn a_pair_for_everything_is_no_hole_for_other_macs() {
    let mut nic = nic();
    nic.allowed_pairs = vec![(String::new(), "0.0.0.0/0".parse().unwrap()), (String::new(), "::/0".parse().unwrap())];
    let text = text(&nic);
    assert!(text.contains("from_tapx ether saddr != { fa:16:3e:00:00:05 } drop"), "{text}");
    assert!(text.contains("from_tapx ether saddr fa:16:3e:00:00:05 ether type ip goto body_tapx"), "{text}");
    assert!(text.contains("from_tapx ether saddr fa:16:3e:00:00:05 ether type ip6 goto body_tapx"), "{text}");
    assert!(text.contains("body_tapx icmpv6 type nd-neighbor-advert accept"), "{text}");
}

#[test]
fn what_others_send_does_not_fill_the_set_of_the_guests_own_flows() {
    let text = text(&nic());
    let updates = |chain: &str, set: &str| {
        let start = format!("add rule bridge kilonova {chain}_tapx ");
        let set = format!("update @{set}_tapx");
        text.lines().filter(|l| l.starts_with(&start) && l.contains(&set)).map(str::to_owned).collect::<Vec<_>>()
    };
    for digit in ["4", "6"] {
        assert_eq!(updates("newi", &format!("f{digit}")), Vec::<String>::new());
        // Replies to what others opened go to `i`: only a first packet or a datagram is the guest's own flow.
        for line in updates("newo", &format!("f{digit}")) {
            assert!(line.contains("(syn|ack) == syn") || line.contains("meta l4proto @with_ports"), "{line}");
        }
        assert!(!updates("newo", &format!("f{digit}")).is_empty() && !updates("newi", &format!("i{digit}")).is_empty());
    }
}
