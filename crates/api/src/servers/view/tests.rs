#![allow(clippy::unwrap_used)]
use super::*;
use crate::servers::testing::server;
use serde_json::Value;
use std::collections::BTreeSet;

fn look(minor: u16, admin: bool) -> Look {
    let base = Base { origin: "http://h".into(), own: "http://h/compute/v2.1".into(), bookmark: "http://h/compute".into() };
    let hosts = if admin && minor >= 16 { BTreeMap::from([("h1".to_owned(), "UP")]) } else { BTreeMap::new() };
    Look { mv: Microversion(2, minor), admin, base: Arc::new(base), hosts, groups: Vec::new(), conductor: None }
}

fn shown(minor: u16, admin: bool, kind: Kind) -> Value {
    serde_json::to_value(look(minor, admin).view(&server(), kind)).unwrap_or_default()
}

fn keys(v: &Value) -> BTreeSet<String> {
    v.as_object().map(|o| o.keys().cloned().collect()).unwrap_or_default()
}

/// Fields of the original's response schema at 2.1 for users.
const FIRST: &[&str] = &[
    "accessIPv4", "accessIPv6", "addresses", "config_drive", "created", "flavor", "hostId", "id", "image", "key_name", "links",
    "metadata", "name", "progress", "security_groups", "status", "tenant_id", "updated", "user_id", "OS-DCF:diskConfig",
    "OS-EXT-AZ:availability_zone", "OS-EXT-STS:power_state", "OS-EXT-STS:task_state", "OS-EXT-STS:vm_state",
    "OS-SRV-USG:launched_at", "OS-SRV-USG:terminated_at", "os-extended-volumes:volumes_attached",
];

#[test]
fn fields_come_with_their_microversions() {
    let mut expected: BTreeSet<String> = FIRST.iter().map(|s| (*s).to_owned()).collect();
    assert_eq!(keys(&shown(1, false, Kind::Show)), expected);
    for (minor, field) in [
        (9, "locked"),
        (19, "description"),
        (26, "tags"),
        (63, "trusted_image_certificates"),
        (71, "server_groups"),
        (73, "locked_reason"),
        (90, "OS-EXT-SRV-ATTR:hostname"),
        (96, "pinned_availability_zone"),
        (100, "scheduler_hints"),
    ] {
        assert_eq!(keys(&shown(minor - 1, false, Kind::Show)), expected, "before 2.{minor}");
        expected.insert(field.into());
        assert_eq!(keys(&shown(minor, false, Kind::Show)), expected, "at 2.{minor}");
    }
    assert!(!keys(&shown(104, false, Kind::List)).contains("server_groups"));
}

#[test]
fn administrators_see_more() {
    let new = |minor| keys(&shown(minor, true, Kind::Show)).difference(&keys(&shown(minor, false, Kind::Show))).count();
    assert_eq!(new(1), 3);
    assert_eq!(new(3), 10, "with the host name");
    assert_eq!(new(16), 11, "with the host's status");
    assert_eq!(new(90), 10, "everybody sees the host name");
    let v = shown(16, true, Kind::Show);
    assert_eq!(v["OS-EXT-SRV-ATTR:user_data"], "aGVsbG8=");
    assert_eq!(v["host_status"], "UP");
}

#[test]
fn update_and_rebuild_show_everything_from_2_75_on() {
    let old = keys(&shown(74, true, Kind::Update));
    assert!(!old.contains("OS-EXT-STS:vm_state") && !old.contains("key_name") && old.contains("locked"));
    assert!(keys(&shown(54, true, Kind::Rebuild)).contains("key_name"));
    assert_eq!(keys(&shown(75, true, Kind::Update)), keys(&shown(75, true, Kind::Show)));
    assert!(!keys(&shown(75, true, Kind::Rebuild)).contains("OS-EXT-SRV-ATTR:user_data"));
    let address = &shown(74, true, Kind::Update)["addresses"]["private"][0];
    assert_eq!(*address, serde_json::json!({"version": 4, "addr": "10.0.0.5"}));
}

#[test]
fn values_have_the_form_of_the_original() {
    let v = shown(1, false, Kind::Show);
    assert_eq!(v["flavor"]["links"][0]["href"], "http://h/compute/flavors/1");
    assert_eq!(v["created"], "1970-01-01T00:00:01Z");
    assert_eq!(v["OS-SRV-USG:launched_at"], "1970-01-01T00:00:01.500000");
    assert_eq!(v["config_drive"], "True");
    assert_eq!(v["OS-DCF:diskConfig"], "MANUAL");
    assert_eq!(v["hostId"].as_str().map(str::len), Some(56));
    assert_eq!(v["links"][0]["href"], format!("http://h/compute/v2.1/servers/{}", server().id));
    assert_eq!(v["addresses"]["private"][1]["version"], 6);
    assert_eq!(v["addresses"]["private"][0]["OS-EXT-IPS:type"], "fixed");
    let v = shown(100, false, Kind::Show);
    assert_eq!(v["flavor"]["original_name"], "m1.tiny");
    assert_eq!(v["image"]["properties"], serde_json::json!({"hw_disk_bus": "virtio"}));
    assert_eq!(v["scheduler_hints"], serde_json::json!({"same_host": ["x"]}));
}

#[test]
fn building_failed_and_gone() {
    let look = look(1, false);
    let mut s = server();
    s.vm_state = VmState::Building;
    let v = serde_json::to_value(look.view(&s, Kind::Show)).unwrap_or_default();
    assert_eq!((&v["status"], &v["addresses"]), (&"BUILD".into(), &serde_json::json!({})));
    s.vm_state = VmState::Error;
    s.body.image = None;
    s.host = None;
    s.body.fault = Some(model::fault::ServerFault {
        code: 500,
        message: "No valid host".into(),
        details: Some("inside".into()),
        created_at: s.created_at,
    });
    let v = serde_json::to_value(look.view(&s, Kind::Show)).unwrap_or_default();
    assert_eq!((&v["image"], &v["hostId"]), (&"".into(), &"".into()));
    assert_eq!(v["fault"]["message"], "No valid host");
    assert!(v["fault"].get("details").is_none(), "details are for administrators");
    assert!(v.get("progress").is_none());
    s.deleted_at = Some(s.updated_at);
    let v = serde_json::to_value(look.view(&s, Kind::Show)).unwrap_or_default();
    assert_eq!(v["status"], "DELETED");
}
