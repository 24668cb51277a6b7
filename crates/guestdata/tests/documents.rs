//! The documents against what Nova serves for the same guest.
#![allow(clippy::unwrap_used)]

use driver_api::{FixedIp, NetworkSegment, NicSpec, Route, SubnetSpec, Timestamp};
use guestdata::{Ec2Ids, Guest, InjectedFile, PublicKey, Secret, config_drive, config_drive_files, lookup};
use std::collections::BTreeMap;
use std::process::Command;
use uuid::Uuid;

fn nic(dhcp: bool) -> NicSpec {
    let subnet = Uuid::from_u128(1);
    let subnet6 = Uuid::from_u128(2);
    NicSpec {
        port_id: "cd9f6d46-4a3a-43ab-a466-994af9db96fc".parse().unwrap(),
        network_id: "da5bb487-5193-4a65-a3df-4a0055a8c0d7".parse().unwrap(),
        network_name: "net".to_owned(),
        mac: "fa:16:3e:9c:bf:3d".to_owned(),
        mtu: 1450,
        device: String::new(),
        model: None,
        fixed_ips: vec![
            FixedIp { subnet_id: subnet, ip: "10.20.0.5".parse().unwrap() },
            FixedIp { subnet_id: subnet6, ip: "fd00::5".parse().unwrap() },
        ],
        allowed_pairs: Vec::new(),
        subnets: vec![
            SubnetSpec {
                id: subnet,
                cidr: "10.20.0.0/24".parse().unwrap(),
                gateway: Some("10.20.0.1".parse().unwrap()),
                dns: vec!["10.20.0.9".parse().unwrap()],
                routes: vec![Route {
                    destination: "192.168.7.0/24".parse().unwrap(),
                    nexthop: "10.20.0.3".parse().unwrap(),
                }],
                dhcp,
                dhcp_ip: dhcp.then(|| "10.20.0.2".parse().unwrap()),
            },
            SubnetSpec {
                id: subnet6,
                cidr: "fd00::/64".parse().unwrap(),
                gateway: None,
                dns: Vec::new(),
                routes: Vec::new(),
                dhcp: false,
                dhcp_ip: None,
            },
        ],
        segment: NetworkSegment::Vxlan { vni: 7, peers: Vec::new(), host_gateway: false },
        port_security: true,
        rules: Vec::new(),
        admin_up: true,
    }
}

fn guest() -> Guest {
    let id: Uuid = "83679162-1378-4288-a2d4-70e13ec132aa".parse().unwrap();
    Guest {
        id,
        name: "Tést".to_owned(),
        hostname: "test".to_owned(),
        dhcp_domain: "novalocal".to_owned(),
        project_id: "f7ac731cc11f40efbc03a9f9e1d1d21f".to_owned(),
        availability_zone: "nova".to_owned(),
        reservation_id: "r-12345678".to_owned(),
        public_keys: vec![PublicKey { name: "mykey".into(), kind: "ssh".into(), data: "ssh-rsa AAAA== x\n".into() }],
        user_data: Some(Secret::new(*b"#!/bin/sh\n\xff")),
        admin_pass: Some(Secret::new(*b"topsecret")),
        metadata: BTreeMap::from([("role".to_owned(), "web".to_owned())]),
        files: vec![InjectedFile { path: "/etc/motd".into(), contents: Secret::new(*b"hello") }],
        instance_type: "m1.tiny".to_owned(),
        nics: vec![nic(true)],
        created: Timestamp(1_753_000_000_000_000),
        random_seed: Secret::new([0, 1, 2]),
        ec2: Ec2Ids::from_uuids(id, Some(Uuid::from_u128(0x1234_5678)), None, None),
        security_groups: vec!["default".to_owned(), "web".to_owned()],
        root_device: Some("/dev/vda".to_owned()),
        ..Guest::default()
    }
}

fn text(path: &str) -> Option<String> {
    lookup(&guest(), path).map(|d| String::from_utf8_lossy(&d.bytes).into_owned())
}

#[test]
fn meta_data_json_has_novas_fields_in_novas_order() {
    let expected = concat!(
        r#"{"uuid": "83679162-1378-4288-a2d4-70e13ec132aa", "meta": {"role": "web"}, "#,
        r#""public_keys": {"mykey": "ssh-rsa AAAA== x\n"}, "#,
        r#""keys": [{"name": "mykey", "type": "ssh", "data": "ssh-rsa AAAA== x\n"}], "#,
        r#""hostname": "test.novalocal", "name": "T\u00e9st", "launch_index": 0, "availability_zone": "nova", "#,
        r#""random_seed": "AAEC", "project_id": "f7ac731cc11f40efbc03a9f9e1d1d21f", "devices": [], "dedicated_cpus": []}"#,
    );
    assert_eq!(text("/openstack/latest/meta_data.json").unwrap(), expected);
    let folsom = text("/openstack/2012-08-10/meta_data.json").unwrap();
    assert!(folsom.ends_with(r#""availability_zone": "nova"}"#), "{folsom}");
    assert_eq!(lookup(&guest(), "/openstack/latest/meta_data.json").unwrap().content_type, "application/json");
}

#[test]
fn versions_and_listings() {
    assert!(text("/openstack").unwrap().starts_with("2012-08-10\n2013-04-04\n"));
    assert!(text("/openstack/").unwrap().ends_with("\n2025-04-04\nlatest"));
    assert_eq!(text("/openstack/2012-08-10").unwrap(), "meta_data.json\nuser_data");
    assert_eq!(
        text("/openstack/latest/").unwrap(),
        "meta_data.json\nuser_data\npassword\nvendor_data.json\nnetwork_data.json\nvendor_data2.json"
    );
    assert!(text("/").unwrap().starts_with("1.0\n2007-01-19"));
    assert!(text("/").unwrap().ends_with("2009-04-04\nlatest"));
    assert_eq!(text("/latest").unwrap(), "meta-data/\nuser-data");
}

#[test]
fn what_is_not_there_is_not_found() {
    for path in [
        "/openstack/2011-01-01",
        "/openstack/latest/nothing",
        "/openstack/latest/meta_data.json/x",
        "/openstack/2012-08-10/password",
        "/openstack/2013-04-04/vendor_data.json",
        "/openstack/2015-10-15/vendor_data2.json",
        "/openstack/content/0000",
        "/latest/api/token",
        "/latest/dynamic",
        "/latest/user-data/x",
        "/latest/meta-data/nothing",
        "/latest/meta-data/hostname/x",
        "/3000-01-01/meta-data",
        "/1.0/meta-data/placement",
    ] {
        assert_eq!(text(path), None, "{path}");
    }
}

#[test]
fn user_data_is_bytes_and_secrets_stay_off_the_network() {
    assert_eq!(lookup(&guest(), "/openstack/latest/user_data").unwrap().bytes, b"#!/bin/sh\n\xff");
    assert_eq!(lookup(&guest(), "/latest/user-data").unwrap().bytes, b"#!/bin/sh\n\xff");
    let served = text("/openstack/latest/meta_data.json").unwrap();
    assert!(!served.contains("topsecret") && !served.contains("motd"), "{served}");
    assert_eq!(text("/openstack/latest/password").unwrap(), "");
    assert!(!format!("{:?}", guest()).contains("topsecret"));
    let without = Guest { user_data: None, ..guest() };
    assert_eq!(lookup(&without, "/openstack/latest/user_data"), None);
    assert_eq!(lookup(&without, "/latest/user-data"), None);
    assert_eq!(lookup(&without, "/latest").unwrap().bytes, b"meta-data/");
}

#[test]
fn vendor_data_is_static_and_defaults_to_an_empty_object() {
    assert_eq!(text("/openstack/latest/vendor_data.json").unwrap(), "{}");
    assert_eq!(text("/openstack/latest/vendor_data2.json").unwrap(), r#"{"static": {}}"#);
    let guest = Guest { vendor_data: serde_json::json!({"a": 1}), ..guest() };
    assert_eq!(lookup(&guest, "/openstack/latest/vendor_data2.json").unwrap().bytes, br#"{"static": {"a": 1}}"#);
}

#[test]
fn network_data_of_dhcp_and_of_fixed_addresses() {
    let network = "da5bb487-5193-4a65-a3df-4a0055a8c0d7";
    let six = format!(
        r#"{{"id": "network1", "type": "ipv6", "link": "tapcd9f6d46-4a", "ip_address": "fd00::5", "netmask": "ffff:ffff:ffff:ffff::", "routes": [], "network_id": "{network}", "services": []}}"#
    );
    let link = |mtu: &str| {
        format!(
            r#"{{"id": "tapcd9f6d46-4a", "vif_id": "cd9f6d46-4a3a-43ab-a466-994af9db96fc", "type": "bridge", "mtu": {mtu}, "ethernet_mac_address": "fa:16:3e:9c:bf:3d"}}"#
        )
    };
    assert_eq!(
        text("/openstack/latest/network_data.json").unwrap(),
        format!(
            r#"{{"links": [{}], "networks": [{{"id": "network0", "type": "ipv4_dhcp", "link": "tapcd9f6d46-4a", "network_id": "{network}"}}, {six}], "services": [{{"type": "dns", "address": "10.20.0.9"}}]}}"#,
            link("null")
        )
    );
    let guest = Guest { nics: vec![nic(false)], ..guest() };
    let fixed = lookup(&guest, "/openstack/latest/network_data.json").unwrap().bytes;
    assert_eq!(
        String::from_utf8(fixed).unwrap(),
        format!(
            r#"{{"links": [{}], "networks": [{{"id": "network0", "type": "ipv4", "link": "tapcd9f6d46-4a", "ip_address": "10.20.0.5", "netmask": "255.255.255.0", "routes": [{{"network": "0.0.0.0", "netmask": "0.0.0.0", "gateway": "10.20.0.1"}}, {{"network": "192.168.7.0", "netmask": "255.255.255.0", "gateway": "10.20.0.3"}}], "network_id": "{network}", "services": [{{"type": "dns", "address": "10.20.0.9"}}]}}, {six}], "services": [{{"type": "dns", "address": "10.20.0.9"}}]}}"#,
            link("1450")
        )
    );
    let none = Guest { nics: Vec::new(), ..guest };
    assert_eq!(lookup(&none, "/openstack/latest/network_data.json").unwrap().bytes, b"{}");
}

#[test]
fn the_ec2_tree() {
    let list = text("/latest/meta-data/").unwrap();
    assert_eq!(
        list,
        "ami-id\nami-launch-index\nami-manifest-path\nblock-device-mapping/\nhostname\ninstance-action\ninstance-id\n\
         instance-type\nlocal-hostname\nlocal-ipv4\nplacement/\npublic-hostname\npublic-ipv4\npublic-keys/\n\
         reservation-id\nsecurity-groups"
    );
    for (path, value) in [
        ("instance-id", "i-3ec132aa"),
        ("ami-id", "ami-12345678"),
        ("hostname", "test.novalocal"),
        ("local-ipv4", "10.20.0.5"),
        ("public-ipv4", ""),
        ("security-groups", "default\nweb"),
        ("public-keys", "0=mykey"),
        ("public-keys/0/", "openssh-key"),
        ("public-keys/0/openssh-key", "ssh-rsa AAAA== x\n"),
        ("block-device-mapping", "ami\nroot"),
        ("block-device-mapping/ami", "vda"),
        ("block-device-mapping/root", "/dev/vda"),
        ("placement/availability-zone", "nova"),
        ("instance-type", "m1.tiny"),
        ("ami-launch-index", "0"),
    ] {
        for prefix in ["/latest", "/2009-04-04", "/ec2/latest", "ec2/2009-04-04"] {
            assert_eq!(text(&format!("{prefix}/meta-data/{path}")).as_deref(), Some(value), "{prefix} {path}");
        }
    }
    let oldest = text("/1.0/meta-data").unwrap();
    assert!(!oldest.contains("placement") && !oldest.contains("instance-type"), "{oldest}");
}

#[test]
fn the_drive_holds_the_documents_with_password_and_files() {
    let files: BTreeMap<String, Vec<u8>> =
        config_drive_files(&guest()).into_iter().map(|f| (f.path, f.contents)).collect();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    for name in [
        "ec2/2009-04-04/meta-data.json",
        "ec2/latest/user-data",
        "openstack/2012-08-10/meta_data.json",
        "openstack/2013-10-17/vendor_data.json",
        "openstack/2015-10-15/network_data.json",
        "openstack/2016-10-06/vendor_data2.json",
        "openstack/2025-04-04/user_data",
        "openstack/latest/meta_data.json",
        "openstack/content/0000",
    ] {
        assert!(names.contains(&name), "no {name} in {names:?}");
    }
    assert!(!names.contains(&"openstack/2012-08-10/network_data.json"));
    let latest: serde_json::Value = serde_json::from_slice(&files["openstack/latest/meta_data.json"]).unwrap();
    assert_eq!(latest["admin_pass"], "topsecret");
    assert_eq!(latest["files"], serde_json::json!([{"path": "/etc/motd", "content_path": "/content/0000"}]));
    let ec2: serde_json::Value = serde_json::from_slice(&files["ec2/latest/meta-data.json"]).unwrap();
    assert_eq!(ec2["public-keys"]["0"]["_name"], "0=mykey");
    assert_eq!(ec2["block-device-mapping"]["root"], "/dev/vda");
}

#[test]
fn a_reader_of_iso_9660_finds_the_drive() {
    let dir = tempfile::tempdir().unwrap();
    let iso = dir.path().join("drive");
    std::fs::write(&iso, config_drive(&guest())).unwrap();
    let out = Command::new("bsdtar").arg("-xf").arg(&iso).arg("-C").arg(dir.path()).status();
    assert!(out.expect("bsdtar (package libarchive-tools) is installed").success());
    for file in config_drive_files(&guest()) {
        assert_eq!(std::fs::read(dir.path().join(&file.path)).unwrap(), file.contents, "{}", file.path);
    }
}

#[test]
fn a_guest_survives_the_wire() {
    let text = serde_json::to_string(&guest()).unwrap();
    assert_eq!(serde_json::from_str::<Guest>(&text).unwrap(), guest());
}
