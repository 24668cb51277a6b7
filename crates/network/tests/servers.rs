//! Ports of servers inside the unit that writes the server: on every engine.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Cloud, cloud_over, context};
use driver_api::NetworkSegment;
use network::{BoundPort, Error, Network, RequestedNic, Result, Seed, nic_specs};
use serde_json::{Value, json};
use store::testing::engines;
use uuid::Uuid;

async fn build(c: &Cloud, project: &str, server: Uuid, host: &str, nics: Vec<RequestedNic>) -> Result<Vec<BoundPort>> {
    let (me, ctx, host) = (c.network.clone(), context(project), host.to_owned());
    let done = c
        .store
        .write(move |tx| {
            me.ports_for_server(tx, &ctx, &nics, server, &host, "nova", &[]).map_err(Error::into_store)
        })
        .await;
    done.map_err(Error::from)
}

fn kind(e: Error) -> &'static str {
    match e {
        Error::Conflict { kind, .. } | Error::Invalid { kind, .. } => kind,
        Error::NotFound { what, .. } => what,
        Error::Forbidden(_) => "Forbidden",
        Error::OverQuota(_) => "OverQuota",
        Error::NotBuilt(_) => "NotBuilt",
        Error::Store(_) => "Store",
    }
}

async fn seeded(c: &Cloud) -> model::network::Network {
    let seed = Seed {
        project_id: "admin".into(),
        name: "kilonova".into(),
        cidr: "10.0.0.0/22".parse().unwrap(),
        dns: vec!["9.9.9.9".parse().unwrap()],
    };
    let n = c.network.seed(&seed).await.unwrap();
    assert_eq!(c.network.seed(&seed).await.unwrap().id, n.id, "seeding twice makes one");
    n
}

fn on(id: Uuid) -> Vec<RequestedNic> {
    vec![RequestedNic::Network { id, fixed_ip: None, tag: None }]
}

fn id(v: &Value) -> Uuid {
    v["id"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_server_takes_the_only_network_and_gives_it_back() {
    for e in engines() {
        let c = cloud_over(e.store.clone());
        assert_eq!(build(&c, "p1", Uuid::from_u128(1), "h1", vec![]).await.unwrap(), [], "no network, no port");
        let n = seeded(&c).await;
        let server = Uuid::from_u128(2);
        let ports = build(&c, "p1", server, "h1", vec![]).await.unwrap();
        assert_eq!((ports.len(), ports[0].network_name.as_str(), ports[0].ours), (1, "kilonova", true), "{}", e.name);
        let specs = c.store.read(move |tx| nic_specs(tx, server)).await.unwrap();
        let spec = &specs[0];
        assert_eq!(spec.device, format!("tap{}", &ports[0].id.to_string()[..11]));
        assert_eq!(spec.subnets[0].dhcp_ip, Some("10.0.0.2".parse().unwrap()));
        assert_eq!(spec.subnets[0].gateway, Some("10.0.0.1".parse().unwrap()));
        assert!(matches!(&spec.segment, NetworkSegment::Vxlan { host_gateway: true, peers, .. } if peers.is_empty()));
        assert!(spec.port_security && spec.admin_up);
        assert_eq!(spec.rules.len(), 4);
        // The project's own network beside the shared one: which is meant?
        let own = c.make("p1", "network", json!({"name": "own"})).await;
        assert_eq!(kind(build(&c, "p1", Uuid::from_u128(3), "h1", vec![]).await.unwrap_err()), "NetworkAmbiguous");
        assert_eq!(kind(build(&c, "p1", Uuid::from_u128(3), "h1", on(id(&own))).await.unwrap_err()), "NetworkRequiresSubnet");
        assert_eq!(kind(build(&c, "p2", Uuid::from_u128(3), "h1", on(id(&own))).await.unwrap_err()), "Network");
        let wish = vec![RequestedNic::Network { id: n.id, fixed_ip: Some("10.0.0.9".parse().unwrap()), tag: None }];
        assert_eq!(kind(build(&c, "p1", Uuid::from_u128(3), "h1", wish).await.unwrap_err()), "Forbidden");
        // Its end.
        let me = c.network.clone();
        let gone = c.store.write(move |tx| me.release_server(tx, server).map_err(Error::into_store)).await.unwrap();
        assert_eq!(gone.networks, [n.id]);
        assert_eq!(c.get("p1", "/v2.0/ports").await["ports"], json!([]));
        let quota = c.get("p1", "/v2.0/quotas/p1/details").await;
        assert_eq!(quota["quota"]["port"]["used"], 0);
    }
}

#[tokio::test]
async fn a_port_that_is_there_is_bound_and_let_go() {
    for e in engines() {
        let c = cloud_over(e.store.clone());
        let n = seeded(&c).await;
        let p = c.make("p1", "port", json!({"network_id": n.id})).await;
        let (server, nic) = (Uuid::from_u128(5), vec![RequestedNic::Port { id: id(&p), tag: Some("lan".into()) }]);
        assert_eq!(kind(build(&c, "p2", server, "h1", nic.clone()).await.unwrap_err()), "Port");
        let bound = build(&c, "p1", server, "h1", nic.clone()).await.unwrap();
        assert_eq!((bound[0].ours, bound[0].tag.as_deref()), (false, Some("lan")));
        assert_eq!(kind(build(&c, "p1", Uuid::from_u128(6), "h1", nic).await.unwrap_err()), "PortInUse");
        let path = format!("/v2.0/ports/{}", id(&p));
        let seen = c.get("admin", &path).await;
        assert_eq!((seen["port"]["binding:host_id"].as_str(), seen["port"]["device_owner"].as_str()), (Some("h1"), Some("compute:nova")));
        let steal = json!({"port": {"device_id": Uuid::from_u128(9)}});
        assert_eq!(c.call("p1", "PUT", &path, steal).await.0, 403, "whose port it is only the compute service says");
        let me = c.network.clone();
        c.store
            .write(move |tx| {
                me.bind_host(tx, server, "h2").map_err(Error::into_store)?;
                me.mark_active(tx, server, true).map_err(Error::into_store)
            })
            .await
            .unwrap();
        let seen = c.get("admin", &path).await;
        assert_eq!((seen["port"]["binding:host_id"].as_str(), seen["port"]["status"].as_str()), (Some("h2"), Some("ACTIVE")));
        let me = c.network.clone();
        let _ = c.store.write(move |tx| me.release_server(tx, server).map_err(Error::into_store)).await.unwrap();
        let seen = c.get("admin", &path).await;
        assert_eq!((seen["port"]["device_id"].as_str(), seen["port"]["status"].as_str()), (Some(""), Some("DOWN")));
    }
}

#[tokio::test]
async fn peers_and_remote_groups_are_resolved_to_addresses() {
    for e in engines() {
        let c = cloud_over(e.store.clone());
        let n = seeded(&c).await;
        c.network.register_host("h1", "192.0.2.1".parse().unwrap()).await.unwrap();
        c.network.register_host("h2", "192.0.2.2".parse().unwrap()).await.unwrap();
        let (a, b, foreign) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let pa = build(&c, "p1", a, "h1", on(n.id)).await.unwrap();
        let pb = build(&c, "p1", b, "h2", on(n.id)).await.unwrap();
        let pf = build(&c, "p2", foreign, "h2", on(n.id)).await.unwrap();
        let spec = c.store.read(move |tx| nic_specs(tx, a)).await.unwrap().remove(0);
        let NetworkSegment::Vxlan { peers, .. } = &spec.segment else { panic!("a VXLAN") };
        assert_eq!((peers.len(), peers[0].vtep), (1, "192.0.2.2".parse().unwrap()), "{}", e.name);
        let mut there: Vec<&str> = peers[0].ports.iter().map(|p| p.0.as_str()).collect();
        there.sort_unstable();
        let mut want = [pb[0].mac.as_str(), pf[0].mac.as_str()];
        want.sort_unstable();
        assert_eq!(there, want);
        // The default group lets its own members in, and nobody else.
        let open: Vec<String> = spec.rules.iter().flat_map(|r| &r.remote).map(ToString::to_string).collect();
        let member = |p: &[BoundPort]| format!("{}/32", p[0].ips[0]);
        assert!(open.contains(&member(&pa)) && open.contains(&member(&pb)) && !open.contains(&member(&pf)));
        let six = spec.rules.iter().filter(|r| r.ethertype == driver_api::EtherType::V6 && r.remote_none).count();
        assert_eq!(six, 1, "no member has an IPv6 address: nothing is allowed");
    }
}

async fn told(rx: &mut tokio::sync::broadcast::Receiver<network::Change>) -> Vec<u128> {
    let change = tokio::time::timeout(std::time::Duration::from_secs(10), rx.recv()).await.unwrap().unwrap();
    change.servers.iter().map(Uuid::as_u128).collect()
}

#[tokio::test]
async fn who_is_concerned_by_a_change_is_told() {
    let c = common::cloud();
    let n = seeded(&c).await;
    for s in 1..=2 {
        build(&c, "p1", Uuid::from_u128(s), "h1", on(n.id)).await.unwrap();
    }
    build(&c, "p2", Uuid::from_u128(3), "h1", on(n.id)).await.unwrap();
    let network: Network = c.network.clone();
    let mut rx = network.changes();
    let default = c.get("p1", "/v2.0/security-groups").await["security_groups"][0]["id"].clone();
    let icmp = json!({"security_group_id": default, "direction": "ingress", "protocol": "icmp"});
    c.make("p1", "security_group_rule", icmp).await;
    assert_eq!(told(&mut rx).await, [1, 2]);
    let ports = c.get("p1", &format!("/v2.0/ports?device_id={}", Uuid::from_u128(1))).await;
    let path = format!("/v2.0/ports/{}", ports["ports"][0]["id"].as_str().unwrap());
    c.call("p1", "PUT", &path, json!({"port": {"admin_state_up": false}})).await;
    assert_eq!(told(&mut rx).await, [1]);
    c.call("p1", "DELETE", &path, Value::Null).await;
    assert_eq!(told(&mut rx).await, [1, 2, 3], "the server, its group's members, the neighbours");
    network.notify_bound(Uuid::from_u128(3));
    assert_eq!(told(&mut rx).await, [2], "the others on the network; the server itself is being built");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_builds_at_once_never_share_an_address() {
    for e in engines() {
        let c = std::sync::Arc::new(cloud_over(e.store.clone()));
        let n = c.make("p1", "network", json!({"name": "small"})).await;
        let subnet = json!({"network_id": n["id"], "ip_version": 4, "cidr": "10.9.0.0/27", "enable_dhcp": false});
        c.make("p1", "subnet", subnet).await;
        c.get("p1", "/v2.0/security-groups").await;
        let mut all = Vec::new();
        for s in 0..40u128 {
            let (c, net) = (c.clone(), id(&n));
            all.push(tokio::spawn(async move {
                // A unit that lost its races is tried again, as the API does.
                loop {
                    match build(&c, "p1", Uuid::from_u128(100 + s), "h1", on(net)).await {
                        Err(Error::Store(store::Error::Busy)) => tokio::task::yield_now().await,
                        done => return done,
                    }
                }
            }));
        }
        let (mut ips, mut refused) = (std::collections::BTreeSet::new(), 0);
        for t in all {
            match t.await.unwrap() {
                Ok(ports) => assert!(ips.insert(ports[0].ips[0]), "{}: an address twice", e.name),
                Err(e) => {
                    assert_eq!(kind(e), "IpAddressGenerationFailure");
                    refused += 1;
                }
            }
        }
        assert_eq!((ips.len(), refused), (29, 11), "{}", e.name);
    }
}
