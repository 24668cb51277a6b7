//! A guest gets its address and its documents, again after a restart of the agent.
#![allow(clippy::unwrap_used)]

mod lab;

use lab::{Host, Machine, id, nic};

#[tokio::test(flavor = "multi_thread")]
async fn dhcp_tells_all_and_metadata_knows_who_asks() {
    let host = Host::new().await;
    let network = id();
    let one = Machine::plug(&host, nic(network, 5)).await;
    let two = Machine::plug(&host, nic(network, 6)).await;
    let uuid = one.knows(&host, "first");
    two.knows(&host, "second");
    for (machine, name) in [(&one, "first"), (&two, "second")] {
        let lease = machine.dhcp();
        assert_eq!(lease["ip"], machine.ip.to_string());
        assert_eq!(lease["mask"], "24");
        assert_eq!(lease["router"], "10.20.0.1");
        assert_eq!(lease["dns"], "10.20.0.9");
        assert_eq!(lease["mtu"], "1400");
        assert_eq!(lease["serverid"], "10.20.0.2");
        assert_eq!(lease["lease"], "86400");
        assert_eq!(lease["hostname"], name);
        assert_eq!(lease["domain"], "lab");
        assert_eq!(lease["staticroutes"], "169.254.169.254/32 10.20.0.2 0.0.0.0/0 10.20.0.1");
        assert_eq!(machine.curl(&[], "/latest/meta-data/hostname"), (format!("{name}.lab"), 200));
    }
    let (body, status) =
        one.curl(&["-H", "X-Forwarded-For: 10.20.0.6", "-H", "X-Instance-ID: x"], "/openstack/latest/meta_data.json");
    let document: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, document["uuid"].as_str().unwrap()), (200, uuid.to_string().as_str()), "headers are believed");

    assert_eq!(one.curl(&[], "/openstack/latest/nothing").1, 404);
    assert_eq!(one.curl(&["-X", "PUT"], "/latest/api/token").1, 404);
    assert_eq!(one.curl(&["-X", "PUT"], "/latest/meta-data/hostname").1, 405);
    let password = "/openstack/latest/password";
    assert_eq!(one.curl(&["-d", &"x".repeat(1021)], password).1, 400);
    assert_eq!(one.curl(&["-d", "cipher"], password).1, 200);
    assert_eq!(one.curl(&["-d", "other"], password).1, 409);
    assert_eq!(*host.known.passwords.lock().unwrap(), [(uuid, b"cipher".to_vec())]);

    host.known.guests.lock().unwrap().clear();
    assert_eq!(one.curl(&[], "/latest/meta-data/hostname").1, 404, "an address without a guest");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_starts_again_serves_again() {
    let host = Host::new().await;
    let network = id();
    let machine = Machine::plug(&host, nic(network, 5)).await;
    let peer = Machine::plug(&host, nic(network, 6)).await;
    machine.knows(&host, "guest");
    machine.dhcp();
    peer.address();
    let nics = [machine.nic.clone(), peer.nic.clone()];

    let host = host.restart().await;
    assert!(machine.ns.ping("10.20.0.2"), "the wiring stays while the agent is away");
    assert_eq!(machine.curl(&[], "/latest").1, 0, "nobody serves while the agent is away");
    host.net.sync(&nics).await.unwrap();
    assert_eq!(machine.dhcp()["ip"], "10.20.0.5");
    assert_eq!(machine.curl(&[], "/latest/meta-data/hostname").1, 200);

    // Without knowing of the other port, the network stays for it.
    let host = host.restart().await;
    host.net.unplug(&nics[..1]).await.unwrap();
    let left = host.net.audit().await.unwrap();
    assert!(left.contains(&peer.nic.device) && !left.contains(&machine.nic.device), "{left:?}");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_with_the_same_addresses_do_not_mix() {
    let host = Host::new().await;
    let networks = [id(), id()];
    let mut machines = Vec::new();
    for (n, network) in networks.into_iter().enumerate() {
        for last in [5, 6] {
            let mut nic = nic(network, last);
            nic.rules.push(lab::ingress(1, None));
            if let driver_api::NetworkSegment::Vxlan { vni, .. } = &mut nic.segment {
                *vni += u32::try_from(n).unwrap();
            }
            let machine = Machine::plug(&host, nic).await;
            machine.knows(&host, &format!("net{n}-{last}"));
            assert_eq!(machine.dhcp()["ip"], machine.ip.to_string());
            machines.push(machine);
        }
    }
    for (n, machine) in machines.iter().enumerate() {
        let name = machine.curl(&[], "/latest/meta-data/hostname").0;
        assert_eq!(name, format!("net{}-{}.lab", n / 2, 5 + n % 2));
    }
    assert!(machines[0].ns.ping("10.20.0.6"));
    // The other network's .6 goes away; this one's .6 still answers, and with it gone, nobody does.
    host.net.unplug(std::slice::from_ref(&machines[3].nic)).await.unwrap();
    assert!(machines[0].ns.ping("10.20.0.6"));
    host.net.unplug(std::slice::from_ref(&machines[1].nic)).await.unwrap();
    assert!(!machines[0].ns.ping("10.20.0.6"));
    let listener = machines[2].ip;
    machines[2].serve(8080);
    assert_eq!(machines[0].connect(listener, 8080), None, "10.20.0.5 is the asker itself, not the other network's");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_agent_in_the_namespace_is_refused() {
    let host = Host::new().await;
    let second = hostnet::HostNet::open(hostnet::HostNetOptions {
        host: "other".to_owned(),
        netns: Some(host.ns.0.clone()),
        vtep: None,
        physical_networks: std::collections::BTreeMap::new(),
        metadata: std::sync::Arc::<lab::Known>::default(),
    })
    .await;
    assert!(matches!(second, Err(hostnet::Error::InUse(_))), "{second:?}");
    let nowhere = hostnet::HostNet::open(hostnet::HostNetOptions {
        host: "other".to_owned(),
        netns: Some("kt-not-there".to_owned()),
        vtep: None,
        physical_networks: std::collections::BTreeMap::new(),
        metadata: std::sync::Arc::<lab::Known>::default(),
    })
    .await;
    assert!(matches!(nowhere, Err(hostnet::Error::NoNamespace(_))), "{nowhere:?}");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_are_for_known_ports_and_name_the_wrong_address() {
    let host = Host::new().await;
    let network = id();
    let machine = Machine::plug(&host, nic(network, 5)).await;
    // Another MAC in a network without spoofing protection: nobody answers it.
    let mut open = nic(network, 7);
    open.port_security = false;
    let stranger = Machine::plug(&host, open).await;
    stranger.ns.ip("link set eth0 address 02:00:00:00:00:99");
    let out = stranger
        .ns
        .run("busybox", &["udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "2", "-T", "1", "-s", "/bin/true"]);
    assert!(!out.status.success(), "an unknown MAC got a lease");
    // A client that remembers another address is told no and takes the right one.
    let out = machine.ns.run(
        "busybox",
        &["udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "5", "-T", "1", "-r", "10.20.0.77", "-s", "/bin/true"],
    );
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && text.contains("lease of 10.20.0.5 obtained"), "{text}");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_guest_cannot_keep_the_documents_from_another() {
    use std::io::Read as _;
    let host = Host::new().await;
    let network = id();
    let greedy = Machine::plug(&host, nic(network, 5)).await;
    let modest = Machine::plug(&host, nic(network, 6)).await;
    for machine in [&greedy, &modest] {
        machine.knows(&host, "guest");
        machine.dhcp();
    }
    let connect = || {
        greedy.ns.within(|| {
            let address = (std::net::Ipv4Addr::new(169, 254, 169, 254), 80).into();
            let stream = std::net::TcpStream::connect_timeout(&address, std::time::Duration::from_secs(5)).unwrap();
            stream.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
            stream
        })
    };
    // Connections that ask nothing; the ninth is closed at once, those before it wait.
    let mut held: Vec<_> = (0..9).map(|_| connect()).collect();
    assert_eq!(held[8].read(&mut [0; 1]).ok(), Some(0));
    assert!(held[7].read(&mut [0; 1]).is_err(), "closed, too");
    assert_eq!(modest.curl(&[], "/latest/meta-data/hostname").1, 200);
    drop(held);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while greedy.curl(&[], "/latest/meta-data/hostname").1 != 200 {
        assert!(std::time::Instant::now() < deadline, "its connections are still counted");
    }
    host.end().await;
}
