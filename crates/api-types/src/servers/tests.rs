#![allow(clippy::unwrap_used)]
use super::*;
use serde_json::json;

fn create(mv: u16, extra: Value) -> Result<Create> {
    let mut server = json!({"name": "a", "flavorRef": "1", "imageRef": "70a599e0-31e7-49b7-b260-868f441e862b"});
    if mv >= 37 {
        server["networks"] = json!("auto");
    }
    for (k, v) in extra.as_object().unwrap() {
        server[k] = v.clone();
    }
    Create::read(&json!({"server": server}), Microversion(2, mv))
}

#[test]
fn a_field_is_unknown_before_its_microversion() {
    for (field, value, since) in [
        ("description", json!("d"), 19),
        ("tags", json!(["t"]), 52),
        ("trusted_image_certificates", json!(["c"]), 63),
        ("host", json!("h"), 74),
        ("hypervisor_hostname", json!("h"), 74),
        ("hostname", json!("host1"), 90),
    ] {
        let body = json!({field: value});
        assert!(create(since, body.clone()).is_ok(), "{field} at 2.{since}");
        let e = create(since - 1, body).unwrap_err();
        assert!(e.0.contains("Additional properties are not allowed") && e.0.contains(field), "{e}");
    }
    assert!(create(56, json!({"personality": [{"path": "/a", "contents": "eA=="}]})).is_ok());
    assert!(create(57, json!({"personality": []})).is_err());
}

#[test]
fn networks_by_version() {
    assert!(create(36, json!({"networks": "auto"})).is_err());
    assert_eq!(create(37, json!({"networks": "none"})).unwrap().networks, Some(Networks::None));
    assert!(create(37, json!({"networks": "some"})).is_err());
    assert!(create(37, json!({"networks": [{"uuid": "x"}]})).is_err());
    assert!(create(1, json!({"networks": [{"uuid": "x"}]})).is_ok(), "the handler refuses it, as in Nova");
    let body = json!({"server": {"name": "a", "flavorRef": 1}});
    assert_eq!(Create::read(&body, Microversion(2, 36)).unwrap().flavor, "1");
    assert!(Create::read(&body, Microversion(2, 37)).unwrap_err().0.contains("'networks' is a required property"));
    let tagged = json!({"networks": [{"uuid": "70a599e0-31e7-49b7-b260-868f441e862b", "tag": "t"}]});
    for (mv, ok) in [(31, false), (32, true), (36, true), (37, false), (41, false), (42, true)] {
        assert_eq!(create(mv, tagged.clone()).is_ok(), ok, "2.{mv}");
    }
}

#[test]
fn flavor_links_and_empty_images() {
    let c = create(1, json!({"flavorRef": "http://h/v2.1/flavors/42", "imageRef": ""})).unwrap();
    assert_eq!((c.flavor.as_str(), c.image), ("42", None));
    assert!(create(1, json!({"flavorRef": ""})).is_err());
    assert!(create(1, json!({"imageRef": "no"})).is_err());
    assert!(create(1, json!({"min_count": 0})).is_err());
    assert_eq!(create(1, json!({"min_count": "2"})).unwrap().min_count, Some(2));
    assert!(create(1, json!({"metadata": {"k": 1}})).is_err());
    assert!(create(1, json!({"metadata": {"k".repeat(256): "v"}})).is_err());
    assert!(create(1, json!({"accessIPv4": "1.2.3"})).is_err());
}

#[test]
fn block_devices() {
    let c = create(1, json!({"block_device_mapping_v2": [{
        "uuid": "70a599e0-31e7-49b7-b260-868f441e862b", "source_type": "image", "destination_type": "local",
        "boot_index": "0", "delete_on_termination": true}]}))
    .unwrap();
    let d = &c.block_device_mapping_v2[0];
    assert_eq!((d.source_type.as_deref(), d.destination_type.as_deref(), d.boot_index), (Some("image"), Some("local"), Some(0)));
    assert!(create(1, json!({"block_device_mapping_v2": [{"source_type": "tape"}]})).is_err());
    assert!(create(66, json!({"block_device_mapping_v2": [{"volume_type": "fast"}]})).is_err());
}

#[test]
fn hints_known_and_free() {
    let read = |hints: Value| {
        let body = json!({"server": {"name": "a", "flavorRef": "1"}, "os:scheduler_hints": hints});
        Create::read(&body, Microversion(2, 1))
    };
    assert_eq!(read(json!({"mine": {"x": 1}})).unwrap().hints["mine"], json!({"x": 1}));
    assert!(read(json!({"group": "no uuid"})).is_err());
    assert!(read(json!({"same_host": ["70a599e0-31e7-49b7-b260-868f441e862b"]})).is_ok());
}

#[test]
fn rebuild_and_update() {
    let r = |mv: u16, extra: Value| {
        let mut b = json!({"imageRef": "70a599e0-31e7-49b7-b260-868f441e862b"});
        for (k, v) in extra.as_object().unwrap() {
            b[k] = v.clone();
        }
        Rebuild::read(&json!({"rebuild": b}), Microversion(2, mv))
    };
    assert_eq!(r(54, json!({"key_name": null})).unwrap().key_name, Some(None));
    assert!(r(53, json!({"key_name": "k"})).is_err());
    assert_eq!(r(57, json!({"user_data": null})).unwrap().user_data, Some(None));
    assert!(Rebuild::read(&json!({"rebuild": {}}), Microversion(2, 1)).is_err());
    let u = Update::read(&json!({"server": {"description": null}}), Microversion(2, 19)).unwrap();
    assert_eq!(u.description, Some(None));
    assert!(Update::read(&json!({"server": {"hostname": "a.b"}}), Microversion(2, 93)).is_err());
    assert!(Update::read(&json!({"server": {"hostname": "a.b"}}), Microversion(2, 94)).is_ok());
}

#[test]
fn metadata_items() {
    assert_eq!(meta_body(&json!({"meta": {"k": "v"}})).unwrap(), ("k".into(), "v".into()));
    assert!(meta_body(&json!({"meta": {"k": "v", "l": "w"}})).is_err());
    assert!(meta_body(&json!({"meta": {}})).is_err());
    assert_eq!(tags_body(&json!({"tags": ["b", "a", "a"]})).unwrap(), ["a", "b"]);
    assert!(tags_body(&json!({"tags": ["a/b"]})).is_err());
}
