//! The door as clients use it: images, lists, patches, members, tags, and what is refused.
#![allow(clippy::unwrap_used)]

mod common;

use common::{PATCH21, cloud, cloud_with};
use serde_json::{Value, json};

#[tokio::test]
async fn an_image_from_birth_to_death() {
    let c = cloud();
    let made = c
        .call(
            "p1",
            "POST",
            "/v2/images",
            json!({
                "name": "disk", "disk_format": "raw", "container_format": "bare", "min_disk": 1, "tags": ["b", "a", "a"],
                "hw_disk_bus": "virtio", "protected": true, "id": "AAAAAAAA-0000-4000-8000-000000000001",
            }),
        )
        .await
        .expect(201);
    let id = "aaaaaaaa-0000-4000-8000-000000000001";
    assert_eq!(made.headers["location"], format!("/image/v2/images/{id}"));
    let made = made.json();
    assert_eq!(made["status"], "queued");
    assert_eq!(made["visibility"], "shared");
    assert_eq!(made["owner"], "p1");
    assert_eq!(made["tags"], json!(["a", "b"]));
    assert_eq!(made["hw_disk_bus"], "virtio");
    assert_eq!(made["size"], Value::Null);
    assert_eq!(made["file"], format!("/v2/images/{id}/file"));
    c.get("p1", &format!("/v2/images/{id}/file")).await.expect(204);

    c.put("p1", id, "0123456789").await.expect(204);
    let shown = c.get("p1", &format!("/v2/images/{id}")).await.expect(200).json();
    assert_eq!(shown["status"], "active");
    assert_eq!(shown["size"], 10);
    assert_eq!(shown["virtual_size"], 10);
    assert_eq!(shown["checksum"], "781e5e245d69b566979b86e28d23f2c7");
    assert_eq!(shown["os_hash_algo"], "sha512");
    assert_eq!(shown["os_hash_value"].as_str().unwrap().len(), 128);
    let file = c.get("p1", &format!("/v2/images/{id}/file")).await.expect(200);
    assert_eq!(file.bytes, b"0123456789");
    assert_eq!(file.headers["content-md5"], "781e5e245d69b566979b86e28d23f2c7");
    assert_eq!(file.headers["content-length"], "10");
    assert_eq!(file.headers["content-type"], "application/octet-stream");

    let delete = || c.call("p1", "DELETE", "/v2/images/aaaaaaaa-0000-4000-8000-000000000001", Value::Null);
    assert!(delete().await.expect(403).message().contains("is protected and cannot be deleted"));
    let unprotect = json!([{"op": "replace", "path": "/protected", "value": false}]);
    c.call("p1", "PATCH", &format!("/v2/images/{id}"), unprotect).await.expect(200);
    delete().await.expect(204);
    delete().await.expect(404);
    c.get("p1", &format!("/v2/images/{id}")).await.expect(404);
    assert!(c.files("images").is_empty());
    // Nobody may take the id of an image that others may still trust.
    let again = c.call("p2", "POST", "/v2/images", json!({"id": id})).await.expect(409);
    assert!(again.message().contains("already exists"));
}

#[tokio::test]
async fn ranges_of_the_bytes() {
    let c = cloud();
    let id = c.active("p1", json!({})).await;
    let get = |range: &'static str| {
        let request = axum::http::Request::get(format!("/v2/images/{id}/file")).header("range", range);
        c.send("p1", request.body(axum::body::Body::empty()).unwrap())
    };
    let part = get("bytes=6-7").await.expect(206);
    assert_eq!((&part.bytes[..], part.headers["content-range"].to_str().unwrap()), (&b"of"[..], "bytes 6-7/15"));
    assert_eq!(get("bytes=-4").await.expect(206).bytes, b"disk");
    assert_eq!(get("lines=1").await.expect(200).bytes.len(), 15);
    assert_eq!(get("bytes=15-").await.expect(416).headers["content-range"], "bytes */15");
}

#[tokio::test]
async fn other_projects_see_nothing_and_change_nothing() {
    let c = cloud();
    for visibility in ["private", "shared"] {
        let id = c.active("p1", json!({"visibility": visibility, "name": "secret"})).await;
        let at = format!("/v2/images/{id}");
        for (method, path, body) in [
            ("GET", at.clone(), Value::Null),
            ("PATCH", at.clone(), json!([{"op": "add", "path": "/x", "value": "y"}])),
            ("DELETE", at.clone(), Value::Null),
            ("GET", format!("{at}/file"), Value::Null),
            ("GET", format!("{at}/tasks"), Value::Null),
            ("PUT", format!("{at}/tags/t"), Value::Null),
            ("DELETE", format!("{at}/tags/t"), Value::Null),
            ("GET", format!("{at}/members"), Value::Null),
            ("POST", format!("{at}/members"), json!({"member": "p2"})),
            ("GET", format!("{at}/members/p2"), Value::Null),
            ("PUT", format!("{at}/members/p2"), json!({"status": "accepted"})),
            ("DELETE", format!("{at}/members/p2"), Value::Null),
            ("POST", format!("{at}/actions/deactivate"), Value::Null),
        ] {
            let answer = c.call("p2", method, &path, body).await;
            assert_eq!(answer.status.as_u16(), 404, "{visibility} {method} {path}");
            assert!(!answer.message().contains("secret"));
        }
        c.put("p2", &id, "x").await.expect(404);
        assert!(c.ids("p2", "").await.is_empty());
        assert!(c.ids("p2", "?visibility=all").await.is_empty());
    }
    assert_eq!(c.ids("p9/admin", "").await, ["secret", "secret"]);
    c.get("", "/v2/images").await.expect(401);
}

#[tokio::test]
async fn a_public_image_is_everybodys_to_read_and_nobodys_to_change() {
    let c = cloud();
    let refused = c.call("p1", "POST", "/v2/images", json!({"visibility": "public"})).await.expect(403);
    assert!(refused.message().contains("publicize_image"));
    let id = c.active("p9/admin", json!({"visibility": "public", "name": "all"})).await;
    let at = format!("/v2/images/{id}");
    c.get("p1/reader", &at).await.expect(200);
    c.get("p1", &format!("{at}/file")).await.expect(200);
    let patch = json!([{"op": "replace", "path": "/name", "value": "mine"}]);
    c.call("p1", "PATCH", &at, patch).await.expect(403);
    c.call("p1", "DELETE", &at, Value::Null).await.expect(403);
    c.call("p1", "PUT", &format!("{at}/tags/x"), Value::Null).await.expect(403);
    c.put("p1", &id, "x").await.expect(403);
    // Without the role, not even one's own.
    let own = c.active("p1", json!({"name": "own"})).await;
    c.call("p1/reader", "DELETE", &format!("/v2/images/{own}"), Value::Null).await.expect(403);
    c.call("p1/reader", "POST", "/v2/images", json!({})).await.expect(403);
    let publish = json!([{"op": "replace", "path": "/visibility", "value": "public"}]);
    c.call("p1", "PATCH", &format!("/v2/images/{own}"), publish).await.expect(403);
    let as_other = c.call("p1", "POST", "/v2/images", json!({"owner": "p2"})).await.expect(403);
    assert!(as_other.message().contains("owned by 'p2'"));
}

#[tokio::test]
async fn bad_bodies_name_their_field() {
    let c = cloud();
    let long = "x".repeat(256);
    for (body, status, word) in [
        (json!({"name": 5}), 400, "'name'"),
        (json!({"name": long}), 400, "'name'"),
        (json!({"name": "a\0b"}), 400, "NUL"),
        (json!({"disk_format": "floppy"}), 400, "'disk_format'"),
        (json!({"container_format": "box"}), 400, "'container_format'"),
        (json!({"visibility": "secret"}), 400, "'visibility'"),
        (json!({"min_disk": "1"}), 400, "'min_disk'"),
        (json!({"min_disk": -1}), 400, "'min_disk'"),
        (json!({"min_ram": 1.5}), 400, "'min_ram'"),
        (json!({"min_ram": 3_000_000_000_u64}), 400, "'min_ram'"),
        (json!({"protected": "yes"}), 400, "'protected'"),
        (json!({"os_hidden": 1}), 400, "'os_hidden'"),
        (json!({"tags": "a"}), 400, "'tags'"),
        (json!({"tags": [1]}), 400, "'tags'"),
        (json!({"id": "5"}), 400, "'id'"),
        (json!({"kernel_id": "vmlinuz"}), 400, "'kernel_id'"),
        (json!({"hw_x": {"a": 1}}), 400, "'hw_x'"),
        (json!({"hw_x": null}), 400, "'hw_x'"),
        (json!({ "x".repeat(256): "v" }), 400, "255"),
        (json!({"status": "active"}), 403, "'status'"),
        (json!({"checksum": "0"}), 403, "'checksum'"),
        (json!({"size": 1}), 403, "'size'"),
        (json!({"self": "x"}), 403, "'self'"),
        (json!({"deleted": "true"}), 403, "'deleted'"),
        (json!({"os_glance_x": "y"}), 403, "'os_glance_x'"),
        (json!({"locations": []}), 403, "locations"),
        (json!([]), 400, "Invalid input"),
    ] {
        let answer = c.call("p1", "POST", "/v2/images", body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.message());
        assert!(answer.message().contains(word), "{body}: {}", answer.message());
    }
    let many: serde_json::Map<String, Value> = (0..129).map(|n| (format!("p{n}"), json!("v"))).collect();
    c.call("p1", "POST", "/v2/images", many.into()).await.expect(413);
    let tags: Vec<String> = (0..129).map(|n| n.to_string()).collect();
    c.call("p1", "POST", "/v2/images", json!({ "tags": tags })).await.expect(413);
    c.get("p1", "/v2/images/not-an-id").await.expect(404);
    c.get("p1", "/v2/images/").await.expect(404);
    c.call("p1", "PUT", "/v2/images", json!({})).await.expect(405);
    assert!(c.ids("p1", "").await.is_empty(), "nothing half-made");
}

#[tokio::test]
async fn patches_of_both_formats() {
    let c = cloud();
    let id = c
        .create("p1", json!({"name": "a", "os_distro": "debian", "disk_format": "raw", "container_format": "bare"}))
        .await;
    let at = format!("/v2/images/{id}");
    let patched = c
        .call(
            "p1",
            "PATCH",
            &at,
            json!([
                {"op": "replace", "path": "/name", "value": null},
                {"op": "add", "path": "/a~1b", "value": "slash"},
                {"op": "add", "path": "/os_distro", "value": "arch"},
                {"op": "replace", "path": "/tags", "value": ["t"]},
                {"op": "replace", "path": "/disk_format", "value": "qcow2"},
                {"op": "add", "path": "/kernel_id", "value": null},
            ]),
        )
        .await
        .expect(200)
        .json();
    assert_eq!(patched["name"], Value::Null);
    assert_eq!(patched["a/b"], "slash");
    assert_eq!(patched["os_distro"], "arch");
    assert_eq!(patched["disk_format"], "qcow2");
    assert_eq!(c.get("p1", &at).await.json(), patched);
    for (body, status) in [
        (json!([{"op": "remove", "path": "/name"}]), 403),
        (json!([{"op": "remove", "path": "/nothing"}]), 409),
        (json!([{"op": "replace", "path": "/nothing", "value": "x"}]), 409),
        (json!([{"op": "replace", "path": "/status", "value": "active"}]), 403),
        (json!([{"op": "replace", "path": "/id", "value": "x"}]), 403),
        (json!([{"op": "replace", "path": "/os_hash_value", "value": "x"}]), 403),
        (json!([{"op": "add", "path": "/os_glance_a", "value": "x"}]), 403),
        (json!([{"op": "add", "path": "/deleted_at", "value": "x"}]), 403),
        (json!([{"op": "add", "path": "/locations/-", "value": {"url": "file:///etc/shadow", "metadata": {}}}]), 403),
        (json!([{"op": "replace", "path": "/owner", "value": "p2"}]), 403),
        (json!([{"op": "add", "path": "/owner", "value": "p2"}]), 403),
        (json!([{"op": "replace", "path": "/name", "value": 1}]), 400),
        (json!([{"op": "replace", "path": "/name"}]), 400),
        (json!([{"op": "move", "path": "/name", "value": "x"}]), 400),
        (json!([{"path": "/name", "value": "x"}]), 400),
        (json!([{"op": "add", "value": "x"}]), 400),
        (json!([{"op": "add", "path": "name", "value": "x"}]), 400),
        (json!([{"op": "add", "path": "/a/b", "value": "x"}]), 400),
        (json!([{"op": "add", "path": "/", "value": "x"}]), 400),
        (json!(["x"]), 400),
        (json!({"op": "add"}), 400),
        // One bad operation, and none of the good ones happens.
        (json!([{"op": "replace", "path": "/name", "value": "half"}, {"op": "remove", "path": "/nothing"}]), 409),
    ] {
        let answer = c.call("p1", "PATCH", &at, body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.message());
    }
    assert_eq!(c.get("p1", &at).await.json()["name"], Value::Null);
    let old = |body: Value, kind: &'static str| {
        let request = axum::http::Request::patch(at.clone()).header("content-type", kind);
        c.send("p1", request.body(body.to_string().into()).unwrap())
    };
    const PATCH20: &str = "application/openstack-images-v2.0-json-patch";
    old(json!([{"replace": "/name", "value": "old"}]), PATCH20).await.expect(200);
    old(json!([{"add": "/name", "value": "old"}]), PATCH20).await.expect(409);
    old(json!([{"add": "/x", "replace": "/x", "value": "old"}]), PATCH20).await.expect(400);
    let refused = old(json!([]), "application/json").await.expect(415);
    assert!(refused.headers["accept-patch"].to_str().unwrap().contains(PATCH21));
    // What is recorded about bytes does not change any more.
    let id = c.active("p1", json!({})).await;
    let change = json!([{"op": "replace", "path": "/disk_format", "value": "qcow2"}]);
    let refused = c.call("p1", "PATCH", &format!("/v2/images/{id}"), change).await.expect(403);
    assert!(refused.message().contains("only replaced for a queued image"));
}

#[tokio::test]
async fn lists_filter_sort_and_page() {
    let c = cloud();
    for (name, body) in [
        ("a", json!({"disk_format": "raw", "tags": ["x", "y"], "os_distro": "debian"})),
        ("b", json!({"disk_format": "qcow2", "tags": ["x"], "min_ram": 512})),
        ("c", json!({"container_format": "bare", "visibility": "private", "protected": true})),
        ("d", json!({"visibility": "community"})),
        ("h", json!({"os_hidden": true})),
    ] {
        let mut body = body;
        body["name"] = name.into();
        c.create("p1", body).await;
    }
    c.active("p9/admin", json!({"name": "p", "visibility": "public"})).await;
    let sorted = |caller: &'static str, query: &'static str| {
        let c = &c;
        async move {
            let joint = if query.is_empty() { "?sort=name:asc".to_owned() } else { format!("?sort=name:asc&{query}") };
            c.ids(caller, &joint).await.join("")
        }
    };
    for (query, expected) in [
        ("", "abcdp"),
        ("name=a", "a"),
        ("name=in:a,c,z", "ac"),
        ("tag=x", "ab"),
        ("tag=x&tag=y", "a"),
        ("os_distro=debian", "a"),
        ("disk_format=in:raw,qcow2", "abp"),
        ("status=active", "p"),
        ("status=queued", "abcd"),
        ("visibility=private", "c"),
        ("visibility=public", "p"),
        ("visibility=community", "d"),
        ("owner=p1", "abcd"),
        ("protected=true", "c"),
        ("os_hidden=true", "h"),
        ("min_ram=512", "b"),
        ("size_min=1", "p"),
        ("size_max=10", ""),
        ("created_at=gt:2000-01-01T00:00:00Z", "abcdp"),
        ("created_at=lt:2000-01-01T00:00:00Z", ""),
        ("limit=2", "ab"),
        ("limit=0", ""),
        ("nonsense=1", ""),
    ] {
        assert_eq!(sorted("p1", query).await, expected, "{query}");
    }
    assert_eq!(sorted("p2", "").await, "p", "other projects' community images are not listed unasked");
    assert_eq!(sorted("p2", "visibility=community").await, "d");
    assert_eq!(sorted("p2", "visibility=all").await, "dp");
    for bad in [
        "visibility=x",
        "limit=-1",
        "limit=x",
        "marker=x",
        "marker=00000000-0000-4000-8000-000000000000",
        "sort_key=owner",
        "sort_dir=up",
        "sort=name:up",
        "sort=name&sort_key=name",
        "sort_key=name&sort_dir=asc&sort_dir=asc",
        "os_hidden=x",
        "protected=x",
        "member_status=x",
        "size_min=x",
        "created_at=x",
        "name=like:x",
        "changes-since=x",
        "name=in:%22a",
        "name=%00",
        "x=%00",
    ] {
        c.get("p1", &format!("/v2/images?{bad}")).await.expect(400);
    }
    // Walk all pages in every order, by the links themselves.
    for order in [
        "sort=name:asc",
        "sort=name:desc",
        "sort=size:asc,name:desc",
        "sort_key=disk_format&sort_dir=asc",
        "sort_key=status",
        "",
    ] {
        let whole = c.ids("p1", &format!("?{order}")).await;
        let mut path = format!("/v2/images?limit=2&{order}");
        let mut walked = Vec::new();
        loop {
            let page = c.get("p1", &path).await.expect(200).json();
            walked.extend(page["images"].as_array().unwrap().iter().map(|i| i["name"].as_str().unwrap().to_owned()));
            assert!(page["first"].as_str().unwrap().starts_with("/v2/images?limit=2"));
            let Some(next) = page["next"].as_str() else { break };
            path = next.to_owned();
        }
        assert_eq!(walked, whole, "{order}");
    }
}

#[tokio::test]
async fn members_share_and_answer() {
    let c = cloud();
    let id = c.active("p1", json!({"name": "shared"})).await;
    let at = format!("/v2/images/{id}/members");
    let made = c.call("p1", "POST", &at, json!({"member": "p2"})).await.expect(200).json();
    assert_eq!(
        (&made["member_id"], &made["status"], &made["schema"]),
        (&json!("p2"), &json!("pending"), &json!("/v2/schemas/member"))
    );
    c.call("p1", "POST", &at, json!({"member": "p2"})).await.expect(409);
    for bad in [json!({}), json!({"member": ""}), json!([]), json!({"member": 4})] {
        c.call("p1", "POST", &at, bad).await.expect(400);
    }
    // Pending: seen when asked for, not in the list.
    c.get("p2", &format!("/v2/images/{id}")).await.expect(200);
    assert!(c.ids("p2", "").await.is_empty());
    assert_eq!(c.ids("p2", "?member_status=pending").await, ["shared"]);
    assert_eq!(c.ids("p2", "?visibility=shared&member_status=all").await, ["shared"]);
    let mine = format!("{at}/p2");
    c.call("p1", "PUT", &mine, json!({"status": "accepted"})).await.expect(403);
    c.call("p2", "PUT", &mine, json!({"status": "maybe"})).await.expect(400);
    c.call("p2", "PUT", &mine, json!({"status": "accepted"})).await.expect(200);
    assert_eq!(c.ids("p2", "").await, ["shared"]);
    c.get("p2", &format!("/v2/images/{id}/file")).await.expect(200);
    // A member does not see the other members and changes nothing.
    c.call("p1", "POST", &at, json!({"member": "p3"})).await.expect(200);
    assert_eq!(c.get("p1", &at).await.json()["members"].as_array().unwrap().len(), 2);
    assert_eq!(c.get("p2", &at).await.json()["members"].as_array().unwrap().len(), 1);
    c.get("p2", &format!("{at}/p3")).await.expect(404);
    c.call("p2", "POST", &at, json!({"member": "p4"})).await.expect(403);
    c.call("p2", "DELETE", &mine, Value::Null).await.expect(403);
    c.call("p2", "PATCH", &format!("/v2/images/{id}"), json!([{"op": "add", "path": "/x", "value": "y"}]))
        .await
        .expect(403);
    c.call("p1", "DELETE", &mine, Value::Null).await.expect(204);
    c.call("p1", "DELETE", &mine, Value::Null).await.expect(404);
    c.get("p2", &format!("/v2/images/{id}")).await.expect(404);
    // Only shared images have members.
    let private = c.create("p1", json!({"visibility": "private"})).await;
    c.call("p1", "POST", &format!("/v2/images/{private}/members"), json!({"member": "p2"})).await.expect(403);
    c.get("p1", &format!("/v2/images/{private}/members")).await.expect(403);
    c.get("p1", &format!("/v2/images/{private}/members/p2")).await.expect(404);
    let limited = cloud_with(|o| o.max_members = 1);
    let id = limited.create("p1", json!({})).await;
    let at = format!("/v2/images/{id}/members");
    limited.call("p1", "POST", &at, json!({"member": "a"})).await.expect(200);
    limited.call("p1", "POST", &at, json!({"member": "b"})).await.expect(413);
}

#[tokio::test]
async fn tags_and_deactivation() {
    let c = cloud();
    let id = c.active("p1", json!({})).await;
    let at = format!("/v2/images/{id}");
    c.call("p1", "PUT", &format!("{at}/tags/some%20tag"), Value::Null).await.expect(204);
    assert_eq!(c.get("p1", &at).await.json()["tags"], json!(["some tag"]));
    c.call("p1", "DELETE", &format!("{at}/tags/some%20tag"), Value::Null).await.expect(204);
    c.call("p1", "DELETE", &format!("{at}/tags/some%20tag"), Value::Null).await.expect(404);
    c.call("p1", "PUT", &format!("{at}/tags/{}", "x".repeat(256)), Value::Null).await.expect(400);

    for _ in 0..2 {
        c.call("p1", "POST", &format!("{at}/actions/deactivate"), Value::Null).await.expect(204);
    }
    assert_eq!(c.get("p1", &at).await.json()["status"], "deactivated");
    c.get("p1", &format!("{at}/file")).await.expect(403);
    c.get("p9/admin", &format!("{at}/file")).await.expect(200);
    c.call("p1", "POST", &format!("{at}/actions/reactivate"), Value::Null).await.expect(204);
    c.get("p1", &format!("{at}/file")).await.expect(200);
    let queued = c.create("p1", json!({})).await;
    let refused =
        c.call("p1", "POST", &format!("/v2/images/{queued}/actions/deactivate"), Value::Null).await.expect(403);
    assert!(refused.message().contains("in status 'queued'"));
}

#[tokio::test]
async fn documents_and_what_is_not_built() {
    let c = cloud();
    let versions = c.get("", "/").await.expect(300).json();
    assert_eq!(versions["versions"][0]["status"], "CURRENT");
    assert_eq!(versions["versions"][0]["links"][0]["href"], "http://cloud:1/image/v2/");
    assert_eq!(c.get("", "/versions").await.expect(200).json(), versions);
    for schema in ["image", "images", "member", "members"] {
        assert_eq!(c.get("p1", &format!("/v2/schemas/{schema}")).await.expect(200).json()["name"], schema);
    }
    c.get("p1", "/v2/schemas/nothing").await.expect(404);
    assert_eq!(c.get("p1", "/v2/info/import").await.expect(200).json()["import-methods"]["value"], json!([]));
    c.get("p1", "/v2/info/stores").await.expect(404);
    let id = c.create("p1", json!({})).await;
    assert_eq!(c.get("p1", &format!("/v2/images/{id}/tasks")).await.expect(200).json(), json!({"tasks": []}));
    for (method, path) in image::NOT_BUILT {
        let at = path.replace("{image_id}", &id).replace("{*rest}", "namespaces");
        let answer = c.call("p1", method, &at, json!({})).await.expect(501);
        assert!(answer.message().contains(path), "{path}");
    }
    assert_eq!(image::route_infos().len(), image::NOT_BUILT.len() + 22);
}
