//! A specification for unit tests.

#![allow(clippy::unwrap_used)]

use driver_api::{DiskFormat, ImageRef, InstanceSpec, NetworkSegment, NicSpec};
use std::collections::BTreeMap;
use uuid::Uuid;

pub(crate) fn spec() -> InstanceSpec {
    InstanceSpec {
        id: Uuid::from_u128(0x1234),
        generation: 3,
        name: "web <1> & 'co'".into(),
        hostname: "web".into(),
        project_id: "p".into(),
        user_id: "u".into(),
        node: String::new(),
        flavor_name: "m1.\"tiny\"".into(),
        vcpus: 1,
        memory_mib: 128,
        root_gib: 1,
        ephemeral_gib: 0,
        swap_mib: 0,
        extra_specs: BTreeMap::new(),
        image: Some(ImageRef {
            id: Uuid::from_u128(9),
            name: "tiny".into(),
            disk_format: DiskFormat::Qcow2,
            container_format: "bare".into(),
            size: 1,
            virtual_size: None,
            hash: None,
            properties: BTreeMap::new(),
        }),
        kernel: None,
        ramdisk: None,
        config_drive: true,
        nics: vec![NicSpec {
            port_id: Uuid::from_u128(5),
            network_id: Uuid::from_u128(6),
            network_name: "net".into(),
            mac: "fa:16:3e:00:00:01".into(),
            mtu: 1450,
            device: "tap00000000-00".into(),
            model: None,
            fixed_ips: vec![],
            allowed_pairs: vec![],
            subnets: vec![],
            segment: NetworkSegment::Vxlan { vni: 7, peers: vec![], host_gateway: false },
            port_security: true,
            rules: vec![],
            admin_up: true,
        }],
        metadata: BTreeMap::new(),
    }
}
