//! `/v2.0/ports`.

use super::attrs::{self, Attrs, TEXT, invalid, objects, single};
use super::list::{self, Collection};
use super::networks::wrap;
use super::{path_id, versions::root, view};
use crate::ports::{self, IpWish, NewPort, PortChange};
use crate::{Network, Result, Touched, Who, address};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::network::{AddressPair, Port};
use serde_json::{Map, Value, json};
use store::network::ports as rows;
use uuid::Uuid;
use web::{Body, Caller, Fault, Origin, Query};

const COLLECTION: Collection = Collection {
    name: "ports",
    path: "/v2.0/ports",
    what: "Port",
    attributes: &[
        "id",
        "name",
        "description",
        "network_id",
        "mac_address",
        "admin_state_up",
        "status",
        "device_id",
        "device_owner",
        "fixed_ips",
        "ip_address",
        "subnet_id",
        "security_groups",
        "port_security_enabled",
        "binding:host_id",
        "binding:vnic_type",
        "binding:vif_type",
    ],
};
/// Attributes of extensions that are not built.
const UNBUILT: &[&str] = &[
    "extra_dhcp_opts",
    "dns_name",
    "dns_domain",
    "dns_assignment",
    "qos_policy_id",
    "data_plane_status",
    "propagate_uplink_status",
    "numa_affinity_policy",
    "device_profile",
    "hints",
    "hardware_offload_type",
    "trusted",
];
/// `binding:vnic_type` of a port that a host's bridge can carry.
const VNIC: &[&str] = &["normal"];

fn wish(v: Value) -> Result<IpWish> {
    let Value::Object(map) = v else { return Err(invalid("fixed_ips", format!("'{v}' is not a dictionary"))) };
    let mut a = Attrs::of(map);
    let subnet_id = a.id("subnet_id")?;
    let ip = match a.take("ip_address") {
        None | Some(Value::Null) => None,
        Some(v) => Some(attrs::ip("fixed_ips", &v)?),
    };
    a.finish()?;
    Ok(IpWish { subnet_id, ip })
}

fn pair(v: Value) -> Result<AddressPair> {
    let key = "allowed_address_pairs";
    let Value::Object(map) = v else { return Err(invalid(key, format!("'{v}' is not a dictionary"))) };
    let mut a = Attrs::of(map);
    let ip = a.take("ip_address").ok_or_else(|| invalid(key, "AllowedAddressPair must contain ip_address"))?;
    let pair = AddressPair { ip: attrs::net(key, &ip)?.trunc(), mac: a.mac("mac_address")? };
    a.finish()?;
    Ok(pair)
}

fn profile(a: &mut Attrs) -> Result<Option<Map<String, Value>>> {
    match a.take("binding:profile") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(Map::new())),
        Some(Value::Object(o)) => Ok(Some(o)),
        Some(v) => Err(invalid("binding:profile", format!("'{v}' is not a dictionary"))),
    }
}

fn vnic(a: &mut Attrs) -> Result<Option<String>> {
    let v = a.text("binding:vnic_type", TEXT)?;
    match v.as_deref() {
        Some(kind) if !VNIC.contains(&kind) => {
            Err(crate::Error::NotBuilt(format!("binding:vnic_type {kind}")))
        }
        _ => Ok(v),
    }
}

/// What a tenant may not say even empty is only looked at where it says something.
fn host(a: &mut Attrs) -> Result<Option<String>> {
    match a.take("binding:host_id") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(String::new())),
        Some(Value::String(s)) if s.len() <= TEXT => Ok(Some(s)),
        Some(v) => Err(invalid("binding:host_id", format!("'{v}' is not a valid string"))),
    }
}

fn parse(mut a: Attrs, who: &Who) -> Result<NewPort> {
    a.unbuilt(UNBUILT)?;
    let new = NewPort {
        network_id: a.need_id("network_id")?,
        project_id: a.project(&who.project_id)?,
        name: a.text("name", TEXT)?.unwrap_or_default(),
        description: a.text("description", TEXT)?.unwrap_or_default(),
        mac: a.mac("mac_address")?,
        admin_state_up: a.flag("admin_state_up")?,
        device_id: a.text("device_id", TEXT)?.unwrap_or_default(),
        device_owner: a.text("device_owner", TEXT)?.unwrap_or_default(),
        fixed_ips: a.list("fixed_ips", wish)?,
        security_groups: a.ids("security_groups")?,
        allowed_address_pairs: a.list("allowed_address_pairs", pair)?.unwrap_or_default(),
        port_security_enabled: a.flag("port_security_enabled")?,
        host: host(&mut a)?.filter(|h| !h.is_empty()),
        vnic_type: vnic(&mut a)?,
        profile: profile(&mut a)?.unwrap_or_default(),
        ..NewPort::default()
    };
    a.finish()?;
    Ok(new)
}

fn parse_change(mut a: Attrs) -> Result<PortChange> {
    a.unbuilt(UNBUILT)?;
    a.fixed(&["id", "tenant_id", "project_id", "network_id", "status", "revision_number", "created_at", "updated_at", "tags"])?;
    a.fixed(&["binding:vif_type", "binding:vif_details"])?;
    let c = PortChange {
        name: a.text("name", TEXT)?,
        description: a.text("description", TEXT)?,
        mac: a.mac("mac_address")?,
        admin_state_up: a.flag("admin_state_up")?,
        device_id: a.text("device_id", TEXT)?,
        device_owner: a.text("device_owner", TEXT)?,
        fixed_ips: a.list("fixed_ips", wish)?,
        security_groups: a.ids("security_groups")?,
        allowed_address_pairs: a.list("allowed_address_pairs", pair)?,
        port_security_enabled: a.flag("port_security_enabled")?,
        host: host(&mut a)?,
        vnic_type: vnic(&mut a)?,
        profile: profile(&mut a)?,
    };
    a.finish()?;
    Ok(c)
}

/// `POST`
pub(super) async fn create(
    State(me): State<Network>,
    caller: Caller,
    Body(body): Body<Value>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let who = Who::from(&*caller);
    let (all, bulk) = objects("port", "ports", body)?;
    let all: Vec<NewPort> = all.into_iter().map(|a| parse(a, &who)).collect::<Result<_>>()?;
    let (svc, admin) = (me.clone(), who.admin);
    let made: Vec<Port> = me.write(move |tx| all.iter().map(|p| ports::create(tx, &svc.env, &who, p)).collect()).await?;
    let members = made.iter().flat_map(|p| p.security_groups.clone()).collect();
    me.announce(Touched { members, ..Touched::default() }).await;
    let shown = made.iter().map(|p| view::port(p, admin)).collect();
    Ok((StatusCode::CREATED, Json(wrap("port", "ports", shown, bulk))))
}

/// `GET`
pub(super) async fn list(
    State(me): State<Network>,
    caller: Caller,
    origin: Origin,
    q: Query,
) -> Result<Json<Value>, Fault> {
    let admin = caller.is_admin();
    let filter = rows::Filter {
        visible_to: (!admin).then(|| caller.project_id().to_owned()),
        ids: list::ids(&q, "id"),
        names: list::texts(&q, "name"),
        networks: list::ids(&q, "network_id"),
        devices: list::texts(&q, "device_id"),
        projects: q.all("project_id").chain(q.all("tenant_id")).map(str::to_owned).collect(),
        macs: q.all("mac_address").map(|m| address::parse_mac(m).unwrap_or_default()).collect(),
    };
    let all = me.read(move |tx| Ok(rows::list(tx, &filter)?)).await?;
    let items = all.iter().map(|p| view::port(p, admin)).collect();
    let q = Query(q.0.into_iter().map(canonical_mac).collect());
    Ok(Json(list::answer(&COLLECTION, &q, &root(&me, &origin), me.options.max_limit, items)?))
}

/// A MAC may be asked for in another spelling than it is shown in.
fn canonical_mac((key, value): (String, String)) -> (String, String) {
    let mac = (key == "mac_address").then(|| address::parse_mac(&value)).flatten();
    (key, mac.unwrap_or(value))
}

/// `GET /{id}`
pub(super) async fn show(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
    q: Query,
) -> Result<Json<Value>, Fault> {
    let (id, who) = (path_id("Port", &id)?, Who::from(&*caller));
    let admin = who.admin;
    let (p, _) = me.read(move |tx| ports::visible(tx, &who, id)).await?;
    Ok(Json(json!({"port": list::one(view::port(&p, admin), &q)})))
}

/// `PUT /{id}`
pub(super) async fn update(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let (id, who) = (path_id("Port", &id)?, Who::from(&*caller));
    let c = parse_change(single("port", body)?)?;
    let (svc, admin) = (me.clone(), who.admin);
    let (before, p) = me.write(move |tx| ports::update(tx, &svc.env, &who, id, &c)).await?;
    me.announce(touched(&before, Some(&p))).await;
    Ok(Json(json!({"port": view::port(&p, admin)})))
}

/// Whom a port's change or end concerns: its server, those who trust its groups, and neighbours on other hosts.
fn touched(before: &Port, after: Option<&Port>) -> Touched {
    let both = || [Some(before), after].into_iter().flatten();
    let addresses = |p: &Port| (p.mac.clone(), p.fixed_ips.clone(), p.allowed_address_pairs.clone());
    let moved = after.is_none_or(|a| addresses(a) != addresses(before) || a.host != before.host);
    let regrouped = moved || after.is_none_or(|a| a.security_groups != before.security_groups);
    let members: Vec<Uuid> = both().flat_map(|p| p.security_groups.clone()).collect();
    Touched {
        servers: both().filter_map(Port::server).collect(),
        networks: if moved && before.host.is_some() { vec![before.network_id] } else { Vec::new() },
        members: if regrouped { members } else { Vec::new() },
        groups: Vec::new(),
    }
}

/// `DELETE /{id}`
pub(super) async fn delete(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let (id, who) = (path_id("Port", &id)?, Who::from(&*caller));
    let gone = me.write(move |tx| ports::delete(tx, &who, id)).await?;
    me.announce(touched(&gone, None)).await;
    Ok(StatusCode::NO_CONTENT)
}
