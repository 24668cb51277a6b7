//! Claims and registration against both engines.
#![allow(clippy::unwrap_used)]

use driver_api::{Node, Timestamp};
use model::placement::{DISK_GB, MEMORY_MB, Resources, VCPU};
use model::service::Service;
use model::{Clock, Env, Random};
use placement::{Claimant, Placement, RequestSpec, claim, release};
use std::collections::BTreeMap;
use store::Store;
use store::placement::{allocations, inventories, providers, traits};
use store::testing::engines;
use uuid::Uuid;

fn node(name: &str, vcpus: u64) -> Node {
    Node {
        name: name.into(),
        hypervisor_type: "fake".into(),
        hypervisor_version: 1000,
        host_ip: None,
        vcpus,
        memory_mib: 8192,
        disk_gib: 100,
        cpu_ratio: 1.0,
        memory_ratio: 1.0,
        disk_ratio: 1.0,
        reserved_vcpus: 0,
        reserved_memory_mib: 0,
        reserved_disk_gib: 0,
        custom_inventory: BTreeMap::new(),
        traits: vec!["HW_CPU_X86_SSE2".into()],
        cpu_info: serde_json::json!({}),
        uptime_seconds: None,
    }
}

fn service(host: &str, nodes: Vec<(Uuid, Node)>) -> Service {
    Service {
        id: Uuid::from_u128(7),
        number: 1,
        host: host.into(),
        driver: "fake".into(),
        disabled: false,
        disabled_reason: None,
        forced_down: false,
        facets: vec![],
        traits: vec!["COMPUTE_IMAGE_TYPE_RAW".into()],
        nodes,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
    }
}

fn env() -> Env {
    Env { clock: Clock::system(), random: Random::seeded(1) }
}

fn amounts(cpu: i64, ram: i64, disk: i64) -> Resources {
    [(VCPU, cpu), (MEMORY_MB, ram), (DISK_GB, disk)].into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

fn who(n: u128) -> Claimant {
    Claimant { consumer: Uuid::from_u128(n), project_id: "p1".into(), user_id: "u1".into() }
}

async fn take(store: &Store, n: u128, provider: Uuid, r: &Resources) -> bool {
    let r = r.clone();
    store.write(move |tx| claim(tx, Timestamp(1), &who(n), provider, &r)).await.unwrap()
}

#[tokio::test]
async fn a_host_registers_once_and_only_changes_are_written() {
    for e in engines() {
        let p = Placement::new(e.store.clone(), env());
        let id = Uuid::from_u128(10);
        assert!(p.register(&service("h1", vec![(id, node("h1", 4))])).await.unwrap(), "{}", e.name);
        let commits = e.store.commits();
        assert!(!p.register(&service("h1", vec![(id, node("h1", 4))])).await.unwrap());
        assert_eq!(e.store.commits(), commits);
        p.set_up("h1", true);
        assert!(take(&e.store, 1, id, &amounts(3, 1024, 10)).await);
        // An operator's trait and class stay, what the host no longer says goes, what is used stays used.
        e.store
            .write(move |tx| {
                traits::add(tx, id, "CUSTOM_RACK_A", false)?;
                inventories::put(tx, id, &model::placement::Inventory::new("CUSTOM_X", 5))
            })
            .await
            .unwrap();
        let mut changed = service("h1", vec![(id, Node { vcpus: 8, traits: vec![], ..node("h1", 4) })]);
        changed.disabled = true;
        assert!(p.register(&changed).await.unwrap());
        let (t, i) = e.store.read(move |tx| Ok((traits::of(tx, id)?, inventories::of(tx, id)?))).await.unwrap();
        let names: Vec<&str> = t.iter().map(|t| t.name.as_str()).collect();
        assert_eq!(names, ["COMPUTE_IMAGE_TYPE_RAW", "CUSTOM_RACK_A"]);
        let found: Vec<(&str, i64, i64)> = i.iter().map(|i| (i.class.as_str(), i.total, i.used)).collect();
        assert_eq!(found, [("CUSTOM_X", 5, 0), (DISK_GB, 100, 10), (MEMORY_MB, 8192, 1024), (VCPU, 8, 3)]);
        let view = p.host(id).unwrap();
        assert_eq!((view.up, view.enabled, view.instances, view.resources[VCPU]), (true, false, 1, (8, 3)));
        // Another process that starts on the same rows.
        let other = Placement::new(e.store.clone(), env());
        other.load().await.unwrap();
        assert_eq!(other.rank(&RequestSpec::new(amounts(1, 1, 1))).considered, 0, "not registered there yet");
        assert!(!other.register(&changed).await.unwrap());
        assert_eq!(other.host(id).unwrap().resources[VCPU], (8, 3));
    }
}

#[tokio::test]
async fn nodes_come_and_go_and_share_names() {
    for e in engines() {
        let p = Placement::new(e.store.clone(), env());
        let (a, b, c) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        p.register(&service("h1", vec![(a, node("n", 4)), (b, node("m", 4))])).await.unwrap();
        p.register(&service("h2", vec![(c, node("n", 4))])).await.unwrap();
        p.set_up("h1", true);
        p.set_up("h2", true);
        let name = e.store.read(move |tx| Ok(providers::get(tx, c)?.unwrap().name)).await.unwrap();
        assert_eq!(name, "h2:n");
        assert_eq!(p.hosts().len(), 3);
        assert!(take(&e.store, 1, a, &amounts(1, 1, 1)).await);
        // Both nodes leave: the one with a guest stays in the database, neither takes servers.
        p.register(&service("h1", vec![])).await.unwrap();
        let left = e.store.read(|tx| providers::of_host(tx, "h1")).await.unwrap();
        assert_eq!(left.iter().map(|p| p.id).collect::<Vec<_>>(), [a]);
        let ranked = p.select(&RequestSpec::new(amounts(1, 1, 1))).await.unwrap();
        assert_eq!(ranked.candidates.iter().map(|c| c.provider).collect::<Vec<_>>(), [c], "{}", e.name);
    }
}

#[tokio::test]
async fn a_claim_takes_all_or_nothing_and_release_gives_all_back() {
    for e in engines() {
        let p = Placement::new(e.store.clone(), env());
        let id = Uuid::from_u128(10);
        p.register(&service("h1", vec![(id, node("h1", 4))])).await.unwrap();
        p.set_up("h1", true);
        let r = amounts(3, 1024, 10);
        assert!(take(&e.store, 1, id, &r).await);
        p.note_claimed(id, &r);
        assert!(!take(&e.store, 2, id, &r).await, "only one CPU is left");
        let used = |store: Store| async move {
            let i = store.read(move |tx| inventories::of(tx, id)).await.unwrap();
            i.into_iter().map(|i| i.used).collect::<Vec<_>>()
        };
        assert_eq!(used(e.store.clone()).await, [10, 1024, 3]);
        assert_eq!(p.host(id).unwrap().resources[VCPU], (4, 3));
        let given = e.store.write(|tx| release(tx, Uuid::from_u128(1))).await.unwrap();
        assert_eq!(given, [(id, r)]);
        p.note_released(&given);
        assert_eq!(used(e.store.clone()).await, [0, 0, 0]);
        assert_eq!(p.host(id).unwrap().instances, 0);
        let again = e.store.write(|tx| release(tx, Uuid::from_u128(1))).await.unwrap();
        assert_eq!(again, []);
        let gone = e.store.read(|tx| allocations::consumer(tx, Uuid::from_u128(1))).await.unwrap();
        assert_eq!(gone, None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_who_claim_at_once_exactly_as_many_get_it_as_fit() {
    for e in engines() {
        let p = Placement::new(e.store.clone(), env());
        let id = Uuid::from_u128(10);
        p.register(&service("h1", vec![(id, node("h1", 10))])).await.unwrap();
        let mut all = Vec::new();
        for n in 0..100 {
            let store = e.store.clone();
            all.push(tokio::spawn(async move { take(&store, 1000 + n, id, &amounts(1, 1, 1)).await }));
        }
        let mut got = 0;
        for t in all {
            got += i32::from(t.await.unwrap());
        }
        assert_eq!(got, 10, "{}", e.name);
    }
}
