//! `…/os-interface` and `…/os-security-groups` of a server, read from the network service.

use crate::Api;
use crate::ask::Ask;
use crate::query::known;
use crate::servers::get::{Policy, server};
use axum::Json;
use axum::extract::{Path, State};
use model::network::{Port, SecurityGroupRule};
use model::policy::Rule;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;
use web::{Fault, Query};

fn view(ask: &Ask, p: &Port) -> Value {
    let ips: Vec<Value> = p.fixed_ips.iter().map(|f| json!({ "subnet_id": f.subnet_id, "ip_address": f.ip })).collect();
    let mut out = json!({
        "net_id": p.network_id,
        "port_id": p.id,
        "mac_addr": p.mac,
        "port_state": if p.active { "ACTIVE" } else { "DOWN" },
        "fixed_ips": ips,
    });
    if ask.at_least(70) {
        out["tag"] = json!(p.device_tag);
    }
    out
}

async fn ports(api: &Api, ask: &Ask, id: &str, policy: &'static str) -> Result<Vec<Port>, Fault> {
    let s = server(api, ask, id, Policy(Rule::ProjectReader, policy)).await?;
    Ok(api.store().read(move |tx| store::network::ports::of_server(tx, s.id)).await?)
}

/// `GET …/os-interface`.
/// # Errors
/// 404.
pub async fn list(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let ports = ports(&api, &ask, &id, "os_compute_api:os-attach-interfaces:list").await?;
    let rows: Vec<Value> = ports.iter().map(|p| view(&ask, p)).collect();
    Ok(Json(json!({ "interfaceAttachments": rows })))
}

/// `GET …/os-interface/{port}`.
/// # Errors
/// 404.
pub async fn show(
    State(api): State<Api>,
    ask: Ask,
    Path((id, port)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let ports = ports(&api, &ask, &id, "os_compute_api:os-attach-interfaces:show").await?;
    let wanted = Uuid::try_parse(&port).ok();
    match ports.iter().find(|p| Some(p.id) == wanted) {
        Some(p) => Ok(Json(json!({ "interfaceAttachment": view(&ask, p) }))),
        None => Err(Fault::not_found(format!("Instance {id} does not have a port with id {port}"))),
    }
}

/// A rule in the shape of the original's own security groups; `None` for egress, which it never had.
fn rule(r: &SecurityGroupRule, names: &BTreeMap<Uuid, (String, String)>) -> Option<Value> {
    if r.direction != driver_api::Direction::Ingress {
        return None;
    }
    let group = match r.remote_group_id {
        None => json!({}),
        Some(id) => {
            let (name, project) = names.get(&id)?;
            json!({ "name": name, "tenant_id": project })
        }
    };
    let any = match r.ethertype {
        driver_api::EtherType::V4 => "0.0.0.0/0",
        driver_api::EtherType::V6 => "::/0",
    };
    let range = match (r.remote_group_id, &r.remote_ip_prefix) {
        (Some(_), _) => json!({}),
        (None, Some(cidr)) => json!({ "cidr": cidr.to_string() }),
        (None, None) => json!({ "cidr": any }),
    };
    Some(json!({
        "id": r.id,
        "parent_group_id": r.security_group_id,
        "ip_protocol": r.protocol,
        "from_port": r.port_range_min,
        "to_port": r.port_range_max,
        "group": group,
        "ip_range": range,
    }))
}

/// `GET …/os-security-groups`.
/// # Errors
/// 404.
pub async fn groups(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, Policy(Rule::ProjectReader, "os_compute_api:os-security-groups:list")).await?;
    let groups = api.network().security_groups_of(s.id).await.map_err(crate::outside::network_fault)?;
    let ids: Vec<Uuid> = groups.iter().map(|g| g.id).collect();
    let rules = api.store().read(move |tx| store::network::groups::rules_of(tx, &ids)).await?;
    let names: BTreeMap<Uuid, (String, String)> =
        groups.iter().map(|g| (g.id, (g.name.clone(), g.project_id.clone()))).collect();
    let rows: Vec<Value> = groups
        .iter()
        .map(|g| {
            let own: Vec<Value> =
                rules.iter().filter(|r| r.security_group_id == g.id).filter_map(|r| rule(r, &names)).collect();
            json!({ "id": g.id, "name": g.name, "tenant_id": g.project_id, "description": g.description, "rules": own })
        })
        .collect();
    Ok(Json(json!({ "security_groups": rows })))
}
