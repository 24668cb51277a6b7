//! Versions, flavors, keypairs, quotas, hosts: everything besides servers.
#![allow(clippy::unwrap_used)]

mod cloud;

use axum::http::Method;
use cloud::{Cloud, OTHER};
use serde_json::{Value, json};

#[tokio::test]
async fn versions_are_negotiated() {
    let c = Cloud::one().await;
    let list = c.send("", Method::GET, "/compute/", &[], None).await.expect(200);
    assert_eq!(list["versions"][1]["version"], "2.104");
    assert_eq!(list["versions"][1]["links"][0]["href"], "http://cloud:8774/compute/v2.1/");
    let one = c.send("", Method::GET, "/compute/v2.1/", &[], None).await.expect(200);
    assert_eq!((&one["version"]["id"], &one["version"]["min_version"]), (&json!("v2.1"), &json!("2.1")));
    c.send("", Method::GET, "/compute/v9/x", &[], None).await.expect(300);
    let answer = c.get("alice", "/flavors", "latest").await;
    assert_eq!(answer.headers["openstack-api-version"], "compute 2.104");
    assert_eq!(answer.headers["x-openstack-nova-api-version"], "2.104");
    assert!(answer.headers.get_all("vary").iter().any(|v| v == "OpenStack-API-Version"));
    assert!(answer.headers["x-compute-request-id"].to_str().unwrap().starts_with("req-"));
    c.get("alice", "/flavors", "2.105").await.refused(406, "Version 2.105 is not supported by the API. Minimum is 2.1 and maximum is 2.104.");
    c.get("alice", "/flavors", "x").await.refused(400, "is of invalid format");
    c.send("", Method::GET, "/compute/v2.1/flavors", &[], None).await.refused(401, "token");
    c.send("forged", Method::GET, "/compute/v2.1/flavors", &[], None).await.refused(401, "not valid");
    c.send("alice", Method::GET, &format!("/compute/v2.1/{}/flavors", c.project), &[], None).await.expect(200);
    c.send("alice", Method::GET, &format!("/compute/v2.1/{OTHER}/flavors"), &[], None).await.refused(400, "doesn't match Context's project_id");
    c.get("alice", "/nothing", "2.1").await.refused(404, "could not be found");
    c.call("alice", Method::PATCH, "/flavors", "2.1", None).await.refused(405, "not allowed");
    c.stop().await;
}

#[tokio::test]
async fn what_is_not_built_says_so_and_what_is_gone_too() {
    let c = Cloud::one().await;
    c.get("alice", "/os-volumes", "2.1").await.refused(501, "GET /os-volumes");
    c.get("alice", "/os-volumes", "2.36").await.refused(404, "not supported");
    c.get("alice", "/os-cells", "2.1").await.refused(410, "no longer available");
    c.get("alice", "/servers/x/topology", "2.77").await.refused(404, "not supported");
    c.get("alice", "/servers/x/topology", "2.78").await.refused(501, "topology");
    c.get("alice", "/os-hosts", "2.1").await.refused(403, "os-hosts");
    c.stop().await;
}

#[tokio::test]
async fn flavors_their_specs_and_their_access() {
    let c = Cloud::one().await;
    let make = |v: Value| c.post("admin", "/flavors", "2.55", json!({"flavor": v}));
    let private = json!({"name": "p", "id": "p", "ram": 64, "vcpus": 2, "disk": 3, "os-flavor-access:is_public": false, "description": "d"});
    let f = make(private.clone()).await.expect(200);
    assert_eq!((&f["flavor"]["swap"], &f["flavor"]["description"]), (&json!(""), &json!("d")));
    make(private).await.refused(409, "Flavor with ID p already exists.");
    make(json!({"name": "p", "id": "q", "ram": 64, "vcpus": 2, "disk": 3})).await.refused(409, "Flavor with name p already exists.");
    make(json!({"name": "x", "ram": 0, "vcpus": 2, "disk": 3})).await.refused(400, "ram");
    c.post("alice", "/flavors", "2.1", json!({"flavor": {}})).await.refused(403, "os-flavor-manage:create");
    c.get("alice", "/flavors/p", "2.1").await.refused(404, "Flavor p could not be found.");
    let grant = json!({"addTenantAccess": {"tenant": c.project}});
    c.post("admin", "/flavors/p/action", "2.7", grant.clone()).await.expect(200);
    c.post("admin", "/flavors/p/action", "2.7", grant.clone()).await.refused(409, "already exists");
    c.post("admin", "/flavors/1/action", "2.7", grant).await.refused(409, "public flavor");
    c.post("admin", "/flavors/p/action", "2.7", json!({"addTenantAccess": {"tenant": "none"}})).await.refused(400, "not a valid project");
    c.get("alice", "/flavors/p", "2.1").await.expect(200);
    let list = c.get("alice", "/flavors/detail?sort_key=memory_mb&minRam=1", "2.61").await.expect(200);
    assert_eq!(list["flavors"][0]["id"], "p");
    assert_eq!(c.get("alice", "/flavors?minRam=100", "2.1").await.expect(200)["flavors"].as_array().unwrap().len(), 1);
    c.get("alice", "/flavors?minRam=x", "2.1").await.refused(400, "Invalid minRam filter [x]");
    c.get("alice", "/flavors?bad=1", "2.75").await.refused(400, "'bad' was unexpected");
    c.post("admin", "/flavors/p/os-extra_specs", "2.1", json!({"extra_specs": {"hw:x": "1"}})).await.expect(200);
    assert_eq!(c.get("alice", "/flavors/p/os-extra_specs", "2.1").await.expect(200)["extra_specs"], json!({"hw:x": "1"}));
    c.call("admin", Method::PUT, "/flavors/p/os-extra_specs/hw:x", "2.1", Some(json!({"hw:y": "2"}))).await.refused(400, "mismatch");
    c.call("admin", Method::DELETE, "/flavors/p/os-extra_specs/hw:x", "2.1", None).await.expect(200);
    c.call("admin", Method::DELETE, "/flavors/p/os-extra_specs/hw:x", "2.1", None).await.refused(404, "no extra specs with key hw:x");
    c.call("admin", Method::PUT, "/flavors/p", "2.54", Some(json!({"flavor": {"description": "n"}}))).await.refused(404, "not supported");
    c.call("admin", Method::PUT, "/flavors/p", "2.55", Some(json!({"flavor": {"description": "n"}}))).await.expect(200);
    let f = c.get("alice", "/flavors/p", "2.102").await.expect(200);
    assert!(f["flavor"].get("rxtx_factor").is_none() && f["flavor"]["swap"] == 0);
    c.call("admin", Method::DELETE, "/flavors/p", "2.1", None).await.expect(202);
    c.call("admin", Method::DELETE, "/flavors/p", "2.1", None).await.refused(404, "Flavor p");
    c.stop().await;
}

#[tokio::test]
async fn keypairs_belong_to_users() {
    let c = Cloud::one().await;
    let made = c.post("alice", "/os-keypairs", "2.1", json!({"keypair": {"name": "k"}})).await.expect(200);
    assert!(made["keypair"]["private_key"].as_str().unwrap().contains("OPENSSH PRIVATE KEY"));
    let public = made["keypair"]["public_key"].clone();
    c.post("alice", "/os-keypairs", "2.2", json!({"keypair": {"name": "k"}})).await.refused(409, "Key pair 'k' already exists.");
    let import = json!({"keypair": {"name": "i", "public_key": public}});
    let imported = c.post("alice", "/os-keypairs", "2.92", import.clone()).await.expect(201);
    assert_eq!(imported["keypair"]["fingerprint"], made["keypair"]["fingerprint"]);
    assert!(imported["keypair"].get("private_key").is_none());
    c.post("alice", "/os-keypairs", "2.1", json!({"keypair": {"name": "b", "public_key": "ssh-rsa junk"}})).await.refused(400, "Keypair data is invalid");
    c.post("alice", "/os-keypairs", "2.92", json!({"keypair": {"name": "b"}})).await.refused(400, "public_key");
    assert_eq!(c.get("alice", "/os-keypairs", "2.2").await.expect(200)["keypairs"].as_array().unwrap().len(), 2);
    assert_eq!(c.get("bob", "/os-keypairs", "2.2").await.expect(200)["keypairs"], json!([]));
    c.get("bob", "/os-keypairs/k", "2.1").await.refused(404, "Keypair k not found for user bob");
    c.get("bob", "/os-keypairs?user_id=alice", "2.10").await.refused(403, "os-keypairs:index");
    assert_eq!(c.get("admin", "/os-keypairs?user_id=alice", "2.10").await.expect(200)["keypairs"].as_array().unwrap().len(), 2);
    let one = c.get("alice", "/os-keypairs/k", "2.2").await.expect(200);
    assert_eq!((&one["keypair"]["type"], &one["keypair"]["deleted"]), (&json!("ssh"), &json!(false)));
    let page = c.get("alice", "/os-keypairs?limit=1", "2.35").await.expect(200);
    assert_eq!(page["keypairs_links"][0]["rel"], "next");
    c.get("alice", "/os-keypairs?marker=none", "2.35").await.refused(400, "none");
    c.call("alice", Method::DELETE, "/os-keypairs/k", "2.1", None).await.expect(202);
    c.call("alice", Method::DELETE, "/os-keypairs/i", "2.2", None).await.expect(204);
    c.call("alice", Method::DELETE, "/os-keypairs/i", "2.2", None).await.refused(404, "Keypair i");
    let mut body = c.server("with-key");
    c.post("alice", "/os-keypairs", "2.92", import).await.expect(201);
    body["server"]["key_name"] = json!("i");
    c.post("alice", "/servers", "2.1", body).await.expect(202);
    c.settled().await;
    c.stop().await;
}

#[tokio::test]
async fn quotas_limits_and_classes() {
    let c = Cloud::one().await;
    let path = format!("/os-quota-sets/{}", c.project);
    let q = c.get("alice", &path, "2.57").await.expect(200);
    assert_eq!((&q["quota_set"]["cores"], &q["quota_set"]["id"]), (&json!(20), &json!(c.project)));
    c.get("bob", &path, "2.57").await.refused(403, "os-quota-sets:show");
    c.get("admin", "/os-quota-sets/nobody", "2.57").await.refused(400, "nobody is not a valid project");
    c.boot("alice", "a").await;
    let put = |token: &'static str, v: Value| c.call(token, Method::PUT, &path, "2.57", Some(json!({"quota_set": v})));
    put("alice", json!({"cores": 1})).await.refused(403, "os-quota-sets:update");
    put("admin", json!({"instances": 0})).await.refused(400, "greater than or equal to already used and reserved 1");
    put("admin", json!({"instances": 0, "force": true})).await.expect(200);
    c.post("alice", "/servers", "2.1", c.server("b")).await.refused(403, "instances");
    let d = c.get("alice", &format!("{path}/detail"), "2.57").await.expect(200);
    assert_eq!(d["quota_set"]["instances"], json!({"limit": 0, "in_use": 1, "reserved": 0}));
    c.call("admin", Method::DELETE, &path, "2.57", None).await.expect(202);
    let l = c.get("alice", "/limits", "2.1").await.expect(200)["limits"]["absolute"].clone();
    assert_eq!((&l["maxTotalInstances"], &l["totalRAMUsed"], &l["maxSecurityGroups"]), (&json!(10), &json!(512), &json!(-1)));
    assert!(c.get("alice", "/limits", "2.57").await.expect(200)["limits"]["absolute"].get("maxPersonality").is_none());
    c.get("alice", "/limits?tenant_id=x", "2.1").await.refused(403, "other_project");
    let class = c.get("admin", "/os-quota-class-sets/default", "2.50").await.expect(200);
    assert_eq!(class["quota_class_set"]["server_groups"], 10);
    c.call("admin", Method::PUT, "/os-quota-class-sets/default", "2.50", Some(json!({}))).await.refused(501, "os-quota-class-sets");
    c.stop().await;
}

#[tokio::test]
async fn hosts_services_zones_and_aggregates() {
    let c = Cloud::start(&[("h1", driver_fake::Options::default()), ("h2", driver_fake::Options::default())]).await;
    c.get("alice", "/os-services", "2.1").await.refused(403, "os-services");
    let s = c.get("admin", "/os-services?host=h1", "2.53").await.expect(200);
    let service = &s["services"][0];
    assert_eq!((&service["state"], &service["zone"], &service["binary"]), (&json!("up"), &json!("nova"), &json!("nova-compute")));
    let id = service["id"].as_str().unwrap().to_owned();
    let put = |body: Value| c.call("admin", Method::PUT, format!("/os-services/{id}"), "2.53", Some(body));
    put(json!({"status": "disabled", "disabled_reason": "care"})).await.expect(200);
    put(json!({})).await.refused(400, "No updates were requested");
    put(json!({"disabled_reason": "x"})).await.refused(400, "requires that status is 'disabled'");
    let h = c.get("admin", "/os-hypervisors/detail", "2.87").await.expect(200);
    let rows = h["hypervisors"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    let h1 = rows.iter().find(|r| r["hypervisor_hostname"] == "h1").unwrap();
    assert_eq!((&h1["status"], &h1["vcpus"], &h1["service"]["disabled_reason"]), (&json!("disabled"), &json!(64), &json!("care")));
    let server = c.boot("alice", "a").await;
    let shown = c.get("admin", &format!("/servers/{server}"), "2.1").await.expect(200);
    assert_eq!(shown["server"]["OS-EXT-SRV-ATTR:host"], "h2", "h1 takes no new servers");
    let stats = c.get("admin", "/os-hypervisors/statistics", "2.1").await.expect(200);
    assert_eq!((&stats["hypervisor_statistics"]["count"], &stats["hypervisor_statistics"]["running_vms"]), (&json!(2), &json!(1)));
    c.get("admin", "/os-hypervisors/statistics", "2.88").await.refused(404, "not supported");
    let with = c.get("admin", "/os-hypervisors?hypervisor_hostname_pattern=h2&with_servers=true", "2.53").await.expect(200);
    assert_eq!(with["hypervisors"][0]["servers"][0]["uuid"], server);
    c.get("admin", "/os-hypervisors?hypervisor_hostname_pattern=zz", "2.53").await.refused(404, "No hypervisor matching 'zz'");
    c.get("admin", "/os-hypervisors/x", "2.53").await.refused(400, "Invalid uuid x");
    let old = c.get("admin", "/os-hypervisors", "2.1").await.expect(200);
    let number = old["hypervisors"][0]["id"].as_i64().unwrap();
    c.get("admin", &format!("/os-hypervisors/{number}"), "2.1").await.expect(200);
    c.call("admin", Method::PUT, "/os-services/enable", "2.1", Some(json!({"host": "h1", "binary": "nova-compute"}))).await.expect(200);
    c.call("admin", Method::PUT, "/os-services/enable", "2.1", Some(json!({"host": "h9", "binary": "nova-compute"}))).await.refused(404, "h9");
    aggregates(&c).await;
    c.stop().await;
}

async fn aggregates(c: &Cloud) {
    let a = c.post("admin", "/os-aggregates", "2.41", json!({"aggregate": {"name": "racks", "availability_zone": "east"}})).await.expect(200);
    let id = a["aggregate"]["id"].as_i64().unwrap();
    assert!(a["aggregate"].get("hosts").is_none());
    let path = format!("/os-aggregates/{id}");
    c.post("admin", "/os-aggregates", "2.1", json!({"aggregate": {"name": "racks"}})).await.refused(409, "Aggregate racks already exists.");
    let act = |body: Value| c.post("admin", "/os-aggregates/1/action", "2.1", body);
    assert_eq!(id, 1);
    act(json!({"add_host": {"host": "h1"}})).await.expect(200);
    act(json!({"add_host": {"host": "h1"}})).await.refused(409, "already has host h1");
    act(json!({"add_host": {"host": "nope"}})).await.refused(404, "Compute host nope could not be found.");
    let zones = c.get("alice", "/os-availability-zone", "2.1").await.expect(200);
    assert_eq!(zones["availabilityZoneInfo"].as_array().unwrap().len(), 2);
    let mut body = c.server("east");
    body["server"]["availability_zone"] = json!("east");
    let made = c.post("alice", "/servers", "2.1", body).await.expect(202);
    c.settled().await;
    let shown = c.get("alice", &format!("/servers/{}", made["server"]["id"].as_str().unwrap()), "2.1").await.expect(200);
    assert_eq!(shown["server"]["OS-EXT-AZ:availability_zone"], "east");
    c.call("admin", Method::PUT, &path, "2.1", Some(json!({"aggregate": {"availability_zone": "west"}}))).await.refused(400, "contain instances");
    c.call("admin", Method::DELETE, &path, "2.1", None).await.refused(400, "Host aggregate is not empty");
    act(json!({"set_metadata": {"metadata": {"ssd": "true"}}})).await.expect(200);
    act(json!({"remove_host": {"host": "h1"}})).await.expect(200);
    act(json!({"remove_host": {"host": "h1"}})).await.refused(404, "Cannot remove host h1 in aggregate 1");
    c.call("admin", Method::DELETE, &path, "2.1", None).await.expect(200);
    c.get("admin", &path, "2.1").await.refused(404, "Aggregate 1 could not be found.");
    c.get("admin", "/os-aggregates/x", "2.1").await.refused(400, "integer");
}

#[tokio::test]
async fn consoles_are_addressed_with_tokens() {
    let c = Cloud::one().await;
    let id = c.boot("alice", "a").await;
    let ask = |token: &'static str, v: Value| c.post(token, format!("/servers/{id}/remote-consoles"), "2.6", json!({"remote_console": v}));
    let vnc = ask("alice", json!({"protocol": "vnc", "type": "novnc"})).await.expect(200);
    let url = vnc["remote_console"]["url"].as_str().unwrap();
    assert!(url.starts_with("http://cloud:8774/console/vnc_auto.html?path=%2Fconsole%2Fwebsockify%3Ftoken%3D"), "{url}");
    let serial = ask("alice", json!({"protocol": "serial", "type": "serial"})).await.expect(200);
    assert!(serial["remote_console"]["url"].as_str().unwrap().starts_with("ws://cloud:8774/console/serial?token="));
    ask("alice", json!({"protocol": "spice", "type": "spice-html5"})).await.refused(400, "Unavailable console type");
    ask("alice", json!({"protocol": "mks", "type": "webmks"})).await.refused(400, "protocol");
    ask("bob", json!({"protocol": "vnc", "type": "novnc"})).await.refused(404, "could not be found");
    let old = c.act("alice", &id, "2.5", json!({"os-getVNCConsole": {"type": "novnc"}})).await.expect(200);
    assert_eq!(old["console"]["type"], "novnc");
    c.act("alice", &id, "2.6", json!({"os-getVNCConsole": {"type": "novnc"}})).await.refused(404, "not supported");
    c.stop().await;
}
