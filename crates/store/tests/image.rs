//! Images' rows on every engine: states, lists in the same order everywhere, and races.
#![allow(clippy::unwrap_used)]

use driver_api::{DiskFormat, Timestamp};
use model::image::{
    Compare, Filter, Image, Member, MemberFilter, MemberStatus, NumberField, Query, SortKey, Status, TextField,
    Visibility, Written,
};
use store::{Error, Store};
use uuid::Uuid;

fn image(n: u128, name: Option<&str>) -> Image {
    let mut image = Image::queued(Uuid::from_u128(n), Some("p1".into()), Timestamp(1_000_000 * n as i64));
    image.name = name.map(str::to_owned);
    image
}

fn written() -> Written {
    Written {
        format: DiskFormat::Qcow2,
        size: 5,
        virtual_size: Some(1 << 30),
        checksum: "c".into(),
        sha512: "h".into(),
    }
}

fn query() -> Query {
    Query {
        viewer: Some("p1".into()),
        project: "p1".into(),
        visibility: None,
        member: MemberFilter::Status(MemberStatus::Accepted),
        hidden: false,
        filters: Vec::new(),
        sort: vec![(SortKey::CreatedAt, true)],
        marker: None,
        limit: 100,
    }
}

async fn add(store: &Store, image: Image) {
    store.write(move |tx| store::image::insert(tx, &image)).await.unwrap();
}

async fn numbers(store: &Store, query: Query) -> Vec<u128> {
    let found = store.read(move |tx| store::image::list(tx, &query)).await.unwrap();
    found.iter().map(|i| i.id.as_u128()).collect()
}

#[tokio::test]
async fn rows_come_back_as_they_went() {
    for engine in store::testing::engines() {
        let store = &engine.store;
        let mut full = image(1, Some("näme 🜚"));
        full.visibility = Visibility::Community;
        full.container_format = Some("bare".into());
        full.disk_format = Some(DiskFormat::Vhdx);
        (full.min_disk, full.min_ram, full.protected) = (3, 4, true);
        full.tags = ["a".to_owned(), "b".to_owned()].into();
        full.properties = [("k".to_owned(), "v".repeat(60_000)), ("e".to_owned(), String::new())].into();
        add(store, full.clone()).await;
        assert_eq!(store.read(|tx| store::image::get(tx, Uuid::from_u128(1))).await.unwrap(), full, "{}", engine.name);

        let mut changed = full.clone();
        changed.name = None;
        changed.tags.clear();
        changed.properties.remove("k");
        let save = move |tx: &mut store::Tx| store::image::save(tx, &changed);
        assert!(store.write(save.clone()).await.unwrap());
        assert!(!store.write(save).await.unwrap(), "{}: thought out on an older revision", engine.name);
        let now = store.read(|tx| store::image::get(tx, Uuid::from_u128(1))).await.unwrap();
        assert_eq!((now.name, now.tags.len(), now.properties.len(), now.revision), (None, 0, 1, 1));
        let by_tag = Query { filters: vec![Filter::Tag("a".into())], ..query() };
        assert!(numbers(store, by_tag).await.is_empty(), "the side table followed");

        let delete = |tx: &mut store::Tx| store::image::delete(tx, Uuid::from_u128(1), Timestamp(9));
        assert!(!store.write(delete).await.unwrap(), "{}: protected", engine.name);
        let unprotect = move |tx: &mut store::Tx| {
            let mut image = store::image::get(tx, Uuid::from_u128(1))?;
            image.protected = false;
            store::image::save(tx, &image)
        };
        assert!(store.write(unprotect).await.unwrap());
        assert!(store.write(delete).await.unwrap());
        let again = image(1, None);
        let taken = store.write(move |tx| store::image::insert(tx, &again)).await;
        assert!(matches!(taken, Err(Error::Conflict(_))), "{}: {taken:?}", engine.name);
        assert_eq!(store.write(|tx| store::image::purge_tombstones(tx, Timestamp(10))).await.unwrap(), 1);
        add(store, image(1, None)).await;
    }
}

#[tokio::test]
async fn lists_have_one_order_on_every_engine() {
    let names = [Some("b"), None, Some("B"), Some("ä"), Some("a"), Some("a b"), Some("a-b"), Some("")];
    for engine in store::testing::engines() {
        let store = &engine.store;
        for (n, name) in names.iter().enumerate() {
            let mut image = image(n as u128 + 1, *name);
            image.disk_format = [None, Some(DiskFormat::Raw), Some(DiskFormat::Qcow2)][n % 3];
            image.size = [None, Some(7), Some(0)][n % 3];
            add(store, image).await;
        }
        let by_name = Query { sort: vec![(SortKey::Name, false)], ..query() };
        assert_eq!(numbers(store, by_name).await, [2, 8, 3, 5, 6, 7, 1, 4], "{}", engine.name);
        for (_, key) in SortKey::ALL {
            for down in [false, true] {
                let whole = numbers(store, Query { sort: vec![(*key, down)], ..query() }).await;
                assert_eq!(whole.len(), names.len());
                let (mut paged, mut marker) = (Vec::new(), None);
                loop {
                    let page = Query { sort: vec![(*key, down)], marker, limit: 3, ..query() };
                    let page = numbers(store, page).await;
                    let Some(last) = page.last() else { break };
                    marker = Some(Uuid::from_u128(*last));
                    paged.extend(page);
                }
                assert_eq!(paged, whole, "{} {key:?} {down}", engine.name);
            }
        }
        for (filter, expected) in [
            (Filter::Text(TextField::Name, vec!["a".into(), "b".into()]), vec![5, 1]),
            (Filter::Text(TextField::Name, vec![]), vec![]),
            (Filter::Number(NumberField::Size, Compare::Gte, 7), vec![8, 5, 2]),
            (Filter::Number(NumberField::Size, Compare::Neq, 7), vec![6, 3]),
            (Filter::Number(NumberField::CreatedAt, Compare::Lt, 3), vec![2, 1]),
            (Filter::Number(NumberField::CreatedAt, Compare::Eq, 3), vec![3]),
            (Filter::Protected(true), vec![]),
        ] {
            let found = numbers(store, Query { filters: vec![filter.clone()], ..query() }).await;
            assert_eq!(found, expected, "{} {filter:?}", engine.name);
        }
        let none = Query { marker: Some(Uuid::from_u128(99)), ..query() };
        assert!(matches!(store.read(move |tx| store::image::list(tx, &none)).await, Err(Error::NotFound { .. })));
    }
}

#[tokio::test]
async fn members_see_what_they_accepted() {
    for engine in store::testing::engines() {
        let store = &engine.store;
        add(store, image(1, Some("shared"))).await;
        let member = Member {
            image_id: Uuid::from_u128(1),
            member: "p2".into(),
            status: MemberStatus::Pending,
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
        };
        let id = member.image_id;
        let insert = move |tx: &mut store::Tx| store::image::add_member(tx, &member);
        assert!(store.write(insert.clone()).await.unwrap());
        assert!(!store.write(insert).await.unwrap());
        let of = |member| Query { viewer: Some("p2".into()), project: "p2".into(), member, ..query() };
        assert!(numbers(store, of(MemberFilter::Status(MemberStatus::Accepted))).await.is_empty());
        assert_eq!(numbers(store, of(MemberFilter::All)).await, [1]);
        let accept = move |tx: &mut store::Tx| {
            store::image::set_member_status(tx, id, "p2", MemberStatus::Accepted, Timestamp(2))
        };
        assert!(store.write(accept).await.unwrap());
        assert_eq!(numbers(store, of(MemberFilter::Status(MemberStatus::Accepted))).await, [1]);
        assert_eq!(store.read(move |tx| store::image::count_members(tx, id)).await.unwrap(), 1);
        // The image takes its members with it.
        assert!(store.write(move |tx| store::image::delete(tx, id, Timestamp(3))).await.unwrap());
        assert_eq!(store.read(move |tx| store::image::count_members(tx, id)).await.unwrap(), 0, "{}", engine.name);
    }
}

#[tokio::test]
async fn an_upload_belongs_to_one_writer() {
    for engine in store::testing::engines() {
        let store = &engine.store;
        let id = Uuid::from_u128(1);
        let mut ready = image(1, None);
        (ready.disk_format, ready.container_format) = (Some(DiskFormat::Qcow2), Some("bare".into()));
        add(store, ready).await;
        add(store, image(2, Some("without formats"))).await;
        let begin = |n: u128, writer: String| {
            store.write(move |tx| store::image::begin_upload(tx, Uuid::from_u128(n), &writer, Timestamp(2)))
        };
        assert!(!begin(2, "upload:a".into()).await.unwrap());
        let racing: Vec<_> = (0..20).map(|n| begin(1, format!("upload:{n}"))).collect();
        let mut winners = Vec::new();
        for (n, won) in futures_join(racing).await.into_iter().enumerate() {
            if won.unwrap() {
                winners.push(n);
            }
        }
        assert_eq!(winners.len(), 1, "{}", engine.name);
        let (writer, other) = (format!("upload:{}", winners[0]), "upload:nobody".to_owned());
        let activate =
            |writer: String| store.write(move |tx| store::image::activate(tx, id, &writer, &written(), Timestamp(3)));
        let abort = |writer: String| store.write(move |tx| store::image::abort_upload(tx, id, &writer, Timestamp(3)));
        assert!(!activate(other.clone()).await.unwrap());
        assert!(!abort(other).await.unwrap());
        assert!(abort(writer.clone()).await.unwrap());
        assert!(!activate(writer.clone()).await.unwrap(), "given up is given up");
        assert!(begin(1, writer.clone()).await.unwrap());
        assert!(activate(writer).await.unwrap());
        let active = store.read(move |tx| store::image::get(tx, id)).await.unwrap();
        assert_eq!((active.status, active.size, active.writer), (Status::Active, Some(5), None));
        assert_eq!(active.os_hash_algo.as_deref(), Some("sha512"));
        assert_eq!(store.read(|tx| store::image::used_bytes(tx, "p1")).await.unwrap(), 5);
        assert_eq!(store.read(|tx| store::image::used_bytes(tx, "p2")).await.unwrap(), 0);
        assert!(!begin(1, "upload:late".into()).await.unwrap());
        let deactivate = |tx: &mut store::Tx| {
            store::image::change_status(tx, Uuid::from_u128(1), Status::Active, Status::Deactivated, Timestamp(4))
        };
        assert!(store.write(deactivate).await.unwrap());
        assert!(!store.write(deactivate).await.unwrap());
    }
}

/// Polls all of them, so that they are under way at once.
async fn futures_join<T: Send + 'static>(
    all: Vec<impl Future<Output = store::Result<T>> + Send>,
) -> Vec<store::Result<T>> {
    let mut pinned: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<store::Result<T>>> = pinned.iter().map(|_| None).collect();
    std::future::poll_fn(move |cx| {
        for (future, slot) in pinned.iter_mut().zip(&mut done) {
            if slot.is_none()
                && let std::task::Poll::Ready(result) = future.as_mut().poll(cx)
            {
                *slot = Some(result);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(done.iter_mut().filter_map(Option::take).collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}

#[tokio::test]
async fn a_snapshot_is_its_flows_alone() {
    for engine in store::testing::engines() {
        let store = &engine.store;
        let (id, flow) = (Uuid::from_u128(1), Uuid::from_u128(7));
        add(store, Image::snapshot(id, "p1".into(), "s".into(), flow, Timestamp(1))).await;
        assert_eq!(store.write(|tx| store::image::release_interrupted(tx, Timestamp(2))).await.unwrap(), 0);
        let taken = store.write(move |tx| store::image::begin_upload(tx, id, "upload:x", Timestamp(2))).await;
        assert!(!taken.unwrap(), "{}", engine.name);
        let of = |flow: Uuid| {
            store.write(move |tx| store::image::activate(tx, id, &format!("flow:{flow}"), &written(), Timestamp(3)))
        };
        assert!(!of(Uuid::from_u128(8)).await.unwrap());
        assert!(of(flow).await.unwrap());
        // Too late to undo.
        store.write(move |tx| store::image::remove(tx, id, Timestamp(4))).await.unwrap();
        assert!(store.read(move |tx| store::image::find(tx, id)).await.unwrap().is_some());
        let other = Uuid::from_u128(2);
        let mut protected = Image::snapshot(other, "p1".into(), "s".into(), flow, Timestamp(1));
        protected.protected = true;
        add(store, protected).await;
        store.write(move |tx| store::image::remove(tx, other, Timestamp(4))).await.unwrap();
        assert!(store.read(move |tx| store::image::find(tx, other)).await.unwrap().is_none());
        assert_eq!(store.read(store::image::all).await.unwrap().len(), 1);
    }
}
