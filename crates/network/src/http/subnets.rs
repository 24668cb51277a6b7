//! `/v2.0/subnets`.

use super::attrs::{self, Attrs, TEXT, invalid, missing, objects, single};
use super::list::{self, Collection};
use super::networks::wrap;
use super::{path_id, versions::root, view};
use crate::subnets::{self, Gateway, NewSubnet, SubnetChange};
use crate::{Network, Result, Touched, Who};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use driver_api::Route;
use model::network::{Pool, Subnet};
use serde_json::{Value, json};
use store::network::subnets as rows;
use web::{Body, Caller, Fault, Origin, Query};

const COLLECTION: Collection = Collection {
    name: "subnets",
    path: "/v2.0/subnets",
    what: "Subnet",
    attributes: &[
        "id",
        "name",
        "description",
        "network_id",
        "ip_version",
        "cidr",
        "gateway_ip",
        "enable_dhcp",
        "dns_nameservers",
        "ipv6_address_mode",
        "ipv6_ra_mode",
        "subnetpool_id",
    ],
};
/// Attributes of extensions that are not built.
const UNBUILT: &[&str] = &[
    "ipv6_address_mode",
    "ipv6_ra_mode",
    "subnetpool_id",
    "use_default_subnetpool",
    "prefixlen",
    "segment_id",
    "service_types",
    "dns_publish_fixed_ip",
    "router:external",
];

fn gateway(a: &mut Attrs) -> Result<Gateway> {
    match a.take("gateway_ip") {
        None => Ok(Gateway::Default),
        Some(Value::Null) => Ok(Gateway::None),
        Some(v) => Ok(Gateway::At(attrs::ip("gateway_ip", &v)?)),
    }
}

fn pool(v: Value) -> Result<Pool> {
    let read = |key: &str| attrs::ip("allocation_pools", &v[key]);
    Ok(Pool { start: read("start")?, end: read("end")? })
}

fn route(v: Value) -> Result<Route> {
    let destination = attrs::net("host_routes", &v["destination"])?;
    Ok(Route { destination, nexthop: attrs::ip("host_routes", &v["nexthop"])? })
}

fn parse(mut a: Attrs, who: &Who) -> Result<NewSubnet> {
    a.unbuilt(UNBUILT)?;
    let network_id = a.need_id("network_id")?;
    let cidr = a.take("cidr").filter(|v| !v.is_null()).ok_or_else(|| missing("cidr"))?;
    let new = NewSubnet {
        network_id,
        project_id: a.project(&who.project_id)?,
        name: a.text("name", TEXT)?.unwrap_or_default(),
        description: a.text("description", TEXT)?.unwrap_or_default(),
        ip_version: a.int("ip_version")?.ok_or_else(|| missing("ip_version"))?,
        cidr: attrs::net("cidr", &cidr)?,
        gateway: gateway(&mut a)?,
        enable_dhcp: a.flag("enable_dhcp")?.unwrap_or(true),
        allocation_pools: a.list("allocation_pools", pool)?.filter(|p| !p.is_empty()),
        dns_nameservers: a.list("dns_nameservers", |v| attrs::ip("dns_nameservers", &v))?.unwrap_or_default(),
        host_routes: a.list("host_routes", route)?.unwrap_or_default(),
    };
    if !matches!(new.ip_version, 4 | 6) {
        return Err(invalid("ip_version", format!("'{}' is not in [4, 6]", new.ip_version)));
    }
    a.finish()?;
    Ok(new)
}

fn parse_change(mut a: Attrs) -> Result<SubnetChange> {
    a.unbuilt(UNBUILT)?;
    let fixed = ["id", "tenant_id", "project_id", "network_id", "cidr", "ip_version", "revision_number"];
    a.fixed(&fixed)?;
    a.fixed(&["created_at", "updated_at", "tags"])?;
    let c = SubnetChange {
        name: a.text("name", TEXT)?,
        description: a.text("description", TEXT)?,
        gateway: gateway(&mut a)?,
        enable_dhcp: a.flag("enable_dhcp")?,
        allocation_pools: a.list("allocation_pools", pool)?,
        dns_nameservers: a.list("dns_nameservers", |v| attrs::ip("dns_nameservers", &v))?,
        host_routes: a.list("host_routes", route)?,
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
    let (all, bulk) = objects("subnet", "subnets", body)?;
    let all: Vec<NewSubnet> = all.into_iter().map(|a| parse(a, &who)).collect::<Result<_>>()?;
    let networks = all.iter().map(|s| s.network_id).collect();
    let svc = me.clone();
    let made: Vec<Subnet> =
        me.write(move |tx| all.iter().map(|s| subnets::create(tx, &svc.env, &who, s)).collect()).await?;
    me.announce(Touched { networks, ..Touched::default() }).await;
    let shown = made.iter().map(view::subnet).collect();
    Ok((StatusCode::CREATED, Json(wrap("subnet", "subnets", shown, bulk))))
}

/// `GET`
pub(super) async fn list(
    State(me): State<Network>,
    caller: Caller,
    origin: Origin,
    q: Query,
) -> Result<Json<Value>, Fault> {
    let filter = rows::Filter {
        visible_to: (!caller.is_admin()).then(|| caller.project_id().to_owned()),
        ids: list::ids(&q, "id"),
        names: list::texts(&q, "name"),
        networks: list::ids(&q, "network_id"),
    };
    let all = me.read(move |tx| Ok(rows::list(tx, &filter)?)).await?;
    let items = all.iter().map(view::subnet).collect();
    Ok(Json(list::answer(&COLLECTION, &q, &root(&me, &origin), me.options.max_limit, items)?))
}

/// `GET /{id}`
pub(super) async fn show(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
    q: Query,
) -> Result<Json<Value>, Fault> {
    let (id, who) = (path_id("Subnet", &id)?, Who::from(&*caller));
    let (s, _) = me.read(move |tx| subnets::visible(tx, &who, id)).await?;
    Ok(Json(json!({"subnet": list::one(view::subnet(&s), &q)})))
}

/// `PUT /{id}`
pub(super) async fn update(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let (id, who) = (path_id("Subnet", &id)?, Who::from(&*caller));
    let c = parse_change(single("subnet", body)?)?;
    let svc = me.clone();
    let s = me.write(move |tx| subnets::update(tx, &svc.env, &who, id, &c)).await?;
    me.announce(Touched { networks: vec![s.network_id], ..Touched::default() }).await;
    Ok(Json(json!({"subnet": view::subnet(&s)})))
}

/// `DELETE /{id}`
pub(super) async fn delete(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let (id, who) = (path_id("Subnet", &id)?, Who::from(&*caller));
    let network = me.write(move |tx| subnets::delete(tx, &who, id)).await?;
    me.announce(Touched { networks: vec![network], ..Touched::default() }).await;
    Ok(StatusCode::NO_CONTENT)
}
