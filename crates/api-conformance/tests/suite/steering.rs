//! What steers a server to a kind of host, through the API: flavor extra specs, image properties, aggregates, zones.
//! The other kind of host is the larger one, where a server goes that nothing steers.

use api_conformance::{Client, Shape, TestCluster};
use driver_fake::Options;
use serde_json::{Value, json};

/// The large host `h1`, and `h2` of the other kind.
async fn two_kinds() -> TestCluster {
    let other = Options { memory_mib: 8192, traits: vec!["CUSTOM_KIND_B".into()], ..Options::default() };
    TestCluster::start(Shape::of([Options::default(), other])).await
}

/// A flavor with extra specs; its id.
async fn flavor(admin: &Client, name: &str, specs: Value) -> String {
    let body = json!({"flavor": {"name": name, "ram": 64, "vcpus": 1, "disk": 1}});
    let id = admin.post("/compute/v2.1/flavors", body).await.expect(200)["flavor"]["id"].as_str().unwrap().to_owned();
    admin.post(&format!("/compute/v2.1/flavors/{id}/os-extra_specs"), json!({"extra_specs": specs})).await.expect(200);
    id
}

/// Boots with these fields in place of the usual ones: the host, or the fault.
async fn lands(c: &TestCluster, fields: Value) -> String {
    let who = c.member("alice", "wonderland").await;
    let mut body = c.body("steered").await;
    for (key, value) in fields.as_object().unwrap() {
        body["server"][key] = value.clone();
    }
    let id = who.post("/compute/v2.1/servers", body).await.expect(202)["server"]["id"].as_str().unwrap().to_owned();
    c.idle().await;
    let server = c.admin().server(&id).await;
    let seen = match server["status"].as_str() {
        Some("ACTIVE") => server["OS-EXT-SRV-ATTR:host"].as_str().unwrap().to_owned(),
        _ => server["fault"]["message"].as_str().unwrap().to_owned(),
    };
    c.gone(&who, &id).await;
    seen
}

#[tokio::test(start_paused = true)]
async fn extra_specs_of_the_flavor() {
    let c = two_kinds().await;
    assert_eq!(lands(&c, json!({})).await, "h1", "what nothing steers goes to the larger host");
    for (name, specs, expected) in [
        ("must", json!({"trait:CUSTOM_KIND_B": "required"}), "h2"),
        ("must not", json!({"trait:CUSTOM_KIND_B": "forbidden"}), "h1"),
        ("driver", json!({"kilonova:driver": "fake"}), "h1"),
        ("both", json!({"kilonova:driver": "fake", "trait:CUSTOM_KIND_B": "required"}), "h2"),
    ] {
        let id = flavor(&c.admin(), name, specs).await;
        assert_eq!(lands(&c, json!({"flavorRef": id})).await, expected, "{name}");
    }
    for (name, specs, words) in [
        ("no such trait", json!({"trait:CUSTOM_KIND_C": "required"}), "trait CUSTOM_KIND_C is missing"),
        ("no such driver", json!({"kilonova:driver": "libvirt"}), "need hypervisor type libvirt"),
    ] {
        let id = flavor(&c.admin(), name, specs).await;
        let said = lands(&c, json!({"flavorRef": id})).await;
        assert!(said.contains(words), "{name}: {said}");
    }
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn properties_of_the_image() {
    let c = two_kinds().await;
    for (name, properties, expected) in [
        ("must", json!({"trait:CUSTOM_KIND_B": "required"}), "h2"),
        ("hypervisor", json!({"img_hv_type": "fake"}), "h1"),
        ("both", json!({"hypervisor_type": "fake", "trait:CUSTOM_KIND_B": "required"}), "h2"),
        ("none", json!({"img_hv_type": "lxc"}), "need hypervisor type lxc"),
    ] {
        let mut extra = properties;
        extra["visibility"] = "public".into();
        let (id, answer) = c.admin().upload(name, "raw", vec![0; 4096], extra).await;
        answer.expect(204);
        let seen = lands(&c, json!({"imageRef": id})).await;
        assert!(seen == expected || (seen.len() > 2 && seen.contains(expected)), "{name}: {seen}");
    }
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn aggregates_and_their_zones() {
    let c = two_kinds().await;
    let admin = c.admin();
    let id = flavor(&admin, "fast", json!({"aggregate_instance_extra_specs:disk": "fast"})).await;
    let said = lands(&c, json!({"flavorRef": id})).await;
    assert!(said.contains("no aggregate with the flavor's disk"), "{said}");
    let made = admin.post("/compute/v2.1/os-aggregates", json!({"aggregate": {"name": "b", "availability_zone": "north"}})).await;
    let path = format!("/compute/v2.1/os-aggregates/{}/action", made.expect(200)["aggregate"]["id"]);
    admin.post(&path, json!({"add_host": {"host": "h2"}})).await.expect(200);
    admin.post(&path, json!({"set_metadata": {"metadata": {"disk": "fast"}}})).await.expect(200);
    assert_eq!(lands(&c, json!({"flavorRef": id})).await, "h2");
    assert_eq!(lands(&c, json!({"availability_zone": "north"})).await, "h2");
    assert_eq!(lands(&c, json!({})).await, "h1");
    // And no longer, once it is another kind.
    admin.post(&path, json!({"set_metadata": {"metadata": {"disk": "slow"}}})).await.expect(200);
    let said = lands(&c, json!({"flavorRef": id})).await;
    assert!(said.contains("no aggregate with the flavor's disk"), "{said}");
    c.end().await;
}
