//! Bad input: the original's status, a sentence that names the field, and nothing half-done.

use api_conformance::{Client, TestCluster};
use axum::http::Method;
use serde_json::{Value, json};

const NOBODY: &str = "70a599e0-31e7-49b7-b260-868f441e862b";

/// What must not have changed: commits tell of anything that was written and taken back.
async fn unchanged(c: &TestCluster, who: &Client, before: u64, used: [i64; 3]) {
    assert_eq!(c.store().commits(), before, "something was written");
    assert_eq!(who.used().await, used);
    c.healthy().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_meant() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let good = c.body("good").await;
    let huge = json!({"flavor": {"name": "huge", "id": "huge", "ram": 512, "vcpus": 1, "disk": 1}});
    c.admin().post("/compute/v2.1/flavors", huge).await.expect(200);
    let (large, answer) = who.upload("large", "raw", vec![0; 1024], json!({"min_disk": 2})).await;
    answer.expect(204);
    let (hungry, answer) = who.upload("hungry", "raw", vec![0; 1024], json!({"min_ram": 4096})).await;
    answer.expect(204);
    let waiting = who.post("/image/v2/images", json!({"name": "w", "disk_format": "raw", "container_format": "bare"})).await.expect(201);
    let with = |key: &str, value: Value| {
        let mut b = good.clone();
        b["server"][key] = value;
        b
    };
    let without = |key: &str| {
        let mut b = good.clone();
        b["server"].as_object_mut().unwrap().remove(key);
        b
    };
    let before = (c.store().commits(), who.used().await);
    let cases: Vec<(Value, u16, &str)> = vec![
        (json!({}), 400, "server"),
        (json!({"server": null}), 400, "server"),
        (json!([]), 400, ""),
        (json!({"server": good["server"], "colour": 1}), 400, "colour"),
        (with("colour", json!(1)), 400, "colour"),
        (without("name"), 400, "name"),
        (without("flavorRef"), 400, "flavorRef"),
        (without("imageRef"), 400, "imageRef"),
        (without("networks"), 400, "networks"),
        (with("name", json!("x".repeat(256))), 400, "name"),
        (with("name", json!("")), 400, "name"),
        (with("name", json!(7)), 400, "name"),
        (with("name", json!("a\u{0}b")), 400, "name"),
        (with("flavorRef", json!("no-such")), 400, "Flavor no-such could not be found"),
        (with("flavorRef", json!({"id": 1})), 400, "flavorRef"),
        (with("imageRef", json!("no-uuid")), 400, "imageRef"),
        (with("imageRef", json!(NOBODY)), 400, "image"),
        (with("imageRef", waiting["id"].clone()), 400, "is not active"),
        (with("imageRef", json!(large)), 400, "Flavor's disk is smaller than the minimum size"),
        (with("imageRef", json!(hungry)), 400, "Flavor's memory is too small"),
        (with("min_count", json!(0)), 400, "min_count"),
        (with("min_count", json!(-1)), 400, "min_count"),
        (with("min_count", json!("many")), 400, "min_count"),
        (with("min_count", json!(1.5)), 400, "min_count"),
        (with("max_count", json!(i64::MAX)), 400, "max_count"),
        (with("metadata", json!({"k": 1})), 400, "attribute k"),
        (with("metadata", json!({"x".repeat(256): "v"})), 400, "metadata"),
        (with("metadata", json!({"k": "x".repeat(256)})), 400, "attribute k"),
        (with("metadata", json!("text")), 400, "metadata"),
        (with("tags", json!(["a,b"])), 400, "tags"),
        (with("tags", json!(["x".repeat(61)])), 400, "tags"),
        (with("key_name", json!("no-such")), 400, "key_name"),
        (with("key_name", json!("x".repeat(256))), 400, "key_name"),
        (with("user_data", json!("not base64 !")), 400, "user_data"),
        (with("user_data", json!("A".repeat(65_540))), 400, "user_data"),
        (with("config_drive", json!("perhaps")), 400, "config_drive"),
        (with("availability_zone", json!("nowhere")), 400, "availability zone"),
        (with("availability_zone", json!("nova:h1")), 403, "forced_host"),
        (with("host", json!("h1")), 403, "requested_destination"),
        (with("networks", json!([{"uuid": "no-uuid"}])), 400, "no-uuid"),
        (with("networks", json!([{"uuid": NOBODY}])), 400, NOBODY),
        (with("networks", json!([{"port": NOBODY}])), 400, NOBODY),
        (with("networks", json!([{"uuid": NOBODY, "fixed_ip": "10.0.0.300"}])), 400, "fixed_ip"),
        (with("networks", json!("some")), 400, "networks"),
        (with("networks", json!([{"colour": 1}])), 400, "colour"),
        (with("security_groups", json!([{"id": "x"}])), 400, "security_groups"),
        (with("OS-DCF:diskConfig", json!("SOMETIMES")), 400, "diskConfig"),
        (with("accessIPv4", json!("1.2.3")), 400, "accessIPv4"),
        (with("description", json!("x".repeat(256))), 400, "description"),
        (with("hostname", json!("bad host")), 400, "hostname"),
        (with("adminPass", json!(["a"])), 400, "adminPass"),
    ];
    for (body, status, part) in cases {
        let answer = who.post("/compute/v2.1/servers", body.clone()).await;
        let shown: String = body.to_string().chars().take(300).collect();
        assert_eq!(answer.status, status, "{shown}: {}", answer.text());
        assert!(answer.message().contains(part), "{shown}: {:?} does not name {part:?}", answer.message());
        assert!(answer.message().len() < 2000, "{shown}: the sentence repeats the input");
    }
    unchanged(&c, &who, before.0, before.1).await;
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_json() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let before = (c.store().commits(), who.used().await);
    let deep = format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000));
    let large = format!("{{\"server\": \"{}\"}}", "x".repeat(200_000));
    let posts = ["/compute/v2.1/servers", "/compute/v2.1/os-keypairs", "/image/v2/images", "/network/v2.0/networks",
        "/network/v2.0/ports", "/identity/v3/auth/tokens", "/identity/v3/projects"];
    for path in posts {
        for bad in ["", "{", "nope", "{\"a\": 1,}", "{\"a\": 1} x", "\"text\"", "null", "[1]", "\u{0}", deep.as_str()] {
            let answer = who.raw(Method::POST, path, Some("application/json"), bad.as_bytes().to_vec(), &[]).await;
            let shown: String = bad.chars().take(20).collect();
            assert!(matches!(answer.status, 400 | 403), "{path} {shown:?}: {} {}", answer.status, answer.text());
            assert!(!answer.message().is_empty(), "{path} {shown:?}: no message");
        }
        let answer = who.raw(Method::POST, path, Some("application/json"), vec![0xff, 0xfe, b'{'], &[]).await;
        assert!(matches!(answer.status, 400 | 403), "{path}: {} {}", answer.status, answer.text());
        let answer = who.raw(Method::POST, path, Some("application/json"), large.clone().into_bytes(), &[]).await;
        assert!(matches!(answer.status, 413 | 403), "{path}: {} {}", answer.status, answer.text());
        let answer = who.raw(Method::POST, path, Some("text/xml"), b"<server/>".to_vec(), &[]).await;
        assert!(matches!(answer.status, 415 | 400 | 403), "{path}: {} {}", answer.status, answer.text());
    }
    unchanged(&c, &who, before.0, before.1).await;
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn actions_that_cannot_be_meant() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let id = c.boot(&who, "calm").await;
    let image = c.image().await;
    let before = (c.store().commits(), who.used().await);
    for (body, status, part) in [
        (json!({}), 400, ""),
        (json!({"os-stop": null, "os-start": null}), 400, "too many body keys"),
        (json!({"dance": null}), 400, "dance"),
        (json!({"reboot": {"type": "GENTLE"}}), 400, "type"),
        (json!({"reboot": {}}), 400, "type"),
        (json!({"reboot": null}), 400, "reboot"),
        (json!({"createImage": {}}), 400, "name"),
        (json!({"createImage": {"name": "x".repeat(256)}}), 400, "name"),
        (json!({"createImage": {"name": "x", "metadata": {"a": 1}}}), 400, "attribute a"),
        (json!({"rebuild": {}}), 400, "imageRef"),
        (json!({"rebuild": {"imageRef": "x"}}), 400, "imageRef"),
        (json!({"rebuild": {"imageRef": NOBODY}}), 400, "image"),
        (json!({"rebuild": {"imageRef": image, "colour": 1}}), 400, "colour"),
        (json!({"lock": {"locked_reason": "x".repeat(256)}}), 400, "locked_reason"),
        (json!({"os-resetState": {"state": "error"}}), 403, "reset_state"),
        (json!({"os-getConsoleOutput": {"length": "all"}}), 400, "length"),
    ] {
        let answer = who.act(&id, body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.text());
        assert!(answer.message().contains(part), "{body}: {:?} does not name {part:?}", answer.message());
    }
    for wrong in ["no-uuid", NOBODY, "%00", "..%2f..", &"x".repeat(5000)] {
        let answer = who.get(&format!("/compute/v2.1/servers/{wrong}")).await;
        assert!(matches!(answer.status, 404 | 400), "{wrong}: {} {}", answer.status, answer.text());
    }
    unchanged(&c, &who, before.0, before.1).await;
    assert_eq!(who.status(&id).await, "ACTIVE");
    c.end().await;
}

/// The header of a qcow2 file, version 3, of a disk of `size` bytes; with a backing file if one is named.
fn qcow2(size: u64, backing: Option<&str>) -> Vec<u8> {
    let mut b = vec![0_u8; 4 * 65_536];
    let mut put = |at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"QFI\xfb");
    put(4, &3_u32.to_be_bytes());
    if let Some(name) = backing {
        put(8, &112_u64.to_be_bytes());
        put(16, &u32::try_from(name.len()).unwrap().to_be_bytes());
        put(112, name.as_bytes());
    }
    put(20, &16_u32.to_be_bytes());
    put(24, &size.to_be_bytes());
    // One entry of the first table for each 512 MiB.
    put(36, &u32::try_from(size.div_ceil(512 << 20).min(1 << 20)).unwrap().to_be_bytes());
    put(40, &(3 * 65_536_u64).to_be_bytes());
    put(48, &65_536_u64.to_be_bytes());
    put(56, &1_u32.to_be_bytes());
    put(96, &4_u32.to_be_bytes());
    put(100, &104_u32.to_be_bytes());
    b
}

#[tokio::test(start_paused = true)]
async fn images_that_are_not_what_they_say() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    for (format, bytes, status, part) in [
        ("qcow2", qcow2(1 << 20, Some("/etc/passwd")), 415, "backing"),
        ("qcow2", b"no qcow2 at all".to_vec(), 415, "qcow2"),
        ("qcow2", qcow2(1 << 60, None), 415, "1152921504606846976 bytes"),
        ("vmdk", qcow2(1 << 20, None), 415, "vmdk"),
        ("raw", qcow2(1 << 20, Some("/etc/shadow")), 415, "raw"),
        ("iso", vec![0; 70_000], 415, "iso"),
    ] {
        let (id, answer) = who.upload("liar", format, bytes, json!({})).await;
        assert_eq!(answer.status, status, "{format}: {}", answer.text());
        let said = answer.message().to_lowercase();
        assert!(said.contains(part), "{format}: {said:?} does not name {part:?}");
        let image = who.get(&format!("/image/v2/images/{id}")).await.expect(200);
        assert_eq!((&image["status"], &image["size"], &image["checksum"]), (&json!("queued"), &Value::Null, &Value::Null));
        let answer = who.get(&format!("/image/v2/images/{id}/file")).await;
        assert!(answer.bytes.is_empty() || answer.status >= 400, "{format}: bytes are there");
        c.healthy().await;
    }
    // A disk that is larger inside than the flavor's, though its file is small.
    let (id, answer) = who.upload("roomy", "qcow2", qcow2(5 << 30, None), json!({})).await;
    answer.expect(204);
    let mut body = c.body("tight").await;
    body["server"]["imageRef"] = id.clone().into();
    who.post("/compute/v2.1/servers", body).await.refused(400, "Flavor's disk is too small");
    let server = c.boot(&who, "calm").await;
    who.act(&server, json!({"rebuild": {"imageRef": id}})).await.refused(400, "Flavor's disk is too small");
    assert_eq!(who.status(&server).await, "ACTIVE");
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn uploads_that_break_off_or_come_wrong_leave_nothing() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let fresh = async || {
        let body = json!({"name": "x", "disk_format": "raw", "container_format": "bare"});
        who.post("/image/v2/images", body).await.expect(201)["id"].as_str().unwrap().to_owned()
    };
    let put = async |id: &str, kind: &str, headers: &[(&str, &str)]| {
        let path = format!("/image/v2/images/{id}/file");
        who.raw(Method::PUT, &path, Some(kind), b"0123456789".to_vec(), headers).await
    };
    let id = fresh().await;
    put(&id, "application/octet-stream", &[("content-length", "11")]).await.refused(400, "10 bytes");
    put(&id, "application/octet-stream", &[("x-openstack-image-size", "9")]).await.refused(400, "image-size");
    put(&id, "application/octet-stream", &[("x-openstack-image-size", "nine")]).await.refused(400, "image-size");
    put(&id, "text/plain", &[]).await.refused(415, "octet-stream");
    assert_eq!(who.get(&format!("/image/v2/images/{id}")).await.expect(200)["status"], "queued");
    c.healthy().await;
    // The same image takes the right bytes afterwards, once.
    put(&id, "application/octet-stream", &[]).await.expect(204);
    put(&id, "application/octet-stream", &[]).await.refused(409, "active");
    let image = who.get(&format!("/image/v2/images/{id}")).await.expect(200);
    assert_eq!(image["checksum"], "781e5e245d69b566979b86e28d23f2c7");
    // Checksums are what the bytes say, never what a client says.
    for name in ["checksum", "os_hash_value", "size", "virtual_size", "status", "created_at"] {
        let body = json!({"name": "x", name: "781e5e245d69b566979b86e28d23f2c8"});
        who.post("/image/v2/images", body).await.refused(403, name);
        let patch = json!([{"op": "replace", "path": format!("/{name}"), "value": "1"}]).to_string().into_bytes();
        let kind = Some("application/openstack-images-v2.1-json-patch");
        who.raw(Method::PATCH, &format!("/image/v2/images/{id}"), kind, patch, &[]).await.refused(403, name);
    }
    for (body, part) in [
        (json!({"name": "x".repeat(256)}), "name"),
        (json!({"disk_format": "floppy"}), "disk_format"),
        (json!({"min_disk": -1}), "min_disk"),
        (json!({"min_disk": "big"}), "min_disk"),
        (json!({"visibility": "secret"}), "visibility"),
        (json!({"protected": "no"}), "protected"),
        (json!({"tags": "one"}), "tags"),
        (json!({"id": "no-uuid"}), "id"),
        (json!({"os_hidden": 3}), "os_hidden"),
        (json!({"own": 3}), "own"),
    ] {
        let answer = who.post("/image/v2/images", body.clone()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert!(answer.message().contains(part), "{body}: {:?}", answer.message());
    }
    who.post("/image/v2/images", json!({"visibility": "public"})).await.refused(403, "publicize_image");
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn flavors_and_keypairs_that_cannot_be_meant() {
    let c = TestCluster::one().await;
    let (who, admin) = (c.member("alice", "wonderland").await, c.admin());
    let before = (c.store().commits(), who.used().await);
    for (change, status, part) in [
        (json!({"ram": 0}), 400, "ram"),
        (json!({"vcpus": 0}), 400, "vcpus"),
        (json!({"vcpus": -3}), 400, "vcpus"),
        (json!({"ram": "much"}), 400, "ram"),
        (json!({"disk": 3_000_000_000_u64}), 400, "disk"),
        (json!({"name": ""}), 400, "name"),
        (json!({"name": "x".repeat(256)}), 400, "name"),
        (json!({"id": "bad id!"}), 400, "id"),
        (json!({"id": "1"}), 409, "1"),
        (json!({"colour": 1}), 400, "colour"),
        (json!({"rxtx_factor": -1}), 400, "rxtx_factor"),
    ] {
        let mut body = json!({"flavor": {"name": "odd", "id": "odd", "ram": 64, "vcpus": 1, "disk": 1}});
        for (k, v) in change.as_object().unwrap() {
            body["flavor"][k] = v.clone();
        }
        let answer = admin.post("/compute/v2.1/flavors", body).await;
        assert_eq!(answer.status, status, "{change}: {}", answer.text());
        assert!(answer.message().contains(part), "{change}: {:?}", answer.message());
    }
    who.post("/compute/v2.1/flavors", json!({"flavor": {}})).await.refused(403, "flavor");
    for (body, part) in [
        (json!({"name": "k", "public_key": "ssh-rsa nonsense"}), "key"),
        (json!({"name": "k", "public_key": 7}), "public_key"),
        (json!({"name": "", "public_key": "ssh-rsa AAAA"}), "name"),
        (json!({"name": "a/b", "public_key": "ssh-rsa AAAA"}), "name"),
        (json!({"name": "k", "type": "pgp", "public_key": "ssh-rsa AAAA"}), "type"),
        (json!({"name": "k"}), "public_key"),
    ] {
        let answer = who.post("/compute/v2.1/os-keypairs", json!({"keypair": body})).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
        assert!(answer.message().contains(part), "{body}: {:?}", answer.message());
    }
    unchanged(&c, &who, before.0, before.1).await;
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_impossible_network_leaves_no_server_and_no_quota() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let made = who.post("/network/v2.0/networks", json!({"network": {"name": "tiny"}})).await.expect(201);
    let network = made["network"]["id"].as_str().unwrap().to_owned();
    let mut body = c.body("homeless").await;
    body["server"]["networks"] = json!([{"uuid": network}]);
    // No subnet, so no address.
    who.post("/compute/v2.1/servers", body.clone()).await.refused(400, "subnet");
    let subnet = json!({"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.9.0.0/30", "gateway_ip": null}});
    who.post("/network/v2.0/subnets", subnet).await.expect(201);
    body["server"]["min_count"] = 5.into();
    let before = c.store().commits();
    let answer = who.post("/compute/v2.1/servers", body.clone()).await;
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!((c.store().commits(), who.used().await), (before, [0, 0, 0]));
    let ports = who.get("/network/v2.0/ports?device_owner=compute:nova").await.expect(200);
    assert_eq!(ports["ports"], json!([]));
    body["server"]["networks"] = json!([{"uuid": network, "fixed_ip": "10.10.0.1"}]);
    body["server"]["min_count"] = 1.into();
    who.post("/compute/v2.1/servers", body).await.refused(400, "10.10.0.1");
    assert_eq!((c.store().commits(), who.used().await), (before, [0, 0, 0]));
    // Two networks of one's own, and nothing said: which one?
    who.post("/network/v2.0/networks", json!({"network": {"name": "other"}})).await.expect(201);
    c.end().await;
}
