//! A server's life through the API, in a whole cloud with fake hosts.
#![allow(clippy::unwrap_used)]

mod cloud;

use axum::http::Method;
use cloud::Cloud;
use serde_json::{Value, json};

#[tokio::test]
async fn a_server_is_made_shown_listed_and_deleted() {
    let c = Cloud::one().await;
    let answer = c.post("alice", "/servers", "2.1", c.server("web")).await;
    let location = answer.headers["location"].to_str().unwrap().to_owned();
    let made = answer.expect(202);
    let server = &made["server"];
    let id = server["id"].as_str().unwrap();
    assert_eq!(location, format!("http://cloud:8774/compute/v2.1/servers/{id}"));
    assert_eq!(server["security_groups"], json!([{"name": "default"}]));
    assert_eq!(server["adminPass"].as_str().unwrap().len(), 12);
    c.settled().await;
    let s = c.get("alice", &format!("/servers/{id}"), "2.1").await.expect(200);
    assert_eq!(s["server"]["status"], "ACTIVE");
    assert_eq!(s["server"]["addresses"]["private"].as_array().unwrap().len(), 1);
    assert!(s["server"].get("OS-EXT-SRV-ATTR:host").is_none());
    let s = c.get("admin", &format!("/servers/{id}"), "2.104").await.expect(200);
    assert_eq!(s["server"]["OS-EXT-SRV-ATTR:host"], "h1");
    assert_eq!(s["server"]["host_status"], "UP");
    let list = c.get("alice", "/servers", "2.1").await.expect(200);
    assert_eq!(list["servers"][0]["name"], "web");
    let detail = c.get("alice", "/servers/detail?status=ACTIVE&name=we", "2.104").await.expect(200);
    assert_eq!(detail["servers"].as_array().unwrap().len(), 1);
    c.call("alice", Method::DELETE, &format!("/servers/{id}"), "2.1", None).await.expect(204);
    c.settled().await;
    c.get("alice", &format!("/servers/{id}"), "2.1").await.refused(404, "could not be found");
    let gone = c.get("alice", "/servers/detail?changes-since=2020-01-01T00:00:00Z", "2.1").await.expect(200);
    assert_eq!(gone["servers"][0]["status"], "DELETED");
    c.stop().await;
}

#[tokio::test]
async fn servers_of_others_are_as_absent_as_none() {
    let c = Cloud::one().await;
    let id = c.boot("alice", "mine").await;
    for (method, path) in [
        (Method::GET, ""),
        (Method::DELETE, ""),
        (Method::GET, "/metadata"),
        (Method::GET, "/ips"),
        (Method::GET, "/os-instance-actions"),
        (Method::GET, "/os-interface"),
        (Method::GET, "/os-security-groups"),
    ] {
        c.call("bob", method, &format!("/servers/{id}{path}"), "2.1", None).await.refused(404, "could not be found");
    }
    c.act("bob", &id, "2.1", json!({"os-stop": null})).await.refused(404, "could not be found");
    c.call("bob", Method::PUT, &format!("/servers/{id}"), "2.1", Some(json!({"server": {"name": "x"}}))).await.refused(404, "could not be found");
    assert_eq!(c.get("bob", "/servers", "2.1").await.expect(200)["servers"], json!([]));
    c.get("bob", "/servers?all_tenants=1", "2.1").await.refused(403, "get_all_tenants");
    let all = c.get("admin", "/servers?all_tenants=1", "2.1").await.expect(200);
    assert_eq!(all["servers"].as_array().unwrap().len(), 1);
    c.act("reader", &id, "2.1", json!({"os-stop": null})).await.refused(403, "os_compute_api:servers:stop");
    c.post("reader", "/servers", "2.1", c.server("no")).await.refused(403, "os_compute_api:servers:create");
    c.get("reader", &format!("/servers/{id}"), "2.1").await.expect(200);
    c.stop().await;
}

#[tokio::test]
async fn actions_change_the_state_and_wrong_ones_are_refused() {
    let c = Cloud::one().await;
    let id = c.boot("alice", "a").await;
    let steps: &[(Value, &str)] = &[
        (json!({"os-stop": null}), "SHUTOFF"),
        (json!({"os-start": null}), "ACTIVE"),
        (json!({"pause": null}), "PAUSED"),
        (json!({"unpause": null}), "ACTIVE"),
        (json!({"suspend": null}), "SUSPENDED"),
        (json!({"resume": null}), "ACTIVE"),
        (json!({"reboot": {"type": "SOFT"}}), "ACTIVE"),
        (json!({"reboot": {"type": "HARD"}}), "ACTIVE"),
    ];
    for (body, status) in steps {
        c.act("alice", &id, "2.1", body.clone()).await.expect(202);
        c.settled().await;
        assert_eq!(c.status("alice", &id).await, *status, "{body}");
    }
    c.act("alice", &id, "2.1", json!({"os-start": null})).await.refused(409, "while it is in vm_state active");
    c.act("alice", &id, "2.1", json!({"reboot": {"type": "X"}})).await.refused(400, "type");
    c.act("alice", &id, "2.1", json!({"nonsense": null})).await.refused(400, "There is no such action");
    c.act("alice", &id, "2.1", json!({"pause": null, "os-stop": null})).await.refused(400, "too many body keys");
    c.act("alice", &id, "2.1", json!({"rescue": null})).await.refused(501, "rescue");
    c.act("alice", &id, "2.1", json!({"resetNetwork": null})).await.refused(410, "no longer available");
    c.act("alice", &id, "2.44", json!({"addFixedIp": {}})).await.refused(404, "not supported");
    c.act("alice", &id, "2.1", json!({"os-resetState": {"state": "error"}})).await.refused(403, "reset_state");
    c.act("admin", &id, "2.1", json!({"os-resetState": {"state": "error"}})).await.expect(202);
    assert_eq!(c.status("alice", &id).await, "ERROR");
    c.act("admin", &id, "2.1", json!({"os-resetState": {"state": "active"}})).await.expect(202);
    c.stop().await;
}

#[tokio::test]
async fn a_lock_holds_for_its_owner_and_not_for_administrators() {
    let c = Cloud::one().await;
    let id = c.boot("alice", "a").await;
    c.act("alice", &id, "2.73", json!({"lock": {"locked_reason": "mine"}})).await.expect(202);
    let s = c.get("alice", &format!("/servers/{id}"), "2.73").await.expect(200);
    assert_eq!((&s["server"]["locked"], &s["server"]["locked_reason"]), (&json!(true), &json!("mine")));
    c.act("alice", &id, "2.1", json!({"os-stop": null})).await.refused(409, "is locked");
    let put = Some(json!({"metadata": {"a": "b"}}));
    c.call("alice", Method::PUT, &format!("/servers/{id}/metadata"), "2.1", put).await.refused(409, "is locked");
    c.act("admin", &id, "2.1", json!({"os-stop": null})).await.expect(202);
    c.settled().await;
    c.act("alice", &id, "2.1", json!({"unlock": null})).await.expect(202);
    c.act("admin", &id, "2.1", json!({"lock": null})).await.expect(202);
    c.act("alice", &id, "2.1", json!({"unlock": null})).await.refused(403, "unlock_override");
    c.stop().await;
}

#[tokio::test]
async fn bad_bodies_name_the_field_and_leave_nothing() {
    let c = Cloud::one().await;
    let with = |extra: Value| {
        let mut body = c.server("a");
        for (k, v) in extra.as_object().unwrap() {
            body["server"][k] = v.clone();
        }
        body
    };
    for (body, status, text) in [
        (json!({}), 400, "'server' is a required property"),
        (with(json!({"name": ""})), 400, "name"),
        (with(json!({"name": "x".repeat(256)})), 400, "too long"),
        (with(json!({"unknown": 1})), 400, "'unknown' was unexpected"),
        (with(json!({"flavorRef": "nope"})), 400, "Flavor nope could not be found"),
        (with(json!({"imageRef": "70a599e0-31e7-49b7-b260-868f441e862b"})), 400, "Can not find requested image"),
        (with(json!({"imageRef": "x"})), 400, "imageRef"),
        (with(json!({"imageRef": ""})), 400, "Missing imageRef"),
        (with(json!({"key_name": "nope"})), 400, "Invalid key_name provided"),
        (with(json!({"user_data": "###"})), 400, "user_data"),
        (with(json!({"min_count": 3, "max_count": 2})), 400, "min_count must be <= max_count"),
        (with(json!({"availability_zone": "mars"})), 400, "availability zone is not available"),
        (with(json!({"availability_zone": "nova:h1"})), 403, "forced_host"),
        (with(json!({"networks": [{"uuid": "70a599e0-31e7-49b7-b260-868f441e862b"}]})), 400, "could not be found"),
        (with(json!({"security_groups": [{"name": "nope"}]})), 400, "nope"),
        (with(json!({"block_device_mapping_v2": [{"source_type": "volume", "uuid": "x"}]})), 501, "volume"),
        (with(json!({"metadata": {"a": 1}})), 400, "a"),
    ] {
        c.post("alice", "/servers", "2.1", body).await.refused(status, text);
    }
    let group = json!({"server": c.server("a")["server"], "os:scheduler_hints": {"group": "70a599e0-31e7-49b7-b260-868f441e862b"}});
    c.post("alice", "/servers", "2.1", group).await.refused(400, "group");
    assert_eq!(c.get("alice", "/servers", "2.1").await.expect(200)["servers"], json!([]));
    let limits = c.get("alice", "/limits", "2.1").await.expect(200);
    assert_eq!(limits["limits"]["absolute"]["totalInstancesUsed"], 0);
    let raw = axum::http::Request::builder()
        .method(Method::POST)
        .uri("/compute/v2.1/servers")
        .header("x-auth-token", "alice")
        .header("content-type", "application/json")
        .body(axum::body::Body::from("{\"server\": "))
        .unwrap();
    let answer = tower::ServiceExt::oneshot(c.router.clone(), raw).await.unwrap();
    assert_eq!(answer.status(), 400);
    c.stop().await;
}

#[tokio::test]
async fn several_servers_quota_and_pages() {
    let c = Cloud::one().await;
    let mut body = c.server("many");
    body["server"]["min_count"] = json!(2);
    body["server"]["max_count"] = json!(5);
    c.post("alice", "/servers", "2.1", body.clone()).await.expect(202);
    c.settled().await;
    body["server"]["return_reservation_id"] = json!(true);
    let r = c.post("alice", "/servers", "2.1", body.clone()).await.expect(202);
    assert!(r["reservation_id"].as_str().unwrap().starts_with("r-"));
    c.settled().await;
    c.post("alice", "/servers", "2.1", body).await.refused(403, "Quota exceeded for");
    let mut seen = Vec::new();
    let mut path = "/servers?limit=4&sort_key=display_name&sort_dir=asc".to_owned();
    loop {
        let page = c.get("alice", &path, "2.1").await.expect(200);
        seen.extend(page["servers"].as_array().unwrap().iter().map(|s| s["id"].clone()));
        let Some(next) = page["servers_links"][0]["href"].as_str() else { break };
        path = next.split("/v2.1").nth(1).unwrap().to_owned();
    }
    assert_eq!(seen.len(), 10);
    seen.sort_by_key(ToString::to_string);
    seen.dedup();
    assert_eq!(seen.len(), 10);
    c.get("alice", "/servers?marker=70a599e0-31e7-49b7-b260-868f441e862b", "2.1").await.refused(400, "marker");
    c.get("alice", "/servers?limit=-1", "2.1").await.refused(400, "limit");
    c.get("alice", "/servers?limit=x", "2.1").await.refused(400, "limit");
    c.get("alice", "/servers?sort_key=host", "2.1").await.refused(403, "host");
    assert_eq!(c.get("alice", "/servers?limit=0", "2.1").await.expect(200)["servers"], json!([]));
    let usage = c.get("admin", &format!("/os-simple-tenant-usage/{}?start=2020-01-01", c.project), "2.40").await.expect(200);
    assert_eq!(usage["tenant_usage"]["server_usages"].as_array().unwrap().len(), 10);
    c.stop().await;
}

#[tokio::test]
async fn metadata_tags_and_names_change_in_place() {
    let c = Cloud::one().await;
    let id = c.boot("alice", "a").await;
    let at = |p: &str| format!("/servers/{id}/{p}");
    let put = |p: &str, mv: &'static str, b: Value| c.call("alice", Method::PUT, at(p), mv, Some(b));
    put("metadata", "2.1", json!({"metadata": {"a": "1"}})).await.expect(200);
    let all = c.post("alice", &at("metadata"), "2.1", json!({"metadata": {"b": "2"}})).await.expect(200);
    assert_eq!(all["metadata"], json!({"a": "1", "b": "2"}));
    put("metadata/a", "2.1", json!({"meta": {"a": "3"}})).await.expect(200);
    put("metadata/a", "2.1", json!({"meta": {"b": "3"}})).await.refused(400, "mismatch");
    assert_eq!(c.get("alice", &at("metadata/a"), "2.1").await.expect(200), json!({"meta": {"a": "3"}}));
    c.call("alice", Method::DELETE, &at("metadata/a"), "2.1", None).await.expect(204);
    c.get("alice", &at("metadata/a"), "2.1").await.refused(404, "Metadata item was not found");
    let many: serde_json::Map<String, Value> = (0..129).map(|i| (format!("k{i}"), json!("v"))).collect();
    put("metadata", "2.1", json!({"metadata": many})).await.refused(403, "128");
    put("tags", "2.25", json!({"tags": []})).await.refused(404, "not supported");
    put("tags", "2.26", json!({"tags": ["b", "a"]})).await.expect(200);
    assert_eq!(c.call("alice", Method::PUT, &at("tags/c"), "2.26", None).await.status, 201);
    assert_eq!(c.call("alice", Method::PUT, &at("tags/c"), "2.26", None).await.status, 204);
    assert_eq!(c.get("alice", &at("tags"), "2.26").await.expect(200)["tags"], json!(["a", "b", "c"]));
    assert_eq!(c.get("alice", &at("tags/x"), "2.26").await.status, 404);
    c.call("alice", Method::DELETE, &at("tags"), "2.26", None).await.expect(204);
    let renamed = c.call("alice", Method::PUT, format!("/servers/{id}"), "2.19", Some(json!({"server": {"name": "b", "description": null}})));
    let s = renamed.await.expect(200);
    assert_eq!((&s["server"]["name"], &s["server"]["description"]), (&json!("b"), &Value::Null));
    c.stop().await;
}

#[tokio::test]
async fn snapshots_rebuilds_logs_and_actions() {
    let c = Cloud::one().await;
    let id = c.boot("alice", "a").await;
    let snap = json!({"createImage": {"name": "snap", "metadata": {"x": "y"}}});
    let image = c.act("alice", &id, "2.45", snap.clone()).await.expect(202)["image_id"].as_str().unwrap().to_owned();
    c.settled().await;
    let shown = c.send("alice", Method::GET, &format!("/image/v2/images/{image}"), &[], None).await.expect(200);
    assert_eq!((&shown["status"], &shown["x"]), (&json!("active"), &json!("y")));
    let old = c.act("alice", &id, "2.1", snap).await;
    assert!(old.headers["location"].to_str().unwrap().contains("/images/"));
    c.settled().await;
    let body = json!({"rebuild": {"imageRef": image, "name": "again", "metadata": {"m": "n"}}});
    let rebuilt = c.act("alice", &id, "2.75", body).await.expect(202);
    assert_eq!(rebuilt["server"]["name"], "again");
    assert!(rebuilt["server"]["adminPass"].is_string());
    c.settled().await;
    assert_eq!(c.status("alice", &id).await, "ACTIVE");
    let missing = json!({"rebuild": {"imageRef": "70a599e0-31e7-49b7-b260-868f441e862b"}});
    c.act("alice", &id, "2.1", missing).await.refused(400, "Cannot find image for rebuild");
    let log = c.act("alice", &id, "2.1", json!({"os-getConsoleOutput": {"length": 3}})).await.expect(200);
    assert!(log["output"].is_string());
    let list = c.get("alice", &format!("/servers/{id}/os-instance-actions"), "2.58").await.expect(200);
    let words: Vec<&str> = list["instanceActions"].as_array().unwrap().iter().map(|a| a["action"].as_str().unwrap()).collect();
    assert_eq!(words, ["rebuild", "createImage", "createImage", "create"]);
    let request = list["instanceActions"][3]["request_id"].as_str().unwrap();
    let one = |token: &'static str, mv: &'static str| c.get(token, format!("/servers/{id}/os-instance-actions/{request}"), mv);
    assert!(one("alice", "2.50").await.expect(200)["instanceAction"].get("events").is_none());
    let events = one("alice", "2.62").await.expect(200);
    assert!(events["instanceAction"]["events"][0].get("host").is_none());
    assert_eq!(one("admin", "2.84").await.expect(200)["instanceAction"]["events"][0]["result"], "Success");
    c.get("alice", &format!("/servers/{id}/os-instance-actions/req-x"), "2.1").await.refused(404, "not found");
    let d = c.get("admin", &format!("/servers/{id}/diagnostics"), "2.48").await.expect(200);
    assert_eq!(d["num_cpus"], 1);
    c.get("alice", &format!("/servers/{id}/diagnostics"), "2.48").await.refused(403, "os-server-diagnostics");
    let ports = c.get("alice", &format!("/servers/{id}/os-interface"), "2.70").await.expect(200);
    assert_eq!(ports["interfaceAttachments"].as_array().unwrap().len(), 1);
    let groups = c.get("alice", &format!("/servers/{id}/os-security-groups"), "2.1").await.expect(200);
    assert_eq!(groups["security_groups"][0]["name"], "default");
    c.call("alice", Method::DELETE, &format!("/servers/{id}"), "2.1", None).await.expect(204);
    c.settled().await;
    c.get("alice", &format!("/servers/{id}/os-instance-actions"), "2.20").await.refused(404, "could not be found");
    c.get("alice", &format!("/servers/{id}/os-instance-actions"), "2.21").await.expect(200);
    c.stop().await;
}

#[tokio::test]
async fn a_build_without_a_host_is_an_error_with_reasons() {
    let c = Cloud::one().await;
    c.flavor("big", 999_999_999, 1).await;
    let mut body = c.server("big");
    body["server"]["flavorRef"] = json!("big");
    let admin = Some(json!({"quota_set": {"ram": -1}}));
    c.call("admin", Method::PUT, &format!("/os-quota-sets/{}", c.project), "2.1", admin).await.expect(200);
    let made = c.post("alice", "/servers", "2.1", body).await.expect(202);
    let id = made["server"]["id"].as_str().unwrap();
    let s = c.get("alice", &format!("/servers/{id}"), "2.1").await.expect(200);
    assert_eq!(s["server"]["status"], "ERROR");
    assert!(s["server"]["fault"]["message"].as_str().unwrap().starts_with("No valid host was found"));
    c.stop().await;
}
