//! Records as the API shows them.

use driver_api::{Direction, EtherType};
use model::network::{Network, Port, SecurityGroup, SecurityGroupRule, Segment, Subnet};
use model::time::seconds_z;
use serde_json::{Value, json};
use uuid::Uuid;

/// A network; `provider:*` for administrators only.
pub(super) fn network(n: &Network, subnets: &[Uuid], admin: bool) -> Value {
    let mut v = json!({
        "id": n.id,
        "name": n.name,
        "tenant_id": n.project_id,
        "project_id": n.project_id,
        "description": n.description,
        "admin_state_up": n.admin_state_up,
        "status": "ACTIVE",
        "shared": n.shared,
        "router:external": n.external,
        "mtu": n.mtu,
        "port_security_enabled": n.port_security_enabled,
        "subnets": subnets,
        "tags": n.tags,
        "revision_number": n.revision,
        "created_at": seconds_z(n.created_at),
        "updated_at": seconds_z(n.updated_at),
    });
    if n.external {
        v["is_default"] = json!(n.is_default);
    }
    if admin {
        let (physical, id) = match &n.segment {
            Segment::Vxlan { vni } => (Value::Null, json!(vni)),
            Segment::Flat { physical_network } => (json!(physical_network), Value::Null),
        };
        v["provider:network_type"] = json!(n.segment.kind());
        v["provider:physical_network"] = physical;
        v["provider:segmentation_id"] = id;
    }
    v
}

/// A subnet.
pub(super) fn subnet(s: &Subnet) -> Value {
    let pools: Vec<Value> = s.allocation_pools.iter().map(|p| json!({"start": p.start, "end": p.end})).collect();
    let routes: Vec<Value> =
        s.host_routes.iter().map(|r| json!({"destination": r.destination, "nexthop": r.nexthop})).collect();
    json!({
        "id": s.id,
        "name": s.name,
        "tenant_id": s.project_id,
        "project_id": s.project_id,
        "network_id": s.network_id,
        "description": s.description,
        "ip_version": s.ip_version(),
        "cidr": s.cidr,
        "gateway_ip": s.gateway_ip,
        "enable_dhcp": s.enable_dhcp,
        "allocation_pools": pools,
        "dns_nameservers": s.dns_nameservers,
        "host_routes": routes,
        "ipv6_address_mode": null,
        "ipv6_ra_mode": null,
        "subnetpool_id": null,
        "tags": s.tags,
        "revision_number": s.revision,
        "created_at": seconds_z(s.created_at),
        "updated_at": seconds_z(s.updated_at),
    })
}

/// A port; `binding:*` but the kind of interface for administrators only.
pub(super) fn port(p: &Port, admin: bool) -> Value {
    let ips: Vec<Value> = p.fixed_ips.iter().map(|f| json!({"subnet_id": f.subnet_id, "ip_address": f.ip})).collect();
    let pairs: Vec<Value> = p
        .allowed_address_pairs
        .iter()
        .map(|a| {
            let whole = a.ip.prefix_len() == a.ip.max_prefix_len();
            let ip = if whole { a.ip.addr().to_string() } else { a.ip.to_string() };
            json!({"ip_address": ip, "mac_address": a.mac.as_ref().unwrap_or(&p.mac)})
        })
        .collect();
    let mut v = json!({
        "id": p.id,
        "name": p.name,
        "network_id": p.network_id,
        "tenant_id": p.project_id,
        "project_id": p.project_id,
        "description": p.description,
        "mac_address": p.mac,
        "admin_state_up": p.admin_state_up,
        "status": if p.active { "ACTIVE" } else { "DOWN" },
        "device_id": p.device_id,
        "device_owner": p.device_owner,
        "fixed_ips": ips,
        "security_groups": p.security_groups,
        "allowed_address_pairs": pairs,
        "port_security_enabled": p.port_security_enabled,
        "binding:vnic_type": p.vnic_type,
        "extra_dhcp_opts": [],
        "tags": p.tags,
        "revision_number": p.revision,
        "created_at": seconds_z(p.created_at),
        "updated_at": seconds_z(p.updated_at),
    });
    if admin {
        let vif = if p.host.is_some() { "bridge" } else { "unbound" };
        v["binding:host_id"] = json!(p.host.as_deref().unwrap_or(""));
        v["binding:vif_type"] = json!(vif);
        v["binding:vif_details"] = if p.host.is_some() { json!({"port_filter": true}) } else { json!({}) };
        v["binding:profile"] = json!(p.profile);
    }
    v
}

/// A security group with its rules.
pub(super) fn group(g: &SecurityGroup, rules: &[SecurityGroupRule]) -> Value {
    let rules: Vec<Value> = rules.iter().filter(|r| r.security_group_id == g.id).map(rule).collect();
    json!({
        "id": g.id,
        "name": g.name,
        "tenant_id": g.project_id,
        "project_id": g.project_id,
        "description": g.description,
        "stateful": g.stateful,
        "shared": false,
        "security_group_rules": rules,
        "tags": g.tags,
        "revision_number": g.revision,
        "created_at": seconds_z(g.created_at),
        "updated_at": seconds_z(g.updated_at),
    })
}

/// A rule.
pub(super) fn rule(r: &SecurityGroupRule) -> Value {
    let direction = match r.direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    let ethertype = match r.ethertype {
        EtherType::V4 => "IPv4",
        EtherType::V6 => "IPv6",
    };
    json!({
        "id": r.id,
        "tenant_id": r.project_id,
        "project_id": r.project_id,
        "security_group_id": r.security_group_id,
        "direction": direction,
        "ethertype": ethertype,
        "protocol": r.protocol,
        "port_range_min": r.port_range_min,
        "port_range_max": r.port_range_max,
        "remote_group_id": r.remote_group_id,
        "remote_ip_prefix": r.remote_ip_prefix,
        "remote_address_group_id": null,
        "normalized_cidr": r.remote_ip_prefix.map(|n| n.trunc()),
        "description": r.description,
        "tags": r.tags,
        "revision_number": r.revision,
        "created_at": seconds_z(r.created_at),
        "updated_at": seconds_z(r.updated_at),
    })
}
