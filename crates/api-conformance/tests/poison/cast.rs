//! A furnished cloud: witnesses on one host, who must not notice anything, and after them one of everything, which is
//! damaged. What is made last in a table is what is damaged, so the order here matters.

use api_conformance::{Client, Host, Shape, Template, TestCluster, World};
use driver_fake::{Operation, Options};
use serde_json::{Value, json};

/// The witnesses' world, and what they must see.
pub struct Cast {
    pub project: String,
    pub server: String,
    pub image: String,
    pub member_sees: Vec<(String, Vec<String>)>,
    pub admin_sees: Vec<(String, Vec<String>)>,
}

/// Two hosts whose guests outlive their process in files.
pub fn shape() -> Shape {
    let options = || Options { persist: true, ..Options::default() };
    let hosts = vec![Host::new("h1", options()), Host::new("h2", options())];
    Shape { hosts, keep: true, in_memory: true, ..Shape::default() }
}

/// The same in a later life: other dice.
pub fn later() -> Shape {
    Shape { seed: 2, ..shape() }
}

/// A server of the witnesses.
pub fn body(cast: &Cast, name: &str) -> Value {
    json!({"server": {"name": name, "flavorRef": "1", "imageRef": cast.image, "networks": "none"}})
}

fn text(v: &Value) -> String {
    v.as_str().unwrap().to_owned()
}

async fn make(who: &Client, path: &str, body: Value, status: u16) -> Value {
    who.post(path, body).await.expect(status)
}

/// Makes it all and takes a copy between two lives.
pub fn furnish() -> (Template, Cast) {
    let mut shape = shape();
    // The last action of the last life takes long, and the process dies in the middle of it.
    let slow = Options { latency_ms: [(Operation::Reboot, 60_000)].into(), ..shape.hosts[1].options.clone() };
    shape.hosts[1].options = slow;
    let world = World::new(shape);
    let cast = world.life(|cluster| async move {
        let cast = witnesses(&cluster).await;
        victims(&cluster).await;
        cluster.die();
        cast
    });
    // What only a host with networks of its own says, and what only controllers that share a database keep there.
    let store = world.kept().unwrap();
    for sql in [
        "INSERT INTO host_vteps (host, vtep) VALUES ('h2', '192.0.2.2')",
        "INSERT INTO secrets (name, value, created_at) VALUES ('victim', x'00112233', 1)",
    ] {
        store::testing::damage(&store, sql).unwrap();
    }
    (world.template(), cast)
}

async fn witnesses(cluster: &TestCluster) -> Cast {
    let admin = cluster.admin();
    cluster.machine("h2").set_reachable(false);
    cluster.until("h2 is down", async || cluster.conductor().host("h2").is_some_and(|h| !h.up)).await;
    let member = cluster.member("witness", "witnesses").await;
    let image = cluster.image().await;
    let server = cluster.boot(&member, "witness").await;
    let key = json!({"keypair": {"name": "witness-key", "type": "ssh", "public_key": KEY}});
    make(&member, "/compute/v2.1/os-keypairs", key, 201).await;
    let network = text(&make(&member, "/network/v2.0/networks", json!({"network": {"name": "witness-net"}}), 201).await["network"]["id"]);
    let subnet = json!({"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.78.0.0/24"}});
    let subnet = text(&make(&member, "/network/v2.0/subnets", subnet, 201).await["subnet"]["id"]);
    let group = json!({"security_group": {"name": "witness-group"}});
    let group = text(&make(&member, "/network/v2.0/security-groups", group, 201).await["security_group"]["id"]);
    let rule = json!({"security_group_rule": {"security_group_id": group, "direction": "ingress"}});
    let rule = text(&make(&member, "/network/v2.0/security-group-rules", rule, 201).await["security_group_rule"]["id"]);
    let aggregate = json!({"aggregate": {"name": "witness-aggregate"}});
    make(&admin, "/compute/v2.1/os-aggregates", aggregate, 200).await;
    let one = |s: &str| vec![s.to_owned()];
    let of = |list: &[(&str, Vec<String>)]| list.iter().map(|(p, ids)| ((*p).to_owned(), ids.clone())).collect();
    let member_sees = of(&[
        ("/compute/v2.1/servers/detail", one(&server)),
        (&format!("/compute/v2.1/servers/{server}/os-instance-actions"), one("create")),
        ("/compute/v2.1/flavors/detail", one("m1.tiny")),
        ("/compute/v2.1/os-keypairs", one("witness-key")),
        ("/compute/v2.1/os-availability-zone", one("nova")),
        ("/compute/v2.1/limits", one("totalInstancesUsed")),
        ("/image/v2/images", one(&image)),
        ("/network/v2.0/networks", one(&network)),
        ("/network/v2.0/subnets", one(&subnet)),
        ("/network/v2.0/ports", one(&server)),
        ("/network/v2.0/security-groups", one(&group)),
        ("/network/v2.0/security-group-rules", one(&rule)),
    ]);
    let provider = admin.get("/placement/resource_providers?name=h1").await.expect(200);
    let provider = text(&provider["resource_providers"][0]["uuid"]);
    let admin_sees = of(&[
        ("/compute/v2.1/servers/detail?all_tenants=1", one(&server)),
        ("/compute/v2.1/os-hypervisors/detail", one("h1")),
        ("/compute/v2.1/os-services", one("h1")),
        ("/compute/v2.1/os-aggregates", one("witness-aggregate")),
        ("/identity/v3/users", one("witness")),
        ("/identity/v3/projects", one("witnesses")),
        ("/identity/v3/roles", one("member")),
        ("/identity/v3/groups", Vec::new()),
        ("/identity/v3/domains", one("default")),
        ("/identity/v3/services", one("compute")),
        ("/identity/v3/endpoints", one("/compute")),
        ("/identity/v3/regions", one("RegionOne")),
        ("/identity/v3/role_assignments", one(&member.user_id)),
        ("/placement/resource_providers", one(&provider)),
        (&format!("/placement/resource_providers/{provider}/inventories"), one("VCPU")),
        ("/placement/traits", Vec::new()),
        ("/placement/resource_classes", one("VCPU")),
    ]);
    cluster.machine("h2").set_reachable(true);
    cluster.until("h2 is up", async || cluster.conductor().host("h2").is_some_and(|h| h.up)).await;
    Cast { project: member.project_id.clone(), server, image, member_sees, admin_sees }
}

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7vP0Oyh2eGyvQrYyJ2hXm8LzVY8Mpjvq9v9qNQq5oP poison";

/// One of everything, all of it the victim's.
async fn victims(cluster: &TestCluster) {
    let admin = cluster.admin();
    identity(cluster).await;
    let who = cluster.member("victim", "victims").await;
    let path = format!("/identity/v3/users/{}/application_credentials", who.user_id);
    make(&who, &path, json!({"application_credential": {"name": "victim", "expires_at": "2030-01-01T00:00:00"}}), 201).await;
    let flavor = json!({"flavor": {"name": "victim", "id": "victim", "ram": 64, "vcpus": 1, "disk": 1,
        "os-flavor-access:is_public": false, "description": "victim"}});
    make(&admin, "/compute/v2.1/flavors", flavor, 200).await;
    let access = json!({"addTenantAccess": {"tenant": who.project_id}});
    make(&admin, "/compute/v2.1/flavors/victim/action", access, 200).await;
    make(&admin, "/compute/v2.1/flavors/victim/os-extra_specs", json!({"extra_specs": {"victim:spec": "v"}}), 200).await;
    let extra = json!({"victim": "v", "tags": ["victim"], "visibility": "shared"});
    let (gone, answer) = who.upload("gone", "raw", vec![1; 512], json!({})).await;
    answer.expect(204);
    let (image, answer) = who.upload("victim", "raw", vec![1; 512], extra).await;
    answer.expect(204);
    make(&who, &format!("/image/v2/images/{image}/members"), json!({"member": admin.project_id}), 200).await;
    who.delete(&format!("/image/v2/images/{gone}")).await.expect(204);
    let key = json!({"keypair": {"name": "victim-key", "type": "ssh", "public_key": KEY}});
    make(&who, "/compute/v2.1/os-keypairs", key, 201).await;
    let network = text(&make(&who, "/network/v2.0/networks", json!({"network": {"name": "victim"}}), 201).await["network"]["id"]);
    let subnet = json!({"subnet": {"network_id": network, "ip_version": 4, "cidr": "10.79.0.0/24",
        "dns_nameservers": ["10.79.0.9"], "host_routes": [{"destination": "10.80.0.0/24", "nexthop": "10.79.0.1"}]}});
    make(&who, "/network/v2.0/subnets", subnet, 201).await;
    let group = json!({"security_group": {"name": "victim"}});
    let group = text(&make(&who, "/network/v2.0/security-groups", group, 201).await["security_group"]["id"]);
    let rule = json!({"security_group_rule": {"security_group_id": group, "direction": "ingress", "protocol": "tcp",
        "port_range_min": 22, "port_range_max": 22, "remote_group_id": group}});
    make(&who, "/network/v2.0/security-group-rules", rule, 201).await;
    placement(&admin).await;
    servers(cluster, &who, &image, &network, &group).await;
}

async fn identity(cluster: &TestCluster) {
    let admin = cluster.admin();
    let domain = json!({"domain": {"name": "victim"}});
    make(&admin, "/identity/v3/domains", domain, 201).await;
    let roles: Vec<String> = {
        let mut out = Vec::new();
        for name in ["victim-prior", "victim-implied"] {
            out.push(text(&make(&admin, "/identity/v3/roles", json!({"role": {"name": name}}), 201).await["role"]["id"]));
        }
        out
    };
    admin.put(&format!("/identity/v3/roles/{}/implies/{}", roles[0], roles[1]), Value::Null).await.expect(201);
    let who = cluster.member("victim", "victims").await;
    let group = json!({"group": {"name": "victim", "domain_id": "default"}});
    let group = text(&make(&admin, "/identity/v3/groups", group, 201).await["group"]["id"]);
    admin.put(&format!("/identity/v3/groups/{group}/users/{}", who.user_id), Value::Null).await.expect(204);
    make(&admin, "/identity/v3/regions", json!({"region": {"id": "victim"}}), 201).await;
    let service = json!({"service": {"name": "victim", "type": "victim"}});
    let service = text(&make(&admin, "/identity/v3/services", service, 201).await["service"]["id"]);
    let endpoint = json!({"endpoint": {"service_id": service, "interface": "public", "url": "http://victim", "region_id": "victim"}});
    make(&admin, "/identity/v3/endpoints", endpoint, 201).await;
    let path = "/identity/v3/auth/tokens";
    let revoked = admin.raw(axum::http::Method::DELETE, path, None, Vec::new(), &[("x-subject-token", &who.token)]).await;
    revoked.expect(204);
}

async fn placement(admin: &Client) {
    admin.put("/placement/traits/CUSTOM_VICTIM", Value::Null).await.expect(201);
    admin.put("/placement/resource_classes/CUSTOM_VICTIM", Value::Null).await.expect(201);
    let provider = admin.get("/placement/resource_providers?name=h2").await.expect(200);
    let provider = text(&provider["resource_providers"][0]["uuid"]);
    let generation = provider_generation(admin, &provider).await;
    let body = json!({"resource_provider_generation": generation, "aggregates": ["7b1d0b1e-5d5c-4e8e-9d1c-0f3a8a6c1d11"]});
    admin.put(&format!("/placement/resource_providers/{provider}/aggregates"), body).await.expect(200);
    let made = make(admin, "/compute/v2.1/os-aggregates", json!({"aggregate": {"name": "victim"}}), 200).await;
    let path = format!("/compute/v2.1/os-aggregates/{}/action", made["aggregate"]["id"]);
    make(admin, &path, json!({"add_host": {"host": "h2"}}), 200).await;
    make(admin, &path, json!({"set_metadata": {"metadata": {"victim": "v"}}}), 200).await;
}

async fn provider_generation(admin: &Client, provider: &str) -> Value {
    admin.get(&format!("/placement/resource_providers/{provider}")).await.expect(200)["generation"].clone()
}

/// One that is settled on h2, and one in the middle of a reboot there when the process dies.
async fn servers(cluster: &TestCluster, who: &Client, image: &str, network: &str, group: &str) {
    cluster.machine("h1").set_reachable(false);
    cluster.until("h1 is down", async || cluster.conductor().host("h1").is_some_and(|h| !h.up)).await;
    let policy = json!({"server_group": {"name": "victim", "policy": "soft-anti-affinity"}});
    let made = who.post("/compute/v2.1/os-server-groups", policy).await;
    let body = |name: &str| {
        json!({"server": {"name": name, "flavorRef": "victim", "imageRef": image, "key_name": "victim-key",
            "networks": [{"uuid": network}], "security_groups": [{"name": "victim"}], "metadata": {"victim": "v"},
            "tags": ["victim"], "description": "victim", "user_data": "dmljdGlt"},
            "os:scheduler_hints": made.json["server_group"]["id"].as_str().map_or(json!({}), |id| json!({"group": id}))})
    };
    let mut last = String::new();
    for name in ["settled", "moving"] {
        last = text(&make(who, "/compute/v2.1/servers", body(name), 202).await["server"]["id"]);
        cluster.idle().await;
        assert_eq!(who.status(&last).await, "ACTIVE", "{}", who.server(&last).await);
    }
    let _ = group;
    cluster.machine("h1").set_reachable(true);
    cluster.until("h1 is up", async || cluster.conductor().host("h1").is_some_and(|h| h.up)).await;
    let answer = who.act(&last, json!({"reboot": {"type": "HARD"}})).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
}
