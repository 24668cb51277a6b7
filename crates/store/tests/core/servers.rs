//! Servers: round trip, compare-and-set, listings, purge.

use crate::make::{flow, id, server};
use driver_api::Timestamp;
use model::Action;
use model::actions::Refusal;
use model::server::{LockedBy, Server, VmState};
use store::servers::{self, Deleted, Filter, Page, Refused, SortKey};
use store::testing::{self, TestEngine, engines};
use store::{Error, Store, flows};

async fn put(store: &Store, all: Vec<Server>) {
    store.write(move |tx| all.iter().try_for_each(|server| servers::insert(tx, server))).await.unwrap();
}

async fn get(store: &Store, n: u128) -> Server {
    store.read(move |tx| servers::get(tx, id(n))).await.unwrap()
}

#[tokio::test]
async fn a_server_comes_back_as_it_went_in() {
    for TestEngine { name, store, .. } in &engines() {
        let mut full = server(1);
        full.action = Some(Action::RebootHard);
        full.flow_id = Some(id(9));
        full.launched_at = Some(Timestamp(7));
        full.locked_by = Some(LockedBy::Admin);
        full.zone = Some("z".into());
        let mut empty = server(2);
        (empty.host, empty.node, empty.body.image, empty.body.key) = (None, None, None, None);
        put(store, vec![full.clone(), empty.clone()]).await;
        assert_eq!(get(store, 1).await, full, "{name}");
        assert_eq!(get(store, 2).await, empty, "{name}");
        let owned = store.read(|tx| servers::get_owned(tx, id(1), "p")).await.unwrap();
        assert_eq!(owned, full);
        let foreign = store.read(|tx| servers::get_owned(tx, id(1), "other")).await;
        assert!(matches!(foreign, Err(Error::NotFound { .. })), "{name}");
        let twice = store.write(|tx| servers::insert(tx, &server(1))).await;
        assert!(matches!(twice, Err(Error::Conflict(_))), "{name}");
    }
}

#[tokio::test]
async fn an_action_begins_and_ends_once() {
    for TestEngine { name, store, .. } in &engines() {
        put(store, vec![server(1)]).await;
        let begin = |flow: u128, action: Action| {
            store.write(move |tx| servers::begin_action(tx, id(1), action, id(flow), false, Timestamp(50)))
        };
        let begun = begin(10, Action::Stop).await.unwrap();
        assert_eq!((begun.server.flow_id, begun.server.generation, begun.preempted), (Some(id(10)), 2, None), "{name}");
        assert_eq!(get(store, 1).await, begun.server);
        let refused = begin(11, Action::Pause).await.unwrap_err().aborted_as::<Refused>().unwrap();
        assert_eq!(refused.refusal, Refusal::TaskState("powering-off"), "{name}");
        let refused = begin(11, Action::Unpause).await.unwrap_err().aborted_as::<Refused>().unwrap();
        assert_eq!(refused.refusal, Refusal::VmState(VmState::Active), "{name}");

        let begun = begin(12, Action::Delete).await.unwrap();
        assert_eq!(begun.preempted, Some((Action::Stop, id(10))), "{name}");
        let finish = |flow: u128| {
            store.write(move |tx| {
                servers::finish_action(tx, id(1), id(flow), Timestamp(60), |s| s.vm_state = VmState::Stopped)
            })
        };
        assert!(matches!(finish(10).await, Err(Error::Conflict(_))), "{name}: the flow that lost the server");
        assert_eq!(get(store, 1).await, begun.server, "{name}");

        let gone = store.write(|tx| servers::mark_deleted(tx, id(1), id(12), Timestamp(70))).await.unwrap();
        assert_eq!((gone.vm_state, gone.deleted_at, gone.flow_id), (VmState::Deleted, Some(Timestamp(70)), None));
        assert!(matches!(finish(12).await, Err(Error::NotFound { .. })), "{name}");
        assert!(matches!(store.read(|tx| servers::get(tx, id(1))).await, Err(Error::NotFound { .. })), "{name}");
        assert_eq!(store.read(|tx| servers::find(tx, id(1))).await.unwrap(), Some(gone), "{name}: still shown");
    }
}

#[tokio::test]
async fn a_lock_holds_its_owner_off() {
    for TestEngine { name, store, .. } in &engines() {
        put(store, vec![server(1)]).await;
        let lock = store.write(|tx| {
            servers::change(tx, id(1), Timestamp(5), |s| {
                s.locked_by = Some(LockedBy::Owner);
                Ok(())
            })
        });
        lock.await.unwrap();
        let stop = |admin| store.write(move |tx| servers::begin_action(tx, id(1), Action::Stop, id(9), admin, Timestamp(6)));
        let refused = stop(false).await.unwrap_err().aborted_as::<Refused>().unwrap();
        assert_eq!(refused.refusal, Refusal::Locked, "{name}");
        stop(true).await.unwrap();
    }
}

#[tokio::test]
async fn an_update_needs_the_owner_it_expects() {
    for TestEngine { name, store, .. } in &engines() {
        put(store, vec![server(1)]).await;
        let mut renamed = server(1);
        renamed.name = "new".into();
        let update = |flow: Option<u128>| {
            let renamed = renamed.clone();
            store.write(move |tx| servers::update(tx, &renamed, flow.map(id)))
        };
        assert!(matches!(update(Some(3)).await, Err(Error::Conflict(_))), "{name}");
        assert_eq!(get(store, 1).await.name, "server 1");
        update(None).await.unwrap();
        assert_eq!(get(store, 1).await, renamed, "{name}");
        let absent = store.write(|tx| servers::update(tx, &server(77), None)).await;
        assert!(matches!(absent, Err(Error::NotFound { .. })), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_actions_at_once_one_begins() {
    let mut all = engines();
    all.push(testing::postgres(16));
    for TestEngine { name, store, .. } in &all {
        put(store, vec![server(1)]).await;
        let tries: Vec<_> = (100..150)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let begin = store.write(move |tx| {
                        flows::insert(tx, &flow(n, 1, "me"))?;
                        servers::begin_action(tx, id(1), Action::Stop, id(n), false, Timestamp(5))
                    });
                    begin.await
                })
            })
            .collect();
        let mut begun = 0;
        for attempt in tries {
            begun += u32::from(attempt.await.unwrap().is_ok());
        }
        assert_eq!(begun, 1, "{name}");
        let left = store.read(|tx| flows::list_for_server(tx, id(1))).await.unwrap();
        assert_eq!(left.len(), 1, "{name}: who lost left nothing behind");
        assert_eq!(get(store, 1).await.flow_id, Some(left[0].id));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_change_of_many_at_once_is_lost() {
    let mut all = engines();
    all.push(testing::postgres(16));
    for TestEngine { name, store, .. } in &all {
        put(store, vec![server(1)]).await;
        let changes: Vec<_> = (0..60)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move {
                    let change = store.write(move |tx| {
                        servers::change(tx, id(1), Timestamp(9), |s| {
                            s.body.metadata.insert(format!("key {n}"), "x".into());
                            Ok(())
                        })
                    });
                    change.await.unwrap();
                })
            })
            .collect();
        for change in changes {
            change.await.unwrap();
        }
        assert_eq!(get(store, 1).await.body.metadata.len(), 61, "{name}");
    }
}

async fn ids(store: &Store, filter: &Filter, page: &Page) -> Vec<u128> {
    let (filter, page) = (filter.clone(), page.clone());
    let found = store.read(move |tx| servers::list(tx, &filter, &page, |_| true)).await.unwrap();
    found.iter().map(|server| server.id.as_u128()).collect()
}

/// Seven servers: 1..=5 live in `p` (3 and 4 of one instant), 6 lives elsewhere, 7 is gone.
async fn cloud(store: &Store) {
    let mut all: Vec<Server> = (1..=7).map(server).collect();
    all[3].created_at = Timestamp(3);
    (all[0].host, all[1].host) = (None, Some("h2".into()));
    all[1].vm_state = VmState::Stopped;
    all[2].action = Some(Action::Pause);
    all[4].locked_by = Some(LockedBy::Owner);
    (all[4].body.image, all[4].body.key) = (None, None);
    all[5].project_id = "q".into();
    (all[6].deleted_at, all[6].vm_state) = (Some(Timestamp(8)), VmState::Deleted);
    put(store, all).await;
}

#[tokio::test]
async fn listings_filter() {
    for TestEngine { name, store, .. } in &engines() {
        cloud(store).await;
        let p = || Filter { project_id: Some("p".into()), ..Filter::default() };
        let some = |text: &str| Some(text.to_owned());
        for (filter, expected) in [
            (Filter::default(), vec![6, 5, 4, 3, 2, 1]),
            (p(), vec![5, 4, 3, 2, 1]),
            (Filter { deleted: Deleted::Only, ..p() }, vec![7]),
            (Filter { deleted: Deleted::Any, changed_since: Some(Timestamp(5)), ..p() }, vec![7, 5]),
            (Filter { changed_before: Some(Timestamp(2)), ..p() }, vec![2, 1]),
            (Filter { host: some("h2"), ..p() }, vec![2]),
            (Filter { node: some("h1"), zone: some("none"), ..p() }, vec![]),
            (Filter { vm_states: Some(vec![VmState::Stopped, VmState::Error]), ..p() }, vec![2]),
            (Filter { vm_states: Some(vec![]), ..p() }, vec![]),
            (Filter { actions: Some(vec![Action::Pause]), ..p() }, vec![3]),
            (Filter { actions: Some(vec![]), ..p() }, vec![5, 4, 2, 1]),
            (Filter { locked: Some(true), ..p() }, vec![5]),
            (Filter { locked: Some(false), user_id: some("u"), ..p() }, vec![4, 3, 2, 1]),
            (Filter { image_id: Some(id(1000)), key_name: some("mine"), flavor_id: some("m1"), ..p() }, vec![4, 3, 2, 1]),
            (Filter { ids: Some(vec![id(2), id(6), id(99)]), ..p() }, vec![2]),
        ] {
            assert_eq!(ids(store, &filter, &Page::default()).await, expected, "{name} {filter:?}");
        }
    }
}

#[tokio::test]
async fn listings_sort_and_go_on_after_any_marker() {
    for TestEngine { name, store, .. } in &engines() {
        cloud(store).await;
        let keys = [
            SortKey::CreatedAt,
            SortKey::UpdatedAt,
            SortKey::LaunchedAt,
            SortKey::Id,
            SortKey::Name,
            SortKey::VmState,
            SortKey::PowerState,
            SortKey::Action,
            SortKey::Host,
            SortKey::Node,
            SortKey::Zone,
            SortKey::ProjectId,
            SortKey::UserId,
            SortKey::FlavorId,
            SortKey::ImageId,
            SortKey::KeyName,
            SortKey::LockedBy,
        ];
        let sorts = keys.into_iter().flat_map(|key| {
            [
                vec![(key, false)],
                vec![(key, true)],
                vec![(key, true), (SortKey::CreatedAt, false)],
                vec![(key, false), (SortKey::Host, true), (SortKey::Id, false)],
            ]
        });
        for sort in sorts {
            let whole = ids(store, &Filter::default(), &Page { sort: sort.clone(), ..Page::default() }).await;
            assert_eq!(whole.len(), 6, "{name} {sort:?}");
            let mut paged = Vec::new();
            while let page @ [_, ..] = ids(
                store,
                &Filter::default(),
                &Page { sort: sort.clone(), marker: paged.last().copied().map(id), limit: Some(2) },
            )
            .await
            .as_slice()
            {
                paged.extend_from_slice(page);
            }
            assert_eq!(paged, whole, "{name} {sort:?}");
        }
        let by_host = Page { sort: vec![(SortKey::Host, false)], ..Page::default() };
        assert_eq!(ids(store, &Filter::default(), &by_host).await, [1, 3, 4, 5, 6, 2], "{name}: absent comes first");
        let gone_marker = Page { marker: Some(id(7)), ..Page::default() };
        assert_eq!(ids(store, &Filter::default(), &gone_marker).await, [6, 5, 4, 3, 2, 1], "{name}");
        let lost = Page { marker: Some(id(99)), ..Page::default() };
        let lost = store.read(move |tx| servers::list(tx, &Filter::default(), &lost, |_| true)).await;
        assert!(matches!(lost, Err(Error::NotFound { what: "marker", .. })), "{name}");
    }
}

#[tokio::test]
async fn a_predicate_thins_a_page_out_without_shortening_it() {
    for TestEngine { name, store, .. } in &engines() {
        put(store, (1..=900).map(server).collect()).await;
        let page = Page { limit: Some(5), marker: Some(id(890)), ..Page::default() };
        let found = store
            .read(move |tx| servers::list(tx, &Filter::default(), &page, |s| s.id.as_u128().is_multiple_of(170)))
            .await
            .unwrap();
        let found: Vec<_> = found.iter().map(|s| s.id.as_u128()).collect();
        assert_eq!(found, [850, 680, 510, 340, 170], "{name}");
    }
}

#[tokio::test]
async fn totals_count_what_lives_and_purge_forgets_what_went() {
    for TestEngine { name, store, .. } in &engines() {
        cloud(store).await;
        store.write(|tx| flows::insert(tx, &flow(70, 7, "me")).and(flows::insert(tx, &flow(10, 1, "me")))).await.unwrap();
        let totals = store.read(|tx| servers::totals(tx, "p")).await.unwrap();
        assert_eq!((totals.instances, totals.cores, totals.memory_mib), (5, 10, 2560), "{name}");
        assert_eq!(store.read(|tx| servers::totals(tx, "nobody")).await.unwrap(), servers::Totals::default());
        let purge = |before: i64| store.write(move |tx| servers::purge(tx, Timestamp(before), 10));
        assert_eq!(purge(8).await.unwrap(), 0, "{name}");
        assert_eq!(purge(9).await.unwrap(), 1, "{name}");
        assert_eq!(store.read(|tx| servers::find(tx, id(7))).await.unwrap(), None);
        assert!(store.read(|tx| flows::get(tx, id(70))).await.is_err(), "{name}: its flows went with it");
        assert!(store.read(|tx| flows::get(tx, id(10))).await.is_ok());
    }
}
