//! Records for tests.

use driver_api::{PowerState, Timestamp};
use model::Action;
use model::flavor::Flavor;
use model::flow::{FlowRow, FlowState};
use model::server::{Server, ServerBody, VmState};
use std::collections::BTreeMap;
use uuid::Uuid;

pub fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

pub fn flavor(name: &str) -> Flavor {
    Flavor {
        id: name.into(),
        name: format!("{name} flavor"),
        vcpus: 2,
        memory_mib: 512,
        root_gib: 1,
        ephemeral_gib: 0,
        swap_mib: 0,
        rxtx_factor: 1.5,
        is_public: true,
        access: vec![],
        disabled: false,
        description: None,
        extra_specs: BTreeMap::from([("hw:cpu_policy".into(), "shared".into())]),
        created_at: Timestamp(5),
    }
}

/// An idle, active server of project `p`, made at `n`.
pub fn server(n: u128) -> Server {
    Server {
        id: id(n),
        project_id: "p".into(),
        user_id: "u".into(),
        name: format!("server {n}"),
        vm_state: VmState::Active,
        power_state: PowerState::Running,
        action: None,
        flow_id: None,
        host: Some("h1".into()),
        node: Some("h1".into()),
        zone: None,
        generation: 1,
        created_at: Timestamp(i64::try_from(n).unwrap()),
        updated_at: Timestamp(i64::try_from(n).unwrap()),
        launched_at: None,
        deleted_at: None,
        locked_by: None,
        body: ServerBody {
            flavor: flavor("m1").snapshot(),
            image: Some(id(1000)),
            kernel: None,
            ramdisk: None,
            key: Some(("mine".into(), "ssh-ed25519 AAAA".into())),
            metadata: BTreeMap::from([("ключ".into(), "value 'quoted' $1 ?1".into())]),
            tags: vec!["blue".into()],
            description: None,
            hostname: format!("server-{n}"),
            config_drive: false,
            requested_zone: None,
            user_data: Some(model::Secret::new(vec![0, 159, 146, 150])),
            admin_pass: None,
            posted_password: None,
            access_ipv4: String::new(),
            access_ipv6: String::new(),
            security_groups: vec!["default".into()],
            ports: vec![],
            fault: None,
            hints: BTreeMap::new(),
            reservation_id: "r-1".into(),
            launch_index: 0,
            root_device: None,
            old_vm_state: None,
            lock_reason: None,
            disk_config: "MANUAL".into(),
            backend_name: "instance-1".into(),
            trusted_certs: None,
            image_properties: BTreeMap::new(),
            image_name: None,
        },
    }
}

/// A running flow of server `server`, leased to `owner` until 100.
pub fn flow(n: u128, server: u128, owner: &str) -> FlowRow {
    FlowRow {
        id: id(n),
        action: Action::Stop,
        version: 1,
        server_id: id(server),
        project_id: "p".into(),
        user_id: "u".into(),
        request_id: format!("req-{n}"),
        state: FlowState::Running,
        input: serde_json::json!({"to": "stop"}),
        steps: vec![],
        message: None,
        owner: owner.into(),
        lease_until: Timestamp(100),
        cancel: false,
        created_at: Timestamp(i64::try_from(n).unwrap()),
        updated_at: Timestamp(i64::try_from(n).unwrap()),
    }
}
