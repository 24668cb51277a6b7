//! How far a network reaches: other hosts, the host, the world behind it.
#![allow(clippy::unwrap_used)]

mod lab;

use driver_api::{NetworkSegment, NicSpec, PeerHost};
use hostnet::Error;
use lab::{Host, Machine, Ns, connect, id, ingress, nic};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::slice::from_ref;

fn across(mut nic: NicSpec, vni: u32, peers: Vec<PeerHost>) -> NicSpec {
    nic.segment = NetworkSegment::Vxlan { vni, peers, host_gateway: false };
    nic.rules.push(ingress(1, None));
    nic
}

fn peer(vtep: &str, ports: &[&NicSpec]) -> PeerHost {
    PeerHost {
        vtep: vtep.parse().unwrap(),
        ports: ports.iter().map(|n| (n.mac.clone(), n.fixed_ips.iter().map(|f| f.ip).collect())).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_network_spans_two_hosts() {
    let vtep = |n: u8| Some(IpAddr::from([192, 168, 50, n]));
    let one = Host::with(vtep(1), BTreeMap::new()).await;
    let two = Host::with(vtep(2), BTreeMap::new()).await;
    one.ns.ip(&format!("link add under type veth peer name under netns {}", two.ns.0));
    for (host, n) in [(&one, 1), (&two, 2)] {
        host.ns.ip(&format!("addr add 192.168.50.{n}/24 dev under"));
        host.ns.ip("link set under up");
    }
    let network = id();
    let (a, b) = (nic(network, 5), nic(network, 6));
    let mut a = Machine::plug(&one, across(a.clone(), 4242, vec![peer("192.168.50.2", &[&b])])).await;
    let b = Machine::plug(&two, across(b, 4242, vec![peer("192.168.50.1", &[&a.nic])])).await;
    // The same addresses in another network with another identifier on the second host.
    let elsewhere = Machine::plug(&two, across(nic(id(), 7), 4243, vec![peer("192.168.50.1", &[])])).await;
    elsewhere.address();
    a.knows(&one, "first");
    b.knows(&two, "second");
    assert_eq!(a.dhcp()["ip"], "10.20.0.5");
    assert_eq!(b.dhcp()["ip"], "10.20.0.6");
    assert!(a.ns.ping("10.20.0.6") && b.ns.ping("10.20.0.5"));
    assert!(!a.ns.ping("10.20.0.7"), "the other network");
    // Each asks its own host, though both endpoints have one address.
    for _ in 0..5 {
        assert_eq!(a.curl(&[], "/latest/meta-data/hostname").0, "first.lab");
        assert_eq!(b.curl(&[], "/latest/meta-data/hostname").0, "second.lab");
    }
    // Full-size packets fit into the tunnel.
    let large = a.ns.run("ping", &["-c", "1", "-W", "2", "-M", "do", "-s", "1372", "10.20.0.6"]);
    assert!(large.status.success());

    // The other host leaves the network, and comes again.
    let peers = |nic: &mut NicSpec, peers: Vec<PeerHost>| {
        nic.segment = NetworkSegment::Vxlan { vni: 4242, peers, host_gateway: false };
    };
    peers(&mut a.nic, Vec::new());
    one.net.refresh(from_ref(&a.nic)).await.unwrap();
    assert!(!a.ns.ping("10.20.0.6"));
    peers(&mut a.nic, vec![peer("192.168.50.2", &[&b.nic])]);
    one.net.refresh(from_ref(&a.nic)).await.unwrap();
    assert!(a.ns.ping("10.20.0.6"));
    one.end().await;
    two.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_across_hosts_needs_a_tunnel_address() {
    let host = Host::new().await;
    let far = across(nic(id(), 5), 9, vec![peer("192.168.50.2", &[])]);
    let near = nic(id(), 6);
    assert!(matches!(host.net.plug(from_ref(&far)).await, Err(Error::BadNetwork { .. })));
    // The rest of a host does not wait for it.
    assert!(host.net.sync(&[far, near.clone()]).await.is_err());
    assert!(host.net.audit().await.unwrap().contains(&near.device));
    host.end().await;
}

fn routed(mut nic: NicSpec) -> NicSpec {
    nic.segment = NetworkSegment::Vxlan { vni: 1, peers: Vec::new(), host_gateway: true };
    nic
}

/// A host with a way into a world that knows nothing of guests.
async fn host_with_world() -> (Host, Ns) {
    let host = Host::new().await;
    let world = Ns::new("w");
    host.ns.ip(&format!("link add up0 type veth peer name eth0 netns {}", world.0));
    host.ns.ip("addr add 203.0.113.2/24 dev up0");
    host.ns.ip("link set up0 up");
    world.ip("addr add 203.0.113.1/24 dev eth0");
    world.ip("link set eth0 up");
    (host, world)
}

fn serve(ns: &Ns, port: u16) {
    let listener = ns.within(|| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let peer = stream.peer_addr().unwrap().ip().to_string();
            let _ = std::io::Write::write_all(&mut stream, peer.as_bytes());
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_is_a_gateway_out_and_no_way_in() {
    let (host, world) = host_with_world().await;
    serve(&world, 80);
    serve(&host.ns, 9000);
    let mut guest = Machine::plug(&host, routed(nic(id(), 5))).await;
    guest.knows(&host, "guest");
    guest.dhcp();
    let outside = Ipv4Addr::new(203, 0, 113, 1);
    let gateway = Ipv4Addr::new(10, 20, 0, 1);
    assert_eq!(guest.connect(outside, 80).as_deref(), Some("203.0.113.2"), "translated on its way out");
    assert!(guest.ns.ping("203.0.113.1") && guest.ns.ping("10.20.0.1"));
    assert_eq!(guest.curl(&[], "/latest/meta-data/hostname").0, "guest.lab");
    assert_eq!(guest.connect(gateway, 9000), None, "a service of the host");
    assert_eq!(guest.connect(Ipv4Addr::new(203, 0, 113, 2), 9000), None, "… under its other address");
    assert_eq!(connect(&world, Ipv4Addr::new(203, 0, 113, 2), 9000).as_deref(), Some("203.0.113.1"), "it does run");

    // The host reaches its guest whatever the groups say; the world does not, even if it knows the way.
    guest.serve(8080);
    assert_eq!(connect(&host.ns, guest.ip, 8080).as_deref(), Some("hello"));
    assert!(host.ns.ping("10.20.0.5"));
    world.ip("route add 10.20.0.0/24 via 203.0.113.2");
    assert_eq!(connect(&world, guest.ip, 8080), None);
    guest.nic.rules.push(ingress(6, Some(8080)));
    host.net.refresh(from_ref(&guest.nic)).await.unwrap();
    assert_eq!(connect(&world, guest.ip, 8080).as_deref(), Some("hello"));
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_network_has_no_way_to_the_host_or_another_network() {
    let (host, world) = host_with_world().await;
    serve(&world, 80);
    serve(&host.ns, 9000);
    let mut port = routed(nic(id(), 5));
    port.rules.extend([ingress(6, None), ingress(1, None)]);
    let shared = Machine::plug(&host, port).await;
    shared.dhcp();
    shared.serve(80);
    let mut private = nic(id(), 6);
    private.port_security = false;
    private.fixed_ips[0].ip = [172, 30, 0, 6].into();
    private.subnets[0].cidr = "172.30.0.0/24".parse().unwrap();
    private.subnets[0].gateway = None;
    private.subnets[0].dhcp_ip = Some([172, 30, 0, 2].into());
    let mut private = Machine::plug(&host, private).await;
    private.address();
    // It forges a way: the bridge's own MAC address as gateway.
    let bridge = hostnet::names::bridge(private.nic.network_id);
    let link: serde_json::Value = serde_json::from_str(&host.ns.ip(&format!("-j link show {bridge}"))).unwrap();
    let mac = link[0]["address"].as_str().unwrap();
    private.ns.ip("route add default via 172.30.0.1 dev eth0 onlink");
    private.ns.ip(&format!("neigh replace 172.30.0.1 lladdr {mac} dev eth0"));
    host.ns.ip(&format!("route add 172.30.0.0/24 dev {bridge}"));
    private.serve(80);
    for secured in [false, true] {
        private.nic.port_security = secured;
        private.nic.rules.extend([ingress(6, None), ingress(1, None)]);
        host.net.refresh(from_ref(&private.nic)).await.unwrap();
        for (to, port) in
            [([203, 0, 113, 2], 9000), ([10, 20, 0, 1], 9000), ([10, 20, 0, 5], 80), ([203, 0, 113, 1], 80)]
        {
            assert_eq!(private.connect(to.into(), port), None, "{to:?}, secured: {secured}");
        }
        assert_eq!(connect(&host.ns, private.ip, 80), None, "the host has no way in, either");
    }
    // The same from the shared network, where the host is the gateway.
    assert_eq!(shared.connect([203, 0, 113, 1].into(), 80).as_deref(), Some("203.0.113.2"));

    // A second gateway network: not for the same range, and the two do not meet.
    let twin = routed(nic(id(), 7));
    assert!(matches!(host.net.plug(from_ref(&twin)).await, Err(Error::BadNetwork { .. })));
    let mut third = routed(nic(id(), 8));
    third.fixed_ips[0].ip = [172, 31, 0, 8].into();
    third.subnets[0].cidr = "172.31.0.0/24".parse().unwrap();
    third.subnets[0].gateway = Some([172, 31, 0, 1].into());
    third.subnets[0].dhcp_ip = Some([172, 31, 0, 2].into());
    let third = Machine::plug(&host, third).await;
    third.dhcp();
    assert_eq!(third.connect([203, 0, 113, 1].into(), 80).as_deref(), Some("203.0.113.2"));
    assert_eq!(third.connect([10, 20, 0, 5].into(), 80), None);
    host.ns.ip("route del 172.30.0.0/24");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bridged_packets_do_not_meet_the_hosts_own_rules() {
    let host = Host::new().await;
    // As dockerd leaves a host: bridged packets in iptables, and a policy that forwards nothing.
    let switch = "/proc/sys/net/bridge/bridge-nf-call-iptables";
    host.ns.within(|| std::fs::write(switch, "1").unwrap());
    let rules = "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }";
    host.ns.ok("nft", &[rules]);
    // Somebody's own bridge, which relies on that policy.
    let foreign = [Ns::new("f"), Ns::new("f")];
    host.ns.ip("link add docker0 type bridge");
    host.ns.ip("link set docker0 up");
    for (n, ns) in foreign.iter().enumerate() {
        host.ns.ip(&format!("link add vf{n} type veth peer name eth0 netns {}", ns.0));
        host.ns.ip(&format!("link set vf{n} master docker0 up"));
        ns.ip(&format!("addr add 10.9.9.{}/24 dev eth0", n + 1));
        ns.ip("link set eth0 up");
    }
    assert!(!foreign[0].ping("10.9.9.2"));

    let network = id();
    let mut port = nic(network, 6);
    port.rules.push(ingress(1, None));
    let nics = [nic(network, 5), port];
    let [a, b] = nics.map(|n| Machine::wire(&host, n));
    let nics = [a.nic.clone(), b.nic.clone()];
    host.net.plug(&nics).await.unwrap();
    a.address();
    b.address();
    assert!(a.ns.ping("10.20.0.6"));
    assert!(!foreign[0].ping("10.9.9.2"), "the other bridge is filtered as before");
    // Somebody turns it on again: this is what would be, and it lasts until the next look.
    host.ns.within(|| std::fs::write(switch, "1").unwrap());
    assert!(!a.ns.ping("10.20.0.6"), "the kernel asks for either switch");
    host.net.sync(&nics).await.unwrap();
    assert!(a.ns.ping("10.20.0.6"));

    let before = host.ns.ok("nft", &["list", "table", "ip", "filter"]);
    assert!(before.contains("policy drop"));
    host.net.close(false).await.unwrap();
    assert_eq!(host.ns.ok("nft", &["list", "table", "ip", "filter"]), before);
    assert_eq!(host.ns.within(|| std::fs::read_to_string(switch).unwrap()), "1\n");
    host.ns.ip("link show docker0");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flat_network_is_the_physical_one() {
    let mapping = [("physnet", "up0"), ("nowhere", "up7"), ("busy", "up1"), ("addressed", "up2")];
    let host = Host::with(None, mapping.map(|(k, v)| (k.to_owned(), v.to_owned())).into()).await;
    let outside = Ns::new("o");
    host.ns.ip(&format!("link add up0 type veth peer name eth0 netns {}", outside.0));
    outside.ip("addr add 10.20.0.50/24 dev eth0");
    outside.ip("link set eth0 up");
    host.ns.ip("link add other type bridge");
    host.ns.ip("link add up1 type veth peer name up1x");
    host.ns.ip("link set up1 master other");
    host.ns.ip("link add up2 type veth peer name up2x");
    host.ns.ip("addr add 198.51.100.1/24 dev up2");

    let flat = |name: &str, last| {
        let mut nic = nic(id(), last);
        nic.segment = NetworkSegment::Flat { physical_network: name.to_owned() };
        nic.rules.push(ingress(1, None));
        nic
    };
    for (name, word) in [("unmapped", "mapped"), ("nowhere", "up7"), ("busy", "other"), ("addressed", "198.51.100.1")] {
        let refused = host.net.plug(from_ref(&flat(name, 9))).await.unwrap_err();
        assert!(matches!(refused, Error::Uplink { .. }) && refused.to_string().contains(word), "{name}: {refused}");
    }
    host.net.sync(&[]).await.unwrap();
    assert_eq!(host.net.audit().await.unwrap(), Vec::<String>::new(), "what was refused left nothing");

    let guest = Machine::plug(&host, flat("physnet", 5)).await;
    guest.knows(&host, "guest");
    assert_eq!(guest.dhcp()["ip"], "10.20.0.5");
    assert_eq!(guest.curl(&[], "/latest/meta-data/hostname").1, 200);
    assert!(guest.ns.ping("10.20.0.50") && outside.ping("10.20.0.5"));
    assert!(!outside.ping("10.20.0.2"), "the endpoint is this host's alone");
    host.net.unplug(from_ref(&guest.nic)).await.unwrap();
    let link: serde_json::Value = serde_json::from_str(&host.ns.ip("-j link show up0")).unwrap();
    assert_eq!(link[0]["master"], serde_json::Value::Null);
    host.end().await;
}
