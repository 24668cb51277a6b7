//! A server as tests need one.

use driver_api::{PowerState, Timestamp};
use model::server::{FlavorSnapshot, Server, ServerBody, ServerPort, VmState};
use std::collections::BTreeMap;
use uuid::Uuid;

/// An active server with one port, on host `h1`.
pub fn server() -> Server {
    let flavor = FlavorSnapshot {
        id: "1".into(),
        name: "m1.tiny".into(),
        vcpus: 1,
        memory_mib: 512,
        root_gib: 1,
        ephemeral_gib: 0,
        swap_mib: 0,
        extra_specs: BTreeMap::new(),
    };
    let port = ServerPort {
        port_id: Uuid::from_u128(7),
        network_id: Uuid::from_u128(8),
        network_name: "private".into(),
        mac: "fa:16:3e:00:00:01".into(),
        ips: vec!["10.0.0.5".parse().expect("an address"), "fd00::5".parse().expect("an address")],
        ours: true,
        tag: None,
    };
    let body = ServerBody {
        flavor,
        image: Some(Uuid::from_u128(9)),
        kernel: None,
        ramdisk: None,
        key: Some(("k".into(), "ssh-ed25519 AAAA".into())),
        metadata: BTreeMap::new(),
        tags: vec!["blue".into(), "red".into()],
        description: Some("d".into()),
        hostname: "web-1".into(),
        config_drive: true,
        requested_zone: None,
        user_data: Some(model::Secret::new(b"hello".to_vec())),
        admin_pass: None,
        posted_password: None,
        access_ipv4: String::new(),
        access_ipv6: String::new(),
        security_groups: vec!["default".into()],
        ports: vec![port],
        fault: None,
        hints: BTreeMap::from([("same_host".to_owned(), serde_json::json!("x"))]),
        reservation_id: "r-1".into(),
        launch_index: 0,
        root_device: Some("/dev/vda".into()),
        old_vm_state: None,
        lock_reason: None,
        disk_config: String::new(),
        backend_name: "instance-1".into(),
        trusted_certs: None,
        image_properties: BTreeMap::from([
            ("hw_disk_bus".to_owned(), "virtio".to_owned()),
            ("mine".to_owned(), "x".to_owned()),
        ]),
        image_name: None,
    };
    Server {
        id: Uuid::from_u128(1),
        project_id: "p1".into(),
        user_id: "u1".into(),
        name: "Web One".into(),
        vm_state: VmState::Active,
        power_state: PowerState::Running,
        action: None,
        flow_id: None,
        host: Some("h1".into()),
        node: Some("n1".into()),
        zone: Some("nova".into()),
        generation: 1,
        created_at: Timestamp(1_000_000),
        updated_at: Timestamp(2_000_000),
        launched_at: Some(Timestamp(1_500_000)),
        deleted_at: None,
        locked_by: None,
        body,
    }
}
