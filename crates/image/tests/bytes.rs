//! Bytes on their way in: what ends an upload, what a crash leaves, and snapshots.
#![allow(clippy::unwrap_used)]

mod common;

use axum::body::{Body, Bytes};
use axum::http::Request;
use common::{Cloud, cloud, cloud_with, env, options, send, who};
use driver_api::{DiskFormat, ImageSink, ImageSource};
use image::{Finding, Images, Recovered};
use model::image::{Image, Status};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;
use uuid::Uuid;

type Headers = Vec<(&'static str, &'static str)>;
type Piece = Result<Bytes, std::io::Error>;

/// A body that the test feeds.
fn fed() -> (mpsc::Sender<Piece>, Body) {
    let (sender, receiver) = mpsc::channel::<Piece>(1);
    let stream = futures_util::stream::unfold(receiver, |mut r| async move { r.recv().await.map(|p| (p, r)) });
    (sender, Body::from_stream(stream))
}

async fn status(c: &Cloud, id: &str) -> String {
    c.get("p1", &format!("/v2/images/{id}")).await.json()["status"].as_str().unwrap_or("none").to_owned()
}

/// Waits until the image is in `wanted`.
async fn until(c: &Cloud, id: &str, wanted: &str) {
    let waiting = async {
        while status(c, id).await != wanted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("it never was {wanted}"));
}

fn upload(id: &str, body: Body, headers: &[(&'static str, &str)]) -> Request<Body> {
    let mut request = Request::put(format!("/v2/images/{id}/file")).header("content-type", "application/octet-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

const RAW: fn() -> Value = || json!({"disk_format": "raw", "container_format": "bare"});

#[tokio::test]
async fn a_failed_upload_leaves_a_queued_image_and_no_byte() {
    let c = cloud_with(|o| o.max_size = 3 << 20);
    let id = c.create("p1", RAW()).await;
    let large = vec![7_u8; (3 << 20) + 1];
    let cases: Vec<(&str, Body, Headers, u16)> = vec![
        ("too few bytes", Body::from("abc"), vec![("content-length", "10")], 400),
        ("too many bytes", Body::from("abc"), vec![("content-length", "2")], 400),
        ("another size", Body::from("abc"), vec![("x-openstack-image-size", "4")], 400),
        ("two sizes", Body::from("abc"), vec![("content-length", "3"), ("x-openstack-image-size", "4")], 400),
        ("no size", Body::from("abc"), vec![("x-openstack-image-size", "many")], 400),
        ("announced too large", Body::from("abc"), vec![("content-length", "99999999999")], 413),
        ("too large", Body::from(large), vec![], 413),
        ("a qcow2 inside", Body::from(&b"QFI\xfb and more than that"[..]), vec![], 415),
    ];
    for (name, body, headers, expected) in cases {
        let answer = c.send("p1", upload(&id, body, &headers)).await;
        assert_eq!(answer.status.as_u16(), expected, "{name}: {}", answer.message());
        let shown = c.get("p1", &format!("/v2/images/{id}")).await.json();
        assert_eq!((&shown["status"], &shown["size"]), (&json!("queued"), &Value::Null), "{name}");
        assert!(c.files("images").is_empty() && c.files("incoming").is_empty(), "{name}");
    }
    let wrong = Request::put(format!("/v2/images/{id}/file")).header("content-type", "application/json");
    c.send("p1", wrong.body(Body::from("x")).unwrap()).await.expect(415);
    // The same image may be tried again.
    c.put("p1", &id, "at last").await.expect(204);
    assert_eq!(c.get("p1", &format!("/v2/images/{id}/file")).await.bytes, b"at last");
    c.put("p1", &id, "twice").await.expect(409);
    let unset = c.create("p1", json!({"disk_format": "raw"})).await;
    let refused = c.put("p1", &unset, "x").await.expect(400);
    assert!(refused.message().contains("container_format must be set"), "{}", refused.message());
}

#[tokio::test]
async fn a_connection_that_breaks_ends_in_queued() {
    let c = cloud();
    let id = c.create("p1", RAW()).await;
    let (pieces, body) = fed();
    let request = tokio::spawn(send(c.router.clone(), "p1", upload(&id, body, &[])));
    pieces.send(Ok(Bytes::from_static(b"some"))).await.unwrap();
    until(&c, &id, "saving").await;
    // Nobody else may write meanwhile, nor change what the bytes are held against.
    c.put("p1", &id, "other bytes").await.expect(409);
    let change = json!([{"op": "replace", "path": "/disk_format", "value": "qcow2"}]);
    c.call("p1", "PATCH", &format!("/v2/images/{id}"), change).await.expect(403);
    pieces.send(Err(std::io::ErrorKind::ConnectionReset.into())).await.unwrap();
    request.await.unwrap().expect(400);
    assert_eq!(status(&c, &id).await, "queued");
    assert!(c.files("images").is_empty() && c.files("incoming").is_empty());
}

#[tokio::test]
async fn a_client_that_goes_away_ends_in_queued() {
    let c = cloud();
    let id = c.create("p1", RAW()).await;
    let (pieces, body) = fed();
    let request = tokio::spawn(send(c.router.clone(), "p1", upload(&id, body, &[("content-length", "1000")])));
    pieces.send(Ok(Bytes::from_static(b"some"))).await.unwrap();
    until(&c, &id, "saving").await;
    // The server drops the handler; the body ends.
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    drop(pieces);
    until(&c, &id, "queued").await;
}

/// The reason arrives only at a client whose bytes are taken to the end.
#[tokio::test]
async fn the_rest_of_a_refused_upload_is_read_away() {
    let c = cloud();
    let id = c.create("p1", json!({"disk_format": "qcow2", "container_format": "bare"})).await;
    let (pieces, body) = fed();
    let request = tokio::spawn(send(c.router.clone(), "p1", upload(&id, body, &[])));
    for _ in 0..200 {
        pieces.send(Ok(Bytes::from(vec![b'x'; 64 << 10]))).await.unwrap();
    }
    drop(pieces);
    let answer = request.await.unwrap().expect(415);
    assert!(answer.message().contains("declared disk_format qcow2"), "{}", answer.message());
    assert_eq!(status(&c, &id).await, "queued");
    // Who asks before sending and is refused is not made to send.
    let active = c.active("p1", json!({})).await;
    let (pieces, body) = fed();
    c.send("p1", upload(&active, body, &[("expect", "100-continue")])).await.expect(409);
    assert!(pieces.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_falls_silent_is_given_up() {
    let c = cloud();
    let id = c.create("p1", RAW()).await;
    let (pieces, body) = fed();
    pieces.send(Ok(Bytes::from_static(b"some"))).await.unwrap();
    let answer = c.send("p1", upload(&id, body, &[])).await.expect(400);
    assert!(answer.message().contains("300 seconds"), "{}", answer.message());
    assert_eq!(status(&c, &id).await, "queued");
    drop(pieces);
}

#[tokio::test]
async fn an_image_deleted_while_its_bytes_come_stays_deleted() {
    let c = cloud();
    let id = c.create("p1", RAW()).await;
    let (pieces, body) = fed();
    let request = tokio::spawn(send(c.router.clone(), "p1", upload(&id, body, &[])));
    pieces.send(Ok(Bytes::from_static(b"some"))).await.unwrap();
    until(&c, &id, "saving").await;
    c.call("p1", "DELETE", &format!("/v2/images/{id}"), Value::Null).await.expect(204);
    drop(pieces);
    request.await.unwrap().expect(410);
    assert!(c.files("images").is_empty() && c.files("incoming").is_empty());
    c.get("p1", &format!("/v2/images/{id}")).await.expect(404);
}

#[tokio::test]
async fn large_images_come_and_go_whole() {
    let c = cloud();
    let id = c.create("p1", RAW()).await;
    let bytes: Vec<u8> = (0..5_000_001_u32).map(|n| (n % 253) as u8).collect();
    let (pieces, body) = fed();
    let request = tokio::spawn(send(c.router.clone(), "p1", upload(&id, body, &[("content-length", "5000001")])));
    for piece in bytes.chunks(77_777) {
        pieces.send(Ok(Bytes::copy_from_slice(piece))).await.unwrap();
    }
    drop(pieces);
    request.await.unwrap().expect(204);
    assert_eq!(c.get("p1", &format!("/v2/images/{id}/file")).await.bytes, bytes);
    let shown = c.get("p1", &format!("/v2/images/{id}")).await.json();
    use md5::Digest;
    assert_eq!(shown["checksum"], hex::encode(md5::Md5::digest(&bytes)));
    assert_eq!(shown["os_hash_value"], hex::encode(sha2::Sha512::digest(&bytes)));
}

#[tokio::test]
async fn a_projects_share_of_the_store_is_held() {
    let c = cloud_with(|o| o.project_bytes = Some(20));
    c.active("p1", json!({})).await;
    let id = c.create("p1", RAW()).await;
    let refused = c.put("p1", &id, "six by").await.expect(413);
    assert!(refused.message().contains("5 bytes remaining"), "{}", refused.message());
    c.put("p1", &id, "five!").await.expect(204);
    let other = c.create("p2", RAW()).await;
    c.put("p2", &other, "its own share").await.expect(204);
}

/// The row as a flow's first unit makes it.
async fn snapshot(c: &Cloud) -> (Uuid, Uuid) {
    let (id, flow) = (Uuid::from_u128(0xa), Uuid::from_u128(0xf));
    let image = Image::snapshot(id, "p1".into(), "snap".into(), flow, driver_api::Timestamp(1));
    c.store.write(move |tx| store::image::insert(tx, &image)).await.unwrap();
    (id, flow)
}

fn sink(bytes: &'static [u8]) -> ImageSink {
    ImageSink { format: DiskFormat::Raw, reader: Box::pin(bytes) }
}

#[tokio::test]
async fn a_snapshot_survives_a_crash_between_its_bytes_and_its_row() {
    let c = cloud();
    let (id, flow) = snapshot(&c).await;
    let source = c.images.source();
    assert!(source.open(id).await.is_err(), "it has no bytes yet");
    let taken = c.put("p1", &id.to_string(), "not by a user").await;
    assert!(matches!(taken.status.as_u16(), 409), "{}", taken.message());
    assert_eq!(c.images.written(id).await.unwrap(), None);
    assert_eq!(source.upload(id, sink(b"first try")).await.unwrap(), 9);
    // The process ends here, and another begins.
    let images = Images::new(c.store.clone(), env(), options(c.dir.path())).unwrap();
    assert_eq!(images.recover().await.unwrap(), Recovered::default());
    assert_eq!(images.written(id).await.unwrap().unwrap().size, 9);
    // The flow runs again from its beginning.
    assert_eq!(images.source().upload(id, sink(b"second")).await.unwrap(), 6);
    let written = images.written(id).await.unwrap().unwrap();
    assert_eq!(written.size, 6);
    let writer = format!("flow:{flow}");
    let activate =
        move |tx: &mut store::Tx| store::image::activate(tx, id, &writer, &written, driver_api::Timestamp(2));
    assert!(c.store.write(activate.clone()).await.unwrap());
    assert!(!c.store.write(activate).await.unwrap(), "once is enough");
    images.settle(id).await.unwrap();
    assert_eq!(images.written(id).await.unwrap(), None);
    let image = images.get(&who("p1"), id).await.unwrap();
    assert_eq!((image.status, image.size, image.disk_format), (Status::Active, Some(6), Some(DiskFormat::Raw)));
    assert_eq!(image.properties["image_type"], "snapshot");
    assert!(Images::reference(&image).unwrap().hash.is_some());
    let mut stream = images.open(id).await.unwrap();
    let mut bytes = Vec::new();
    stream.reader.read_to_end(&mut bytes).await.unwrap();
    assert_eq!((bytes.as_slice(), stream.size, stream.format), (&b"second"[..], 6, DiskFormat::Raw));
    assert_eq!(std::fs::read(stream.local.unwrap()).unwrap(), b"second");
}

/// CVE-2015-7548: what a guest wrote at the start of its raw disk never becomes a format.
#[tokio::test]
async fn a_snapshot_of_a_raw_disk_with_a_foreign_header_is_refused() {
    let c = cloud();
    let (id, _) = snapshot(&c).await;
    let refused = c.images.source().upload(id, sink(b"QFI\xfb\0\0\0\x03 and a backing file")).await.unwrap_err();
    assert_eq!(refused.kind, driver_api::ErrorKind::InvalidSpec);
    assert_eq!(c.images.written(id).await.unwrap(), None);
    assert!(c.files("images").is_empty() && c.files("incoming").is_empty());
}

#[tokio::test]
async fn a_snapshot_undone_or_deleted_leaves_nothing() {
    let c = cloud();
    let (id, flow) = snapshot(&c).await;
    c.images.source().upload(id, sink(b"bytes")).await.unwrap();
    c.call("p1", "DELETE", &format!("/v2/images/{id}"), Value::Null).await.expect(204);
    assert!(c.files("images").is_empty());
    assert!(c.images.source().upload(id, sink(b"bytes")).await.is_err(), "nobody waits for them any more");
    let again = Image::snapshot(Uuid::from_u128(0xb), "p1".into(), "snap".into(), flow, driver_api::Timestamp(1));
    let other = again.id;
    c.store.write(move |tx| store::image::insert(tx, &again)).await.unwrap();
    c.images.source().upload(other, sink(b"bytes")).await.unwrap();
    for _ in 0..2 {
        c.store.write(move |tx| store::image::remove(tx, other, driver_api::Timestamp(3))).await.unwrap();
        c.images.discard(other).await.unwrap();
    }
    assert!(c.files("images").is_empty());
    assert!(c.ids("p1", "").await.is_empty());
}

#[tokio::test]
async fn a_start_cleans_up_and_an_audit_tells() {
    let c = cloud();
    let kept = c.active("p1", json!({"name": "kept"})).await;
    let lost = c.active("p1", json!({"name": "lost"})).await;
    let short = c.active("p1", json!({"name": "short"})).await;
    let queued = c.create("p1", RAW()).await;
    let interrupted: Uuid = c.create("p1", RAW()).await.parse().unwrap();
    let begin =
        move |tx: &mut store::Tx| store::image::begin_upload(tx, interrupted, "upload:x", driver_api::Timestamp(1));
    assert!(c.store.write(begin).await.unwrap());
    let dir = c.dir.path().join("image");
    for name in [
        format!("images/{queued}"),
        format!("images/{interrupted}"),
        "images/00000000-0000-4000-8000-000000000009".into(),
        "incoming/anything".into(),
    ] {
        std::fs::write(dir.join(name), "rubbish").unwrap();
    }
    std::fs::write(dir.join("images/README"), "an operator's own").unwrap();
    assert_eq!(c.images.recover().await.unwrap(), Recovered { uploads: 1, files: 4 });
    assert_eq!(c.images.recover().await.unwrap(), Recovered::default());
    assert_eq!(status(&c, &interrupted.to_string()).await, "queued");
    c.put("p1", &interrupted.to_string(), "again").await.expect(204);
    c.get("p1", &format!("/v2/images/{kept}/file")).await.expect(200);
    assert_eq!(c.images.audit().await.unwrap(), []);

    let (lost, short): (Uuid, Uuid) = (lost.parse().unwrap(), short.parse().unwrap());
    std::fs::remove_file(dir.join(format!("images/{lost}"))).unwrap();
    std::fs::write(dir.join(format!("images/{short}")), "x").unwrap();
    let orphan = Uuid::from_u128(0x99);
    std::fs::write(dir.join(format!("images/{orphan}")), "x").unwrap();
    let findings = c.images.audit().await.unwrap();
    for expected in
        [Finding::Missing(lost), Finding::WrongSize { id: short, recorded: 15, found: 1 }, Finding::Orphan(orphan)]
    {
        assert!(findings.contains(&expected), "{expected:?} in {findings:?}");
    }
    assert_eq!(findings.len(), 3);
    c.get("p1", &format!("/v2/images/{lost}/file")).await.expect(500);
}

#[tokio::test]
async fn only_this_user_may_read_the_directory() {
    use std::os::unix::fs::PermissionsExt;
    let c = cloud();
    c.active("p1", json!({})).await;
    let dir = std::fs::metadata(c.dir.path().join("image/images")).unwrap();
    assert_eq!(dir.permissions().mode() & 0o777, 0o700);
    let file = std::fs::metadata(&c.files("images")[0]).unwrap();
    assert_eq!(file.permissions().mode() & 0o777, 0o600);
}
