//! What operators and users set: flavors, keypairs, aggregates, services, and the platform's own secrets.

use crate::make::{flavor, id};
use driver_api::{Node, Timestamp};
use model::Secret;
use model::aggregate::Aggregate;
use model::keypair::Keypair;
use model::service::Service;
use std::collections::BTreeMap;
use store::testing::{TestEngine, engines};
use store::{Error, aggregates, counters, flavors, keypairs, secrets, services};

#[tokio::test]
async fn flavors() {
    for TestEngine { name, store, .. } in &engines() {
        store.write(|tx| flavors::insert(tx, &flavor("b")).and(flavors::insert(tx, &flavor("a")))).await.unwrap();
        let all = store.read(flavors::list).await.unwrap();
        assert_eq!(all, [flavor("a"), flavor("b")], "{name}");
        let mut same_name = flavor("c");
        same_name.name = "a flavor".into();
        let taken = store.write(move |tx| flavors::insert(tx, &same_name)).await;
        assert!(matches!(taken, Err(Error::Conflict(_))), "{name}");
        let changed = store.write(|tx| {
            flavors::change(tx, "a", |f| {
                f.access = vec!["q".into(), "p".into(), "q".into()];
                f.extra_specs.clear();
                f.description = Some("d".into());
                Ok(())
            })
        });
        let changed = changed.await.unwrap();
        assert_eq!(changed.access, ["p", "q"], "{name}");
        assert_eq!(store.read(|tx| flavors::get(tx, "a")).await.unwrap(), changed, "{name}");
        store.write(|tx| flavors::delete(tx, "a")).await.unwrap();
        for gone in [
            store.read(|tx| flavors::get(tx, "a")).await.map(drop),
            store.write(|tx| flavors::delete(tx, "a")).await,
            store.write(|tx| flavors::change(tx, "a", |_| Ok(()))).await.map(drop),
        ] {
            assert!(matches!(gone, Err(Error::NotFound { .. })), "{name}");
        }
    }
}

fn keypair(user: &str, name: &str) -> Keypair {
    Keypair {
        user_id: user.into(),
        name: name.into(),
        kind: "ssh".into(),
        fingerprint: "aa:bb".into(),
        public_key: "ssh-ed25519 AAAA".into(),
        created_at: Timestamp(3),
    }
}

#[tokio::test]
async fn keypairs() {
    for TestEngine { name, store, .. } in &engines() {
        let mine = ["b", "a", "C", "d"];
        store.write(move |tx| mine.iter().try_for_each(|n| keypairs::insert(tx, &keypair("me", n)))).await.unwrap();
        store.write(|tx| keypairs::insert(tx, &keypair("you", "a"))).await.unwrap();
        let twice = store.write(|tx| keypairs::insert(tx, &keypair("me", "a"))).await;
        assert!(matches!(twice, Err(Error::Conflict(_))), "{name}");
        let list = |marker: Option<&'static str>, limit| async move {
            let found = store.read(move |tx| keypairs::list(tx, "me", marker, limit)).await;
            found.map(|all| all.into_iter().map(|k| k.name).collect::<Vec<_>>())
        };
        assert_eq!(list(None, None).await.unwrap(), ["C", "a", "b", "d"], "{name}");
        assert_eq!(list(Some("a"), Some(1)).await.unwrap(), ["b"], "{name}");
        assert!(matches!(list(Some("x"), None).await, Err(Error::NotFound { what: "marker", .. })), "{name}");
        assert_eq!(store.read(|tx| keypairs::count(tx, "me")).await.unwrap(), 4);
        assert_eq!(store.read(|tx| keypairs::get(tx, "you", "a")).await.unwrap(), keypair("you", "a"));
        store.write(|tx| keypairs::delete(tx, "you", "a")).await.unwrap();
        let gone = store.write(|tx| keypairs::delete(tx, "you", "a")).await;
        assert!(matches!(gone, Err(Error::NotFound { .. })), "{name}");
        assert_eq!(store.read(|tx| keypairs::count(tx, "me")).await.unwrap(), 4, "{name}: mine stay");
    }
}

#[tokio::test]
async fn aggregates() {
    for TestEngine { name, store, .. } in &engines() {
        let make = |n: u128, label: &'static str| {
            store.write(move |tx| {
                aggregates::insert(tx, &Aggregate {
                    id: 0,
                    uuid: id(n),
                    name: label.into(),
                    hosts: vec![],
                    metadata: BTreeMap::from([("availability_zone".into(), "z".into())]),
                    created_at: Timestamp(1),
                    updated_at: None,
                })
            })
        };
        let (one, two) = (make(1, "one").await.unwrap(), make(2, "two").await.unwrap());
        assert_eq!((one.id, two.id), (1, 2), "{name}");
        assert!(matches!(make(3, "one").await, Err(Error::Conflict(_))), "{name}");
        let hosts = |hosts: &'static [&'static str]| {
            store.write(move |tx| {
                aggregates::change(tx, 2, Timestamp(5), |a| {
                    a.hosts = hosts.iter().map(|&h| h.to_owned()).collect();
                    Ok(())
                })
            })
        };
        let full = hosts(&["h2", "h1"]).await.unwrap();
        assert_eq!((full.hosts.join(" "), full.updated_at), ("h1 h2".into(), Some(Timestamp(5))));
        assert_eq!(store.read(|tx| aggregates::get(tx, 2)).await.unwrap(), full, "{name}");
        let delete = |n| store.write(move |tx| aggregates::delete(tx, n));
        assert!(matches!(delete(2).await, Err(Error::Conflict(_))), "{name}: it has hosts");
        hosts(&[]).await.unwrap();
        delete(2).await.unwrap();
        assert!(matches!(delete(2).await, Err(Error::NotFound { .. })), "{name}");
        assert_eq!(make(4, "four").await.unwrap().id, 3, "{name}: a number is not given twice");
        assert_eq!(store.read(aggregates::list).await.unwrap().len(), 2);
    }
}

fn service(n: u128, host: &str) -> Service {
    let node = Node {
        name: host.into(),
        hypervisor_type: "fake".into(),
        hypervisor_version: 1000,
        host_ip: None,
        vcpus: 8,
        memory_mib: 4096,
        disk_gib: 100,
        cpu_ratio: 4.0,
        memory_ratio: 1.0,
        disk_ratio: 1.0,
        reserved_vcpus: 0,
        reserved_memory_mib: 512,
        reserved_disk_gib: 0,
        custom_inventory: BTreeMap::new(),
        traits: vec![],
        cpu_info: serde_json::json!({"model": "x"}),
        uptime_seconds: None,
    };
    Service {
        id: id(n),
        number: 0,
        host: host.into(),
        driver: "fake".into(),
        disabled: false,
        disabled_reason: None,
        forced_down: false,
        facets: vec!["pause".into()],
        traits: vec![],
        nodes: vec![(id(n + 100), node)],
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
    }
}

#[tokio::test]
async fn services() {
    for TestEngine { name, store, .. } in &engines() {
        let register = |service: Service| store.write(move |tx| services::register(tx, &service));
        let first = register(service(1, "h1")).await.unwrap();
        assert_eq!(first, Service { number: 1, ..service(1, "h1") }, "{name}");
        register(service(2, "h2")).await.unwrap();
        let off = store.write(|tx| {
            services::change(tx, id(1), Timestamp(2), |s| {
                (s.disabled, s.disabled_reason) = (true, Some("disk".into()));
                Ok(())
            })
        });
        off.await.unwrap();
        let mut again = service(77, "h1");
        (again.driver, again.facets, again.updated_at) = ("libvirt".into(), vec![], Timestamp(9));
        let back = register(again).await.unwrap();
        assert_eq!((back.id, back.number, back.disabled), (id(1), 1, true), "{name}: the operator's switch stays");
        assert_eq!((back.driver.as_str(), back.facets.len(), back.updated_at), ("libvirt", 0, Timestamp(9)), "{name}");
        assert_eq!(store.read(|tx| services::get(tx, id(1))).await.unwrap(), back);
        assert_eq!(store.read(|tx| services::find_by_host(tx, "h1")).await.unwrap(), Some(back));
        assert_eq!(store.read(|tx| services::find_by_host(tx, "h9")).await.unwrap(), None);
        assert_eq!(store.read(services::list).await.unwrap().len(), 2);
        store.write(|tx| services::delete(tx, id(1))).await.unwrap();
        let gone = store.write(|tx| services::delete(tx, id(1))).await;
        assert!(matches!(gone, Err(Error::NotFound { .. })), "{name}");
    }
}

#[tokio::test]
async fn a_secret_is_made_once() {
    for TestEngine { name, store, .. } in &engines() {
        let fetch = |fresh: &'static [u8]| {
            store.write(move |tx| secrets::get_or_put(tx, "metadata", &Secret::new(fresh.to_vec()), Timestamp(1)))
        };
        assert_eq!(fetch(b"first").await.unwrap().reveal(), b"first", "{name}");
        assert_eq!(fetch(b"second").await.unwrap().reveal(), b"first", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_are_never_given_twice() {
    for TestEngine { name, store, .. } in &engines() {
        let takers: Vec<_> = (0..100)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { store.write(|tx| counters::next(tx, "n")).await.unwrap() })
            })
            .collect();
        let mut all = Vec::new();
        for taker in takers {
            all.push(taker.await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (1..=100).collect::<Vec<_>>(), "{name}");
    }
}
