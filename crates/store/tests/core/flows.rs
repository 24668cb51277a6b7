//! Flows: leases, take-over, ends.

use crate::make::{flow, id};
use driver_api::Timestamp;
use model::flow::{FlowState, StepRecord};
use store::testing::{self, TestEngine, engines};
use store::{Error, Store, flows};
use uuid::Uuid;

async fn put(store: &Store, all: Vec<model::flow::FlowRow>) {
    store.write(move |tx| all.iter().try_for_each(|flow| flows::insert(tx, flow))).await.unwrap();
}

fn step(name: &str) -> StepRecord {
    StepRecord {
        name: name.into(),
        started_at: Timestamp(1),
        finished_at: Some(Timestamp(2)),
        result: Some("Success".into()),
        host: Some("h1".into()),
        detail: None,
    }
}

#[tokio::test]
async fn a_flow_comes_back_and_is_listed_with_its_server() {
    for TestEngine { name, store, .. } in &engines() {
        let mut full = flow(1, 7, "me");
        full.steps = vec![step("spawn")];
        full.message = Some("why".into());
        full.cancel = true;
        put(store, vec![full.clone(), flow(2, 7, "me"), flow(3, 8, "me")]).await;
        let (got, listed, found, absent) = store
            .read(|tx| {
                Ok((
                    flows::get(tx, id(1))?,
                    flows::list_for_server(tx, id(7))?,
                    flows::find_by_request(tx, id(7), "req-2")?,
                    flows::find_by_request(tx, id(7), "req-3")?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(got, full, "{name}");
        assert_eq!(listed.iter().map(|f| f.id).collect::<Vec<_>>(), [id(2), id(1)], "{name}: newest first");
        assert_eq!(found, Some(flow(2, 7, "me")));
        assert_eq!(absent, None);
    }
}

#[tokio::test]
async fn a_flow_ends_once_and_only_for_its_owner() {
    for TestEngine { name, store, .. } in &engines() {
        put(store, vec![flow(1, 7, "me")]).await;
        let finish = |owner: &'static str, state| {
            store.write(move |tx| flows::finish(tx, id(1), owner, state, &[step("a")], Some("said"), Timestamp(9)))
        };
        assert!(matches!(finish("you", FlowState::Done).await, Err(Error::Conflict(_))), "{name}");
        finish("me", FlowState::Unwinding).await.unwrap();
        assert_eq!(store.read(flows::unfinished).await.unwrap().len(), 1);
        finish("me", FlowState::Failed).await.unwrap();
        assert!(matches!(finish("me", FlowState::Done).await, Err(Error::Conflict(_))), "{name}: it has ended");
        let (ended, left) = store.read(|tx| Ok((flows::get(tx, id(1))?, flows::unfinished(tx)?))).await.unwrap();
        assert_eq!((ended.state, ended.message.as_deref(), ended.steps.len()), (FlowState::Failed, Some("said"), 1));
        assert!(left.is_empty(), "{name}");
        let cancel = |n| store.write(move |tx| flows::request_cancel(tx, id(n), Timestamp(9)));
        assert!(!cancel(1).await.unwrap(), "{name}: nothing to cancel");
        assert!(!store.write(|tx| flows::supersede(tx, id(1), Timestamp(9))).await.unwrap());
        put(store, vec![flow(2, 7, "me")]).await;
        assert!(cancel(2).await.unwrap());
        assert!(store.read(|tx| flows::is_cancelled(tx, id(2))).await.unwrap(), "{name}");
        assert!(store.write(|tx| flows::supersede(tx, id(2), Timestamp(9))).await.unwrap());
        assert_eq!(store.read(|tx| flows::get(tx, id(2))).await.unwrap().state, FlowState::Superseded);
    }
}

#[tokio::test]
async fn leases_are_renewed_in_bulk_and_lapsed_ones_taken_over() {
    for TestEngine { name, store, .. } in &engines() {
        let mut done = flow(4, 7, "dead");
        done.state = FlowState::Done;
        put(store, vec![flow(1, 7, "me"), flow(2, 7, "dead"), flow(3, 7, "dead"), done]).await;
        let mine = store.write(|tx| flows::renew(tx, "me", &[id(1), id(2), id(4)], Timestamp(500))).await.unwrap();
        assert_eq!(mine, [id(1)], "{name}");
        assert!(!store.read(|tx| flows::any_lapsed(tx, Timestamp(100))).await.unwrap(), "{name}: not over yet");
        assert!(store.read(|tx| flows::any_lapsed(tx, Timestamp(101))).await.unwrap());
        let take = |limit| store.write(move |tx| flows::take_over(tx, "me", Timestamp(101), Timestamp(600), limit));
        let first: Vec<_> = take(1).await.unwrap().iter().map(|f| f.id).collect();
        let rest: Vec<_> = take(9).await.unwrap().iter().map(|f| f.id).collect();
        assert_eq!((first, rest), (vec![id(2)], vec![id(3)]), "{name}");
        assert!(take(9).await.unwrap().is_empty(), "{name}");
        let taken = store.read(|tx| flows::get(tx, id(2))).await.unwrap();
        assert_eq!((taken.owner.as_str(), taken.lease_until), ("me", Timestamp(600)));
        store.write(|tx| flows::lapse(tx, id(2), "me", Timestamp(50))).await.unwrap();
        assert!(store.read(|tx| flows::any_lapsed(tx, Timestamp(101))).await.unwrap(), "{name}: given up");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_controllers_one_takes_a_flow_over() {
    let wide = testing::postgres(16);
    for store in [&wide.store, &engines()[0].store] {
        put(store, (1..=40).map(|n| flow(n, n, "dead")).collect()).await;
        let takers: Vec<_> = (0..16)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut mine: Vec<Uuid> = Vec::new();
                    loop {
                        let owner = format!("controller {n}");
                        let some = store.write(move |tx| flows::take_over(tx, &owner, Timestamp(200), Timestamp(900), 3));
                        let some = some.await.unwrap();
                        mine.extend(some.iter().map(|f| f.id));
                        if !store.read(|tx| flows::any_lapsed(tx, Timestamp(200))).await.unwrap() {
                            return mine;
                        }
                    }
                })
            })
            .collect();
        let mut all = Vec::new();
        for taker in takers {
            all.extend(taker.await.unwrap());
        }
        all.sort_unstable();
        assert_eq!(all, (1..=40).map(id).collect::<Vec<_>>(), "each once");
    }
}

#[tokio::test]
async fn arguments_and_journal_change_only_for_the_owner() {
    for TestEngine { name, store, .. } in &engines() {
        put(store, vec![flow(1, 7, "me")]).await;
        let write = |owner: &'static str| {
            store.write(move |tx| {
                flows::set_input(tx, id(1), owner, &serde_json::json!({"n": 2}), Timestamp(9))?;
                flows::record(tx, id(1), owner, &serde_json::json!([["volume", 5]]), Timestamp(9))
            })
        };
        assert!(matches!(write("you").await, Err(Error::Conflict(_))), "{name}");
        let before = store.read(|tx| flows::journal(tx, id(1))).await.unwrap();
        assert_eq!(before, serde_json::json!([]), "{name}");
        write("me").await.unwrap();
        let (flow, journal) = store.read(|tx| Ok((flows::get(tx, id(1))?, flows::journal(tx, id(1))?))).await.unwrap();
        assert_eq!((flow.input, journal), (serde_json::json!({"n": 2}), serde_json::json!([["volume", 5]])), "{name}");
    }
}
