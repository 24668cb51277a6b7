//! What a port may send, and what reaches it. Each "may not" is checked beside a "may" of the same frame.
#![allow(clippy::unwrap_used)]

mod lab;

use driver_api::{Direction, EtherType};
use lab::{Host, Machine, arp, ethernet, id, ingress, ipv6, nic, rule, send_frames, udp};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::slice::from_ref;

const BROADCAST: [u8; 6] = [0xff; 6];
const FOREIGN_MAC: [u8; 6] = [0xfa, 0x16, 0x3e, 0, 0, 0x99];

fn link_local(last: u8) -> Ipv6Addr {
    format!("fe80::f816:3eff:fe00:{last:x}").parse().unwrap()
}

/// Frames that `from` must not send, each with a mark in it.
fn lies(from: &Machine, to: &Machine) -> Vec<(&'static str, Vec<u8>)> {
    let (mac, ip) = (from.mac, from.ip);
    let other = Ipv4Addr::new(10, 20, 0, 77);
    let gateway = Ipv4Addr::new(10, 20, 0, 1);
    let dhcp = |from, to, mark: &[u8]| udp(from, to, (67, 68), mark);
    let tagged = [&[0, 5, 8, 0][..], &udp(ip, to.ip, (9, 9), b"mark-vlan")].concat();
    let everyone = "ff02::1".parse().unwrap();
    let ra = [&[134, 0, 0, 0][..], b"mark-router-advert"].concat();
    let na = |target: Ipv6Addr, mark: &[u8]| [&[136, 0, 0, 0, 0x20, 0, 0, 0][..], &target.octets(), mark].concat();
    vec![
        ("mark-mac", ethernet(to.mac, FOREIGN_MAC, 0x800, &udp(ip, to.ip, (9, 9), b"mark-mac"))),
        ("mark-ip", ethernet(to.mac, mac, 0x800, &udp(other, to.ip, (9, 9), b"mark-ip"))),
        ("mark-arp-ip", ethernet(BROADCAST, mac, 0x806, &arp(2, mac, gateway, to.ip, b"mark-arp-ip"))),
        ("mark-arp-mac", ethernet(BROADCAST, mac, 0x806, &arp(2, FOREIGN_MAC, ip, to.ip, b"mark-arp-mac"))),
        ("mark-vlan", ethernet(to.mac, mac, 0x8100, &tagged)),
        ("mark-lldp", ethernet(to.mac, mac, 0x88cc, b"mark-lldp")),
        ("mark-dhcp", ethernet(to.mac, mac, 0x800, &dhcp(ip, to.ip, b"mark-dhcp"))),
        (
            "mark-any-source",
            ethernet(to.mac, mac, 0x800, &udp(Ipv4Addr::UNSPECIFIED, to.ip, (9, 9), b"mark-any-source")),
        ),
        ("mark-ip6", ethernet(to.mac, mac, 0x86dd, &ipv6(link_local(0x77), everyone, 59, b"mark-ip6"))),
        ("mark-router-advert", ethernet(to.mac, mac, 0x86dd, &ipv6(link_local(5), everyone, 58, &ra))),
        (
            "mark-neighbour",
            ethernet(to.mac, mac, 0x86dd, &ipv6(link_local(5), everyone, 58, &na(link_local(1), b"mark-neighbour"))),
        ),
    ]
}

fn marker(from: &Machine, to: &Machine) -> Vec<u8> {
    ethernet(to.mac, from.mac, 0x800, &udp(from.ip, to.ip, (9, 9), b"the-end"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_speaks_for_itself_only() {
    let host = Host::new().await;
    let network = id();
    let mut liar = Machine::plug(&host, nic(network, 5)).await;
    let mut open = nic(network, 6);
    open.port_security = false;
    let victim = Machine::plug(&host, open).await;
    let tap = victim.tap();
    for (mark, frame) in lies(&liar, &victim) {
        send_frames(&liar.ns, &[frame, marker(&liar, &victim)]);
        assert!(!tap.sees(mark.as_bytes(), b"the-end"), "{mark} came through");
    }
    // The same frames without the protection, and so without a flaw of their own.
    liar.nic.port_security = false;
    host.net.refresh(from_ref(&liar.nic)).await.unwrap();
    for (mark, frame) in lies(&liar, &victim) {
        send_frames(&liar.ns, &[frame, marker(&liar, &victim)]);
        assert!(tap.sees(mark.as_bytes(), b"the-end"), "{mark} did not come through without protection");
    }
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_belongs_to_the_guest_passes() {
    let host = Host::new().await;
    let network = id();
    let mut port = nic(network, 5);
    port.allowed_pairs = vec![
        (String::new(), "10.20.0.77/32".parse().unwrap()),
        ("fa:16:3e:00:00:99".to_owned(), "10.20.7.0/24".parse().unwrap()),
    ];
    let sender = Machine::plug(&host, port).await;
    let mut open = nic(network, 6);
    open.port_security = false;
    let receiver = Machine::plug(&host, open).await;
    let tap = receiver.tap();
    let (mac, to) = (sender.mac, receiver.ip);
    let pair = Ipv4Addr::new(10, 20, 7, 8);
    let na = [&[136, 0, 0, 0, 0x20, 0, 0, 0][..], &link_local(5).octets(), b"mark-own-na"].concat();
    let announce = [&[0, 1, 8, 0, 6, 4, 0, 3][..], b"mark-rarp"].concat();
    let fine = [
        ("mark-pair", ethernet(receiver.mac, mac, 0x800, &udp(Ipv4Addr::new(10, 20, 0, 77), to, (9, 9), b"mark-pair"))),
        ("mark-pair-mac", ethernet(receiver.mac, FOREIGN_MAC, 0x800, &udp(pair, to, (9, 9), b"mark-pair-mac"))),
        ("mark-arp-pair", ethernet(BROADCAST, FOREIGN_MAC, 0x806, &arp(1, FOREIGN_MAC, pair, to, b"mark-arp-pair"))),
        ("mark-probe", ethernet(BROADCAST, mac, 0x806, &arp(1, mac, Ipv4Addr::UNSPECIFIED, sender.ip, b"mark-probe"))),
        ("mark-own-na", ethernet(receiver.mac, mac, 0x86dd, &ipv6(link_local(5), "ff02::1".parse().unwrap(), 58, &na))),
        ("mark-rarp", ethernet(BROADCAST, mac, 0x8035, &announce)),
    ];
    for (mark, frame) in fine {
        send_frames(&sender.ns, &[frame, marker(&sender, &receiver)]);
        assert!(tap.sees(mark.as_bytes(), b"the-end"), "{mark} was dropped");
    }
    // A pair is a MAC with its range, not every MAC with every range.
    let mixed = ethernet(receiver.mac, mac, 0x800, &udp(pair, to, (9, 9), b"mark-mixed"));
    send_frames(&sender.ns, &[mixed, marker(&sender, &receiver)]);
    assert!(!tap.sees(b"mark-mixed", b"the-end"));
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_reaches_a_guest_that_no_rule_lets_in() {
    let host = Host::new().await;
    let network = id();
    let mut open = nic(network, 5);
    open.port_security = false;
    let sender = Machine::plug(&host, open).await;
    let mut receiver = Machine::plug(&host, nic(network, 6)).await;
    let tap = receiver.tap();
    let (from, to) = (sender.mac, receiver.mac);
    let end = ethernet(BROADCAST, from, 0x806, &arp(1, from, sender.ip, receiver.ip, b"the-end"));
    let mut tiny = udp(sender.ip, receiver.ip, (9, 9), b"mark-tiny");
    tiny[7] = 1;
    tiny[9] = 6;
    let frames = [
        ("mark-udp", ethernet(to, from, 0x800, &udp(sender.ip, receiver.ip, (9, 9), b"mark-udp"))),
        ("mark-rogue", ethernet(to, from, 0x800, &udp(sender.ip, receiver.ip, (67, 68), b"mark-rogue"))),
        ("mark-flood", ethernet(FOREIGN_MAC, from, 0x800, &udp(sender.ip, receiver.ip, (9, 9), b"mark-flood"))),
        ("mark-kind", ethernet(to, from, 0x88cc, b"mark-kind")),
        ("mark-tiny", ethernet(to, from, 0x800, &tiny)),
    ];
    for (mark, frame) in &frames {
        send_frames(&sender.ns, &[frame.clone(), end.clone()]);
        assert!(!tap.sees(mark.as_bytes(), b"the-end"), "{mark} came through");
    }
    let server = ethernet(to, from, 0x800, &udp(Ipv4Addr::new(10, 20, 0, 2), receiver.ip, (67, 68), b"mark-server"));
    send_frames(&sender.ns, &[server, end.clone()]);
    assert!(tap.sees(b"mark-server", b"the-end"), "the network's own DHCP server was dropped");
    receiver.nic.port_security = false;
    host.net.refresh(from_ref(&receiver.nic)).await.unwrap();
    for (mark, frame) in &frames {
        send_frames(&sender.ns, &[frame.clone(), end.clone()]);
        assert!(tap.sees(mark.as_bytes(), b"the-end"), "{mark} did not come through without protection");
    }
    // A port that is down neither gets nor sends; this one could do both a moment ago.
    sender.address();
    sender.serve(80);
    receiver.address();
    assert_eq!(receiver.connect(sender.ip, 80).as_deref(), Some("hello"));
    receiver.nic.admin_up = false;
    host.net.refresh(from_ref(&receiver.nic)).await.unwrap();
    assert_eq!(receiver.connect(sender.ip, 80), None);
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn security_groups_open_and_close() {
    let host = Host::new().await;
    let network = id();
    let client = Machine::plug(&host, nic(network, 5)).await;
    let other = Machine::plug(&host, nic(network, 7)).await;
    let mut server = Machine::plug(&host, nic(network, 6)).await;
    for machine in [&client, &other, &server] {
        machine.address();
    }
    server.serve(80);
    server.serve(81);
    assert_eq!(client.connect(server.ip, 80), None, "default deny");
    assert!(!client.ns.ping("10.20.0.6"));

    let mut web = ingress(6, Some(80));
    web.remote = vec!["10.20.0.0/29".parse().unwrap(), "10.20.0.5/32".parse().unwrap()];
    server.nic.rules.extend([web, ingress(1, Some(8))]);
    server.nic.rules.last_mut().unwrap().port_max = Some(0);
    host.net.refresh(from_ref(&server.nic)).await.unwrap();
    assert_eq!(
        client.connect(server.ip, 80).as_deref(),
        Some("hello"),
        "and the reply passes without a rule of its own"
    );
    assert_eq!(client.connect(server.ip, 81), None, "another port");
    assert!(client.ns.ping("10.20.0.6"), "echo requests by type and code");
    assert!(!server.ns.ping("10.20.0.5"), "the other way is another matter");

    server.nic.rules[2].remote = vec!["10.20.0.7/32".parse().unwrap(), "fd00::/8".parse().unwrap()];
    host.net.refresh(from_ref(&server.nic)).await.unwrap();
    assert_eq!(client.connect(server.ip, 80), None, "another remote");
    assert_eq!(other.connect(server.ip, 80).as_deref(), Some("hello"));

    server.nic.rules[2].remote_none = true;
    host.net.refresh(from_ref(&server.nic)).await.unwrap();
    assert_eq!(other.connect(server.ip, 80), None, "a remote group without members");

    // A guest whose groups allow nothing out answers whom it lets in, and gets its documents, and no more.
    server.nic.rules = vec![ingress(6, Some(80))];
    host.net.refresh(from_ref(&server.nic)).await.unwrap();
    assert_eq!(client.connect(server.ip, 80).as_deref(), Some("hello"));
    client.serve(80);
    let mut client = client;
    client.nic.rules.push(ingress(6, None));
    host.net.refresh(from_ref(&client.nic)).await.unwrap();
    assert_eq!(server.connect(client.ip, 80), None, "no egress");
    assert_eq!(other.connect(client.ip, 80).as_deref(), Some("hello"));
    server.knows(&host, "server");
    server.ns.ip("route add 169.254.169.254 via 10.20.0.2");
    assert_eq!(server.curl(&[], "/latest/meta-data/hostname"), ("server.lab".to_owned(), 200));
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_goes_takes_its_flows_along_and_no_others() {
    use std::io::{Read as _, Write as _};
    let host = Host::new().await;
    let network = id();
    let client = Machine::plug(&host, nic(network, 5)).await;
    let mut port = nic(network, 6);
    port.rules.extend([ingress(6, Some(80)), ingress(6, Some(81))]);
    let mut server = Machine::plug(&host, port).await;
    client.address();
    server.address();
    let flow = |port: u16| {
        let listener = server.ns.within(|| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
        let there = client.ns.within(|| std::net::TcpStream::connect((server.ip, port)).unwrap());
        let (here, _) = listener.accept().unwrap();
        here.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
        (there, here)
    };
    let (mut stays, mut stays_there) = flow(81);
    let (mut ends, mut ends_there) = flow(80);
    let mut byte = [0; 1];
    for (from, to) in [(&mut stays, &mut stays_there), (&mut ends, &mut ends_there)] {
        from.write_all(b"1").unwrap();
        to.read_exact(&mut byte).unwrap();
    }
    server.nic.rules.retain(|r| r.port_min != Some(80));
    host.net.refresh(from_ref(&server.nic)).await.unwrap();
    ends.write_all(b"2").unwrap();
    assert!(ends_there.read_exact(&mut byte).is_err(), "a flow outlived its rule");
    stays.write_all(b"2").unwrap();
    stays_there.read_exact(&mut byte).unwrap();
    // The agent starts again: what runs goes on, in the direction too that no rule opens.
    stays_there.write_all(b"3").unwrap();
    stays.read_exact(&mut byte).unwrap();
    let nics = [client.nic.clone(), server.nic.clone()];
    let host = host.restart().await;
    host.net.sync(&nics).await.unwrap();
    stays_there.write_all(b"4").unwrap();
    stays.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    stays.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"4");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_know_ipv6_and_large_datagrams() {
    let host = Host::new().await;
    let network = id();
    let client = Machine::plug(&host, nic(network, 5)).await;
    let mut server = Machine::plug(&host, nic(network, 6)).await;
    client.address();
    server.address();
    let to = format!("{}%eth0", link_local(6));
    assert!(!client.ns.ping(&to));
    // `icmp` in a rule for IPv6 is ICMPv6.
    server.nic.rules.push(rule(Direction::Ingress, EtherType::V6, Some(1), None));
    server.nic.rules.push(ingress(17, Some(5000)));
    host.net.refresh(from_ref(&server.nic)).await.unwrap();
    assert!(client.ns.ping(&to));

    // Larger than the MTU: fragments, of which only the first has ports. And back, where no rule is.
    let bind =
        |m: &Machine, port: u16| m.ns.within(|| std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    let (here, there) = (bind(&client, 0), bind(&server, 5000));
    for socket in [&here, &there] {
        socket.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    }
    let datagram = vec![7; 4000];
    let mut buffer = vec![0; 5000];
    here.send_to(&datagram, (server.ip, 5000)).unwrap();
    let (length, peer) = there.recv_from(&mut buffer).unwrap();
    assert_eq!(length, 4000);
    there.send_to(&datagram, peer).unwrap();
    assert_eq!(here.recv(&mut buffer).unwrap(), 4000);
    host.end().await;
}
