//! What is there after each call, and that it is there once.
#![allow(clippy::unwrap_used)]

mod lab;

use hostnet::names;
use lab::{Host, Machine, id, ingress, nic};
use std::slice::from_ref;

fn link(host: &Host, device: &str) -> serde_json::Value {
    let text = host.ns.ip(&format!("-j -d link show {device}"));
    serde_json::from_str::<serde_json::Value>(&text).unwrap()[0].take()
}

#[tokio::test(flavor = "multi_thread")]
async fn again_changes_nothing_and_the_last_one_takes_all_along() {
    let host = Host::new().await;
    let network = id();
    let mut one = nic(network, 5);
    one.device = String::new();
    let device = hostnet::tap_name(one.port_id);
    let two = nic(network, 6);

    host.net.plug(from_ref(&one)).await.unwrap();
    let tap = link(&host, &device);
    assert_eq!(tap["linkinfo"]["info_kind"], "tun");
    assert_eq!(tap["linkinfo"]["info_data"]["type"], "tap");
    assert_eq!(tap["linkinfo"]["info_data"]["persist"], true);
    assert_eq!(tap["linkinfo"]["info_data"]["multi_queue"], false);
    assert_eq!(tap["mtu"], 1400);
    assert_eq!(tap["master"], names::bridge(network));
    let bridge = link(&host, &names::bridge(network));
    assert_eq!(bridge["linkinfo"]["info_data"]["ageing_time"], 30_000, "frames would be flooded to all");
    assert_eq!(bridge["linkinfo"]["info_data"]["stp_state"], 0);

    let first = host.net.audit().await.unwrap();
    assert_eq!(first.len(), 5, "a tap, a bridge, a pair, a namespace, a table: {first:?}");
    host.net.plug(from_ref(&one)).await.unwrap();
    host.net.sync(from_ref(&one)).await.unwrap();
    assert_eq!(host.net.audit().await.unwrap(), first);
    assert_eq!(link(&host, &device)["ifindex"], tap["ifindex"], "the tap was made anew under its guest");
    assert_eq!(link(&host, &names::bridge(network))["ifindex"], bridge["ifindex"]);

    host.net.plug(from_ref(&two)).await.unwrap();
    host.net.unplug(from_ref(&one)).await.unwrap();
    host.net.unplug(from_ref(&one)).await.unwrap();
    assert_eq!(host.net.audit().await.unwrap().len(), 5);
    host.net.unplug(&[one, two.clone()]).await.unwrap();
    assert_eq!(host.net.audit().await.unwrap(), Vec::<String>::new());
    host.net.unplug(from_ref(&two)).await.unwrap();
    assert_eq!(host.net.audit().await.unwrap(), Vec::<String>::new());
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sync_removes_ours_and_leaves_theirs() {
    let host = Host::new().await;
    // Somebody else's, named like ours.
    host.ns.ip("link add kb00000000000 type bridge");
    host.ns.ip("tuntap add dev tap00000000-00 mode tap");
    host.ns.ok("nft", &["table bridge other { chain c { type filter hook forward priority 0; }; }"]);
    let theirs = host.ns.ok("nft", &["list", "table", "bridge", "other"]);

    let (kept, stray, other) = (nic(id(), 5), nic(id(), 6), nic(id(), 7));
    host.net.plug(&[kept.clone(), stray.clone()]).await.unwrap();
    host.net.plug(from_ref(&other)).await.unwrap();
    // An agent that has forgotten all.
    let host = host.restart().await;
    host.net.sync(from_ref(&kept)).await.unwrap();
    let left = host.net.audit().await.unwrap();
    assert_eq!(left.len(), 5, "{left:?}");
    assert!(left.contains(&kept.device) && left.contains(&names::bridge(kept.network_id)), "{left:?}");
    let rules = host.ns.ok("nft", &["list", "table", "bridge", "kilonova"]);
    assert!(rules.contains(&kept.device), "{rules}");
    assert!(!rules.contains(&stray.device) && !rules.contains(&other.device), "{rules}");

    host.net.sync(&[]).await.unwrap();
    assert_eq!(host.net.audit().await.unwrap(), Vec::<String>::new());
    host.ns.ip("link show kb00000000000");
    host.ns.ip("link show tap00000000-00");
    assert_eq!(host.ns.ok("nft", &["list", "table", "bridge", "other"]), theirs);
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_somebody_else_is_not_taken() {
    let host = Host::new().await;
    let port = nic(id(), 5);
    host.ns.ip("link add br-theirs type bridge");
    host.ns.ip(&format!("tuntap add dev {} mode tap", port.device));
    host.ns.ip(&format!("link set {} master br-theirs", port.device));
    assert!(host.net.plug(from_ref(&port)).await.is_err());
    host.net.unplug(from_ref(&port)).await.unwrap();
    assert_eq!(link(&host, &port.device)["master"], "br-theirs");

    let bad = |change: &dyn Fn(&mut driver_api::NicSpec)| {
        let mut nic = nic(id(), 6);
        change(&mut nic);
        nic
    };
    for nic in [
        bad(&|n| n.device = "tap; rm".to_owned()),
        bad(&|n| n.device = "a-name-that-is-too-long".to_owned()),
        bad(&|n| n.mac = "not a mac".to_owned()),
        bad(&|n| n.mac = "01:00:5e:00:00:01".to_owned()),
        bad(&|n| n.mtu = 0),
    ] {
        assert!(matches!(host.net.plug(from_ref(&nic)).await, Err(hostnet::Error::BadPort { .. })), "{nic:?}");
    }
    assert_eq!(host.net.audit().await.unwrap(), Vec::<String>::new());
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_hand_broke_is_made_whole() {
    let host = Host::new().await;
    let network = id();
    let mut open = nic(network, 6);
    open.rules.push(ingress(1, None));
    let a = Machine::plug(&host, nic(network, 5)).await;
    let b = Machine::plug(&host, open).await;
    let nics = [a.nic.clone(), b.nic.clone()];
    a.knows(&host, "a");
    a.dhcp();
    b.dhcp();
    let namespace = host.net.audit().await.unwrap().into_iter().find(|n| n.starts_with("kn-")).unwrap();
    let host = host.restart().await;
    lab::ip(&format!("netns del {namespace}"));
    // A process died while it made the namespace: a file without one.
    std::fs::write(format!("/run/netns/{namespace}"), "").unwrap();
    host.ns.ip(&format!("link del {}", names::bridge(network)));
    host.ns.ok("nft", &["delete", "table", "bridge", "kilonova"]);
    assert!(!a.ns.ping("10.20.0.6"));
    host.net.sync(&nics).await.unwrap();
    assert!(a.ns.ping("10.20.0.6") && !b.ns.ping("10.20.0.5"));
    assert_eq!(a.dhcp()["ip"], "10.20.0.5");
    assert_eq!(a.curl(&[], "/latest/meta-data/hostname").0, "a.lab");

    // A subnet loses its DHCP and gets it again.
    let mut without = nics.clone();
    for nic in &mut without {
        nic.subnets[0].dhcp = false;
        nic.subnets[0].dhcp_ip = None;
    }
    host.net.refresh(&without).await.unwrap();
    assert!(!host.net.audit().await.unwrap().contains(&namespace));
    assert!(a.ns.ping("10.20.0.6"));
    host.net.refresh(&nics).await.unwrap();
    assert_eq!(a.dhcp()["ip"], "10.20.0.5");
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_change_wires_nothing() {
    let host = Host::new().await;
    host.net.refresh(&[nic(id(), 5)]).await.unwrap();
    assert_eq!(host.net.audit().await.unwrap(), Vec::<String>::new());
    host.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_a_host_is_that_of_its_default_route() {
    let host = Host::new().await;
    assert_eq!(host.net.address().await, std::net::IpAddr::from([127, 0, 0, 1]), "there is no route");
    for line in [
        "link add up0 type veth peer name up1",
        "addr add 192.0.2.7/24 dev up0",
        "link set up0 up",
        "link set up1 up",
        "route add default via 192.0.2.1",
    ] {
        host.ns.ip(line);
    }
    assert_eq!(host.net.address().await, std::net::IpAddr::from([192, 0, 2, 7]));
    host.ns.ip("link del up0");
    host.end().await;
}
