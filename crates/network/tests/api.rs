//! The Networking API through its router: what clients see, what others must not, and what is refused.
#![allow(clippy::unwrap_used)]

mod common;

use common::{cloud, fault};
use serde_json::{Value, json};

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn every_route_is_there_once_and_tokens_are_needed() {
    let c = cloud();
    assert!(network::http::route_infos().len() > 80);
    let versions = c.get("", "/").await;
    assert_eq!(versions["versions"][0]["links"][0]["href"], "http://cloud:9696/network/v2.0/");
    assert_eq!(c.call("", "GET", "/v2.0/networks", Value::Null).await.0, 401);
    assert_eq!(c.call("bad", "GET", "/v2.0/networks", Value::Null).await.0, 401);
    let (status, body) = c.call("p1", "GET", "/v2.0/routers", Value::Null).await;
    assert_eq!((status.as_u16(), body["NeutronError"]["type"].as_str().unwrap()), (501, "HTTPNotImplemented"));
    let extensions = c.get("p1", "/v2.0/extensions").await;
    let aliases: Vec<&str> =
        extensions["extensions"].as_array().unwrap().iter().map(|e| e["alias"].as_str().unwrap()).collect();
    for a in ["security-group", "quotas", "provider", "port-security", "binding", "standard-attr-tag"] {
        assert!(aliases.contains(&a), "{a}");
    }
    assert!(!aliases.contains(&"router"));
    assert_eq!(c.call("p1", "GET", "/v2.0/extensions/router", Value::Null).await.0, 404);
}

#[tokio::test]
async fn a_network_lives_and_stays_its_projects() {
    let c = cloud();
    let n = c.make("p1", "network", json!({"name": "net", "admin_state_up": true})).await;
    assert_eq!((n["status"].as_str(), n["mtu"].as_i64(), n["shared"].as_bool()), (Some("ACTIVE"), Some(1450), Some(false)));
    assert_eq!(n.get("provider:network_type"), None, "only administrators see it");
    let path = format!("/v2.0/networks/{}", n["id"].as_str().unwrap());
    let seen = c.get("admin", &path).await;
    assert_eq!(seen["network"]["provider:network_type"], "vxlan");
    assert!(seen["network"]["provider:segmentation_id"].as_i64().unwrap() > 0);
    // Another project: not there, in no way.
    for (method, body) in [("GET", Value::Null), ("PUT", json!({"network": {"name": "x"}})), ("DELETE", Value::Null)] {
        let (status, body) = c.call("p2", method, &path, body).await;
        assert_eq!(fault(status, &body).0, 404, "{method}");
        assert_eq!(fault(status, &body).1, "NetworkNotFound");
    }
    assert_eq!(c.get("p2", "/v2.0/networks").await["networks"], json!([]));
    // A reader may look, not touch.
    c.get("p1:reader", &path).await;
    assert_eq!(c.call("p1:reader", "DELETE", &path, Value::Null).await.0, 403);
    let (_, changed) = c.call("p1", "PUT", &path, json!({"network": {"name": "new", "mtu": 1400}})).await;
    assert_eq!((changed["network"]["name"].as_str(), changed["network"]["revision_number"].as_i64()), (Some("new"), Some(2)));
    // Sharing makes it visible, not changeable.
    assert_eq!(c.call("p1", "PUT", &path, json!({"network": {"shared": true}})).await.0, 403);
    assert_eq!(c.call("admin", "PUT", &path, json!({"network": {"shared": true}})).await.0, 200);
    c.get("p2", &path).await;
    assert_eq!(c.call("p2", "PUT", &path, json!({"network": {"name": "mine"}})).await.0, 403);
    assert_eq!(c.call("p2", "DELETE", &path, Value::Null).await.0, 403);
    assert_eq!(c.call("p1", "DELETE", &path, Value::Null).await.0, 204);
    assert_eq!(c.call("p1", "GET", &path, Value::Null).await.0, 404);
    assert_eq!(c.call("p1", "GET", "/v2.0/networks/no-uuid", Value::Null).await.0, 404);
}

#[tokio::test]
async fn bad_networks_are_refused_by_the_name_of_the_field() {
    let c = cloud();
    let long = "x".repeat(256);
    for (who, body, status, kind, part) in [
        ("p1", json!({"nmae": "x"}), 400, "HTTPBadRequest", "Unrecognized attribute(s) 'nmae'"),
        ("p1", json!({"name": 5}), 400, "HTTPBadRequest", "Invalid input for name"),
        ("p1", json!({"name": long}), 400, "HTTPBadRequest", "exceeds maximum length of 255"),
        ("p1", json!({"admin_state_up": "maybe"}), 400, "HTTPBadRequest", "admin_state_up"),
        ("p1", json!({"mtu": 9000}), 400, "InvalidInput", "maximum is 1450"),
        ("p1", json!({"shared": true}), 403, "PolicyNotAuthorized", "create_network:shared"),
        ("p1", json!({"router:external": true}), 403, "PolicyNotAuthorized", "router:external"),
        ("p1", json!({"provider:network_type": "vxlan"}), 403, "PolicyNotAuthorized", "provider"),
        ("p1", json!({"project_id": "p2"}), 403, "PolicyNotAuthorized", "tenant_id"),
        ("p1", json!({"qos_policy_id": "7e6c0c9c-5b0f-4a6e-8a8c-1e8d4a8b1c11"}), 501, "HTTPNotImplemented", "qos_policy_id"),
        ("admin", json!({"provider:network_type": "vlan"}), 501, "HTTPNotImplemented", "vlan"),
        ("admin", json!({"provider:network_type": "flat"}), 400, "InvalidInput", "physical_network required"),
        (
            "admin",
            json!({"provider:network_type": "flat", "provider:physical_network": "nope"}),
            400,
            "InvalidInput",
            "unknown",
        ),
        (
            "admin",
            json!({"provider:network_type": "vxlan", "provider:segmentation_id": 0}),
            400,
            "InvalidInput",
            "out of range",
        ),
    ] {
        let (s, k, m) = c.refused(who, "network", body.clone()).await;
        assert_eq!((s, k.as_str()), (status, kind), "{body}: {m}");
        assert!(m.contains(part), "{body}: {m}");
    }
    assert_eq!(c.call("p1", "POST", "/v2.0/networks", json!({"net": {}})).await.0, 400);
    assert_eq!(c.call("p1", "POST", "/v2.0/networks", json!([1])).await.0, 400);
    let flat = json!({"provider:network_type": "flat", "provider:physical_network": "physnet1"});
    let made = c.make("admin", "network", flat.clone()).await;
    assert_eq!(made["mtu"], 1500);
    assert_eq!(c.refused("admin", "network", flat).await.1, "FlatNetworkInUse");
    c.make("admin", "network", json!({"provider:network_type": "vxlan", "provider:segmentation_id": 77})).await;
    let twice = json!({"provider:network_type": "vxlan", "provider:segmentation_id": 77});
    assert_eq!(c.refused("admin", "network", twice).await.1, "TunnelIdInUse");
    assert_eq!(c.get("admin", "/v2.0/networks").await["networks"].as_array().unwrap().len(), 2, "nothing half-done");
}

#[tokio::test]
async fn lists_filter_sort_and_page() {
    let c = cloud();
    let all = json!({"networks": (0..5).map(|n| json!({"name": format!("n{n}")})).collect::<Vec<_>>()});
    assert_eq!(c.call("p1", "POST", "/v2.0/networks", all).await.0, 201);
    assert_eq!(names(&c.get("p1", "/v2.0/networks?name=n1&name=n3").await["networks"]), ["n1", "n3"]);
    assert_eq!(names(&c.get("p1", "/v2.0/networks?sort_key=name&sort_dir=desc").await["networks"])[0], "n4");
    assert_eq!(c.get("p1", "/v2.0/networks?shared=True").await["networks"], json!([]));
    let fields = c.get("p1", "/v2.0/networks?fields=name&name=n2").await;
    assert_eq!(fields["networks"], json!([{"name": "n2"}]));
    let mut seen = Vec::new();
    let mut path = "/v2.0/networks?sort_key=name&limit=2".to_owned();
    loop {
        let page = c.get("p1", &path).await;
        seen.extend(names(&page["networks"]).into_iter().map(str::to_owned));
        let links = page["networks_links"].as_array().cloned().unwrap_or_default();
        let Some(next) = links.iter().find(|l| l["rel"] == "next") else { break };
        path = next["href"].as_str().unwrap().strip_prefix("http://cloud:9696/network").unwrap().to_owned();
    }
    assert_eq!(seen, ["n0", "n1", "n2", "n3", "n4"]);
    for bad in ["nope=1", "sort_key=nope", "limit=-1", "limit=x", "sort_key=name&sort_dir=up"] {
        assert_eq!(c.call("p1", "GET", &format!("/v2.0/networks?{bad}"), Value::Null).await.0, 400, "{bad}");
    }
    let marker = "/v2.0/networks?marker=7e6c0c9c-5b0f-4a6e-8a8c-1e8d4a8b1c11";
    assert_eq!(c.call("p1", "GET", marker, Value::Null).await.0, 404);
}

#[tokio::test]
async fn subnets_are_checked_and_serve_dhcp() {
    let c = cloud();
    let n = c.make("p1", "network", json!({"name": "net"})).await;
    let id = n["id"].as_str().unwrap();
    let s = c.make("p1", "subnet", json!({"network_id": id, "ip_version": 4, "cidr": "192.0.2.0/24"})).await;
    assert_eq!(s["gateway_ip"], "192.0.2.1");
    assert_eq!(s["allocation_pools"], json!([{"start": "192.0.2.2", "end": "192.0.2.254"}]));
    let dhcp = c.get("p1", &format!("/v2.0/ports?network_id={id}&device_owner=network:dhcp")).await;
    assert_eq!(dhcp["ports"][0]["fixed_ips"][0]["ip_address"], "192.0.2.2");
    let base = json!({"network_id": id, "ip_version": 4, "cidr": "198.51.100.0/24"});
    let with = |extra: Value| {
        let mut v = base.clone();
        v.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        v
    };
    for (body, status, kind) in [
        (json!({"cidr": "192.0.2.128/25"}), 400, "InvalidInput"),
        (json!({"cidr": "nonsense"}), 400, "HTTPBadRequest"),
        (json!({"ip_version": 6}), 400, "InvalidInput"),
        (json!({"ip_version": 5}), 400, "HTTPBadRequest"),
        (json!({"cidr": "224.0.0.0/24"}), 400, "InvalidInput"),
        (json!({"gateway_ip": "10.0.0.1"}), 400, "InvalidInput"),
        (json!({"allocation_pools": [{"start": "10.0.0.1", "end": "10.0.0.9"}]}), 400, "OutOfBoundsAllocationPool"),
        (
            json!({"allocation_pools": [{"start": "198.51.100.1", "end": "198.51.100.9"}]}),
            409,
            "GatewayConflictWithAllocationPools",
        ),
        (json!({"dns_nameservers": ["a"]}), 400, "HTTPBadRequest"),
        (json!({"dns_nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4", "1.1.1.5", "1.1.1.6"]}), 400, "DNSNameServersExhausted"),
        (json!({"ipv6_ra_mode": "slaac"}), 501, "HTTPNotImplemented"),
        (json!({"subnetpool_id": "7e6c0c9c-5b0f-4a6e-8a8c-1e8d4a8b1c11"}), 501, "HTTPNotImplemented"),
        (json!({"network_id": "7e6c0c9c-5b0f-4a6e-8a8c-1e8d4a8b1c11"}), 404, "NetworkNotFound"),
    ] {
        let (s, k, m) = c.refused("p1", "subnet", with(body.clone())).await;
        assert_eq!((s, k.as_str()), (status, kind), "{body}: {m}");
    }
    assert_eq!(c.refused("p2", "subnet", base.clone()).await.1, "NetworkNotFound");
    let second = c.make("p1", "subnet", with(json!({"gateway_ip": null, "enable_dhcp": false}))).await;
    assert_eq!(second["gateway_ip"], Value::Null);
    let six = json!({"network_id": id, "ip_version": 6, "cidr": "fd00:1::/64"});
    assert_eq!(c.make("p1", "subnet", six).await["gateway_ip"], "fd00:1::1");
    // A port takes one of each family; a used subnet and network stay, empty ones go.
    let p = c.make("p1", "port", json!({"network_id": id})).await;
    assert_eq!(p["fixed_ips"].as_array().unwrap().len(), 2);
    let subnet = format!("/v2.0/subnets/{}", s["id"].as_str().unwrap());
    let (status, body) = c.call("p1", "DELETE", &subnet, Value::Null).await;
    assert_eq!(fault(status, &body).1, "SubnetInUse");
    let network = format!("/v2.0/networks/{id}");
    let (status, body) = c.call("p1", "DELETE", &network, Value::Null).await;
    assert_eq!(fault(status, &body).1, "NetworkInUse");
    let port = format!("/v2.0/ports/{}", p["id"].as_str().unwrap());
    assert_eq!(c.call("p1", "DELETE", &port, Value::Null).await.0, 204);
    assert_eq!(c.call("p1", "DELETE", &subnet, Value::Null).await.0, 204);
    assert_eq!(c.call("p1", "DELETE", &network, Value::Null).await.0, 204);
    assert_eq!(c.get("admin", "/v2.0/ports").await["ports"], json!([]));
    let quota = c.get("p1", "/v2.0/quotas/p1/details.json").await;
    for r in ["network", "subnet", "port"] {
        assert_eq!(quota["quota"][r]["used"], 0, "{r}");
    }
}

#[tokio::test]
async fn ports_take_addresses_and_keep_others_from_them() {
    let c = cloud();
    let n = c.make("p1", "network", json!({"name": "net"})).await;
    let id = n["id"].as_str().unwrap();
    let subnet = json!({"network_id": id, "ip_version": 4, "cidr": "10.0.0.0/29", "enable_dhcp": false});
    let s = c.make("p1", "subnet", subnet).await;
    let sid = s["id"].as_str().unwrap();
    let mine = json!({"network_id": id, "fixed_ips": [{"ip_address": "10.0.0.5"}], "mac_address": "FA:16:3E:00:00:01"});
    let p = c.make("p1", "port", mine.clone()).await;
    assert_eq!((p["mac_address"].as_str(), p["status"].as_str()), (Some("fa:16:3e:00:00:01"), Some("DOWN")));
    assert_eq!(p["fixed_ips"], json!([{"subnet_id": sid, "ip_address": "10.0.0.5"}]));
    for (body, status, kind) in [
        (mine, 409, "IpAddressAlreadyAllocated"),
        (json!({"network_id": id, "mac_address": "fa:16:3e:00:00:01"}), 409, "MacAddressInUse"),
        (json!({"network_id": id, "mac_address": "01:00:00:00:00:01"}), 400, "HTTPBadRequest"),
        (json!({"network_id": id, "fixed_ips": [{"ip_address": "10.0.1.5"}]}), 400, "InvalidIpForNetwork"),
        (json!({"network_id": id, "fixed_ips": [{"ip_address": "10.0.0.7"}]}), 400, "InvalidIpForSubnet"),
        (json!({"network_id": id, "fixed_ips": [{"subnet_id": id}]}), 400, "InvalidInput"),
        (json!({"network_id": id, "fixed_ips": [{"ip": "10.0.0.4"}]}), 400, "HTTPBadRequest"),
        (json!({"network_id": id, "security_groups": [id]}), 404, "SecurityGroupNotFound"),
        (json!({"network_id": id, "binding:host_id": "h1"}), 403, "PolicyNotAuthorized"),
        (json!({"network_id": id, "device_owner": "compute:nova", "device_id": "x"}), 403, "PolicyNotAuthorized"),
        (json!({"network_id": id, "binding:vnic_type": "direct"}), 501, "HTTPNotImplemented"),
        (json!({}), 400, "HTTPBadRequest"),
    ] {
        let (s, k, m) = c.refused("p1", "port", body.clone()).await;
        assert_eq!((s, k.as_str()), (status, kind), "{body}: {m}");
    }
    // Four more fit (.2 .3 .4 .6), then none; a refused bulk leaves nothing behind.
    let bulk = |n: usize| json!({"ports": (0..n).map(|_| json!({"network_id": id})).collect::<Vec<_>>()});
    let (status, body) = c.call("p1", "POST", "/v2.0/ports", bulk(5)).await;
    assert_eq!(fault(status, &body).1, "IpAddressGenerationFailure");
    assert_eq!(c.get("p1", "/v2.0/ports").await["ports"].as_array().unwrap().len(), 1);
    let (status, body) = c.call("p1", "POST", "/v2.0/ports", bulk(4)).await;
    assert_eq!(status, 201, "{body}");
    let mut ips: Vec<&str> =
        body["ports"].as_array().unwrap().iter().map(|p| p["fixed_ips"][0]["ip_address"].as_str().unwrap()).collect();
    ips.sort_unstable();
    assert_eq!(ips, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.6"]);
    let found = c.get("p1", "/v2.0/ports?fixed_ips=ip_address%3D10.0.0.5").await;
    assert_eq!(found["ports"].as_array().unwrap().len(), 1);
    // Changed addresses: the old one is free again.
    let path = format!("/v2.0/ports/{}", p["id"].as_str().unwrap());
    let ips = json!({"port": {"fixed_ips": [], "name": "web"}});
    assert_eq!(c.call("p1", "PUT", &path, ips).await.0, 200);
    let other = json!({"network_id": id, "fixed_ips": [{"ip_address": "10.0.0.5"}]});
    c.make("p1", "port", other).await;
    assert_eq!(c.call("p1", "PUT", &path, json!({"port": {"network_id": id}})).await.0, 400);
    assert_eq!(c.call("p2", "GET", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn on_a_shared_network_no_tenant_can_pose_as_another() {
    let c = cloud();
    let n = c.make("admin", "network", json!({"name": "all", "shared": true})).await;
    let id = n["id"].as_str().unwrap();
    c.make("admin", "subnet", json!({"network_id": id, "ip_version": 4, "cidr": "10.0.0.0/24"})).await;
    for extra in [
        json!({"fixed_ips": [{"ip_address": "10.0.0.9"}]}),
        json!({"mac_address": "fa:16:3e:00:00:09"}),
        json!({"port_security_enabled": false, "security_groups": []}),
        json!({"allowed_address_pairs": [{"ip_address": "10.0.0.0/24"}]}),
        json!({"device_owner": "network:dhcp"}),
    ] {
        let mut body = extra.clone();
        body["network_id"] = json!(id);
        let (status, kind, _) = c.refused("p1", "port", body).await;
        assert_eq!((status, kind.as_str()), (403, "PolicyNotAuthorized"), "{extra}");
    }
    let p = c.make("p1", "port", json!({"network_id": id})).await;
    let path = format!("/v2.0/ports/{}", p["id"].as_str().unwrap());
    for change in [
        json!({"mac_address": "fa:16:3e:00:00:09"}),
        json!({"fixed_ips": [{"ip_address": "10.0.0.9"}]}),
        json!({"port_security_enabled": false, "security_groups": []}),
        json!({"allowed_address_pairs": [{"ip_address": "10.0.0.1"}]}),
        json!({"device_owner": "compute:nova", "device_id": "7e6c0c9c-5b0f-4a6e-8a8c-1e8d4a8b1c11"}),
    ] {
        let (status, body) = c.call("p1", "PUT", &path, json!({"port": change})).await;
        assert_eq!(status, 403, "{change}: {body}");
    }
    assert_eq!(c.call("p2", "GET", &path, Value::Null).await.0, 404, "neighbours do not see each other's ports");
    assert_eq!(c.get("p2", "/v2.0/ports").await["ports"], json!([]));
    // Not even a security group of another project may be named.
    let groups = c.get("p2", "/v2.0/security-groups").await;
    let foreign = groups["security_groups"][0]["id"].clone();
    let (status, kind, _) = c.refused("p1", "port", json!({"network_id": id, "security_groups": [foreign]})).await;
    assert_eq!((status, kind.as_str()), (404, "SecurityGroupNotFound"));
}

#[tokio::test]
async fn security_groups_and_rules() {
    let c = cloud();
    let list = c.get("p1", "/v2.0/security-groups").await;
    let default = &list["security_groups"][0];
    assert_eq!((default["name"].as_str(), default["security_group_rules"].as_array().unwrap().len()), (Some("default"), 4));
    let did = default["id"].as_str().unwrap();
    let (status, body) = c.call("p1", "DELETE", &format!("/v2.0/security-groups/{did}"), Value::Null).await;
    assert_eq!(fault(status, &body).1, "SecurityGroupCannotRemoveDefault");
    assert_eq!(c.refused("p1", "security_group", json!({"name": "default"})).await.1, "SecurityGroupDefaultAlreadyExists");
    let g = c.make("p1", "security_group", json!({"name": "web", "description": "d"})).await;
    assert_eq!(g["security_group_rules"].as_array().unwrap().len(), 2);
    let gid = g["id"].as_str().unwrap();
    let ssh = json!({"security_group_id": gid, "direction": "ingress", "protocol": "tcp", "port_range_min": 22, "port_range_max": 22});
    let r = c.make("p1", "security_group_rule", ssh.clone()).await;
    assert_eq!((r["ethertype"].as_str(), r["protocol"].as_str()), (Some("IPv4"), Some("tcp")));
    let (status, kind, message) = c.refused("p1", "security_group_rule", ssh.clone()).await;
    assert_eq!((status, kind.as_str()), (409, "SecurityGroupRuleExists"));
    assert!(message.contains(r["id"].as_str().unwrap()));
    let mut by_number = ssh.clone();
    by_number["protocol"] = json!(6);
    assert_eq!(c.refused("p1", "security_group_rule", by_number).await.1, "SecurityGroupRuleExists");
    let mut foreign = ssh.clone();
    assert_eq!(c.refused("p2", "security_group_rule", foreign.clone()).await.1, "SecurityGroupNotFound");
    foreign["remote_group_id"] = c.get("p2", "/v2.0/security-groups").await["security_groups"][0]["id"].clone();
    assert_eq!(c.refused("p1", "security_group_rule", foreign).await.1, "SecurityGroupNotFound");
    assert_eq!(c.refused("p1", "security_group_rule", json!({"security_group_id": gid})).await.0, 400);
    let of = c.get("p1", &format!("/v2.0/security-group-rules?security_group_id={gid}")).await;
    assert_eq!(of["security_group_rules"].as_array().unwrap().len(), 3);
    // In use by a port, it stays.
    let n = c.make("p1", "network", json!({})).await;
    let p = c.make("p1", "port", json!({"network_id": n["id"], "security_groups": [gid]})).await;
    let path = format!("/v2.0/security-groups/{gid}");
    let (status, body) = c.call("p1", "DELETE", &path, Value::Null).await;
    assert_eq!(fault(status, &body).1, "SecurityGroupInUse");
    let port = format!("/v2.0/ports/{}", p["id"].as_str().unwrap());
    let off = json!({"port": {"port_security_enabled": false}});
    let (status, body) = c.call("p1", "PUT", &port, off).await;
    assert_eq!(fault(status, &body).1, "PortSecurityPortHasSecurityGroup");
    let off = json!({"port": {"port_security_enabled": false, "security_groups": []}});
    assert_eq!(c.call("p1", "PUT", &port, off).await.0, 200);
    let rule = format!("/v2.0/security-group-rules/{}", r["id"].as_str().unwrap());
    assert_eq!(c.call("p2", "DELETE", &rule, Value::Null).await.0, 404);
    assert_eq!(c.call("p1", "DELETE", &rule, Value::Null).await.0, 204);
    assert_eq!(c.call("p1", "DELETE", &path, Value::Null).await.0, 204);
    let quota = c.get("p1", "/v2.0/quotas/p1/details").await;
    assert_eq!((quota["quota"]["security_group"]["used"].as_i64(), quota["quota"]["security_group_rule"]["used"].as_i64()), (Some(1), Some(4)));
}

#[tokio::test]
async fn quotas_are_kept_and_set_by_administrators() {
    let c = cloud();
    assert_eq!(c.get("p1", "/v2.0/quotas/p1").await["quota"]["network"], 100);
    assert_eq!(c.call("p1", "GET", "/v2.0/quotas/p2", Value::Null).await.0, 403);
    assert_eq!(c.call("p1", "PUT", "/v2.0/quotas/p1", json!({"quota": {"network": 1000}})).await.0, 403);
    let (status, body) = c.call("admin", "PUT", "/v2.0/quotas/p1", json!({"quota": {"network": 1}})).await;
    assert_eq!((status.as_u16(), body["quota"]["network"].as_i64()), (200, Some(1)));
    assert_eq!(c.call("admin", "PUT", "/v2.0/quotas/p1", json!({"quota": {"network": -2}})).await.0, 400);
    assert_eq!(c.call("admin", "PUT", "/v2.0/quotas/p1", json!({"quota": {"nets": 2}})).await.0, 400);
    c.make("p1", "network", json!({})).await;
    let (status, kind, message) = c.refused("p1", "network", json!({})).await;
    assert_eq!((status, kind.as_str()), (409, "OverQuota"));
    assert!(message.contains("network"));
    let all = c.get("admin", "/v2.0/quotas").await;
    assert_eq!(all["quotas"][0]["project_id"], "p1");
    assert_eq!(c.get("p1", "/v2.0/quotas/p1/default").await["quota"]["network"], 100);
    assert_eq!(c.call("admin", "DELETE", "/v2.0/quotas/p1", Value::Null).await.0, 204);
    assert_eq!(c.call("admin", "DELETE", "/v2.0/quotas/p1", Value::Null).await.0, 404);
    c.make("p1", "network", json!({})).await;
}

#[tokio::test]
async fn tags_are_set_and_filtered_by() {
    let c = cloud();
    let n = c.make("p1", "network", json!({"name": "a"})).await;
    c.make("p1", "network", json!({"name": "b"})).await;
    let path = format!("/v2.0/networks/{}/tags", n["id"].as_str().unwrap());
    let (status, body) = c.call("p1", "PUT", &path, json!({"tags": ["red", "blue"]})).await;
    assert_eq!((status.as_u16(), body), (200, json!({"tags": ["blue", "red"]})));
    assert_eq!(c.call("p1", "PUT", &format!("{path}/green"), Value::Null).await.0, 201);
    assert_eq!(c.call("p1", "GET", &format!("{path}/green"), Value::Null).await.0, 204);
    assert_eq!(c.call("p1", "DELETE", &format!("{path}/green"), Value::Null).await.0, 204);
    assert_eq!(c.call("p1", "GET", &format!("{path}/green"), Value::Null).await.0, 404);
    assert_eq!(names(&c.get("p1", "/v2.0/networks?tags=red,blue").await["networks"]), ["a"]);
    assert_eq!(names(&c.get("p1", "/v2.0/networks?not-tags-any=red").await["networks"]), ["b"]);
    assert_eq!(c.call("p2", "PUT", &path, json!({"tags": []})).await.0, 404);
    assert_eq!(c.call("p1", "PUT", &path, json!({"tags": [5]})).await.0, 400);
}
