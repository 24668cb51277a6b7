//! Quotas: never above the limit, never below zero, all or nothing.

use model::quota::{COMPUTE, Resource, Usage};
use store::quotas::{self, Exceeded};
use store::testing::{self, TestEngine, engines};
use store::{Result, Store};

const CORES: Resource = Resource { name: "cores", default: 20, counted: true };
const RAM: Resource = Resource { name: "ram", default: 1000, counted: true };

async fn claim(store: &Store, cores: i64, ram: i64) -> Result<()> {
    store.write(move |tx| quotas::claim(tx, "p", &[(&RAM, ram), (&CORES, cores)])).await
}

async fn used(store: &Store) -> (i64, i64) {
    store.read(|tx| Ok((quotas::usage(tx, "p", &CORES)?.used, quotas::usage(tx, "p", &RAM)?.used))).await.unwrap()
}

#[tokio::test]
async fn claims_are_all_or_nothing_and_say_what_did_not_fit() {
    for TestEngine { name, store, .. } in &engines() {
        claim(store, 15, 400).await.unwrap();
        let exceeded = claim(store, 2, 601).await.unwrap_err().aborted_as::<Exceeded>().unwrap();
        assert_eq!(exceeded, Exceeded { resource: "ram".into(), requested: 601, used: 400, limit: 1000 }, "{name}");
        assert_eq!(used(store).await, (15, 400), "{name}: the cores were taken back");
        claim(store, 5, 600).await.unwrap();
        assert!(claim(store, 1, 0).await.is_err(), "{name}: full");
        let release = |n| store.write(move |tx| quotas::release(tx, "p", &[(&CORES, n), (&RAM, 1)]));
        release(4).await.unwrap();
        assert_eq!(used(store).await, (16, 999), "{name}");
        release(99).await.unwrap();
        assert_eq!(used(store).await, (0, 998), "{name}: never below zero");
    }
}

#[tokio::test]
async fn a_project_may_have_limits_of_its_own() {
    for TestEngine { name, store, .. } in &engines() {
        let limit = |n| store.write(move |tx| quotas::set_limit(tx, "p", &CORES, n));
        limit(-1).await.unwrap();
        claim(store, 10_000, 1).await.unwrap();
        limit(3).await.unwrap();
        assert!(claim(store, 1, 0).await.is_err(), "{name}: a limit below what is used gives nothing more");
        let usages = store.read(|tx| quotas::usages(tx, "p", COMPUTE)).await.unwrap();
        assert_eq!(usages.len(), COMPUTE.len());
        assert_eq!(usages[1], Usage { resource: "cores".into(), limit: 3, used: 10_000 }, "{name}");
        assert_eq!(usages[0], Usage { resource: "instances".into(), limit: 10, used: 0 });
        store.write(|tx| quotas::reset_limits(tx, "p", COMPUTE)).await.unwrap();
        let usage = store.read(|tx| quotas::usage(tx, "p", &CORES)).await.unwrap();
        assert_eq!((usage.limit, usage.used), (20, 10_000), "{name}");
        limit(0).await.unwrap();
        assert_eq!(store.read(|tx| quotas::usage(tx, "q", &CORES)).await.unwrap().limit, 20, "{name}: only p");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_thousand_claims_exactly_ten_fit() {
    let wide = testing::postgres(32);
    for store in [&wide.store, &engines()[0].store] {
        store.write(|tx| quotas::set_limit(tx, "p", &CORES, 10)).await.unwrap();
        let claims: Vec<_> = (0..1000)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move { claim(&store, 1, 1).await.is_ok() })
            })
            .collect();
        let mut won = 0;
        for claim in claims {
            won += u32::from(claim.await.unwrap());
        }
        assert_eq!(won, 10);
        assert_eq!(used(store).await, (10, 10));
    }
}
