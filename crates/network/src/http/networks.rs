//! `/v2.0/networks`.

use super::attrs::{Attrs, TEXT, objects, single};
use super::list::{self, Collection};
use super::{path_id, versions::root, view};
use crate::networks::{self, NetworkChange, NewNetwork};
use crate::{Network, Result, Touched, Who};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::network as records;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::network::{networks as rows, subnets};
use uuid::Uuid;
use web::{Body, Caller, Fault, Origin, Query};

const COLLECTION: Collection = Collection {
    name: "networks",
    path: "/v2.0/networks",
    what: "Network",
    attributes: &[
        "id",
        "name",
        "description",
        "admin_state_up",
        "status",
        "shared",
        "router:external",
        "is_default",
        "mtu",
        "port_security_enabled",
        "subnets",
        "provider:network_type",
        "provider:physical_network",
        "provider:segmentation_id",
    ],
};
/// Attributes of extensions that are not built.
const UNBUILT: &[&str] = &[
    "availability_zone_hints",
    "dns_domain",
    "qos_policy_id",
    "segments",
    "vlan_transparent",
    "qinq",
    "ipv4_address_scope",
    "ipv6_address_scope",
];

fn parse(mut a: Attrs, who: &Who) -> Result<NewNetwork> {
    a.unbuilt(UNBUILT)?;
    let new = NewNetwork {
        project_id: a.project(&who.project_id)?,
        name: a.text("name", TEXT)?.unwrap_or_default(),
        description: a.text("description", TEXT)?.unwrap_or_default(),
        admin_state_up: a.flag("admin_state_up")?,
        shared: a.flag("shared")?,
        external: a.flag("router:external")?,
        is_default: a.flag("is_default")?,
        mtu: a.int("mtu")?,
        port_security_enabled: a.flag("port_security_enabled")?,
        network_type: nullable(&mut a, "provider:network_type")?,
        physical_network: nullable(&mut a, "provider:physical_network")?,
        segmentation_id: a.int("provider:segmentation_id")?,
        host_gateway: false,
    };
    a.finish()?;
    Ok(new)
}

/// A text that may be `null`, which counts as absent.
fn nullable(a: &mut Attrs, key: &str) -> Result<Option<String>> {
    match a.take(key) {
        None | Some(Value::Null) => Ok(None),
        Some(v) => {
            let mut one = Attrs::of(serde_json::Map::from_iter([(key.to_owned(), v)]));
            one.text(key, TEXT)
        }
    }
}

fn parse_change(mut a: Attrs) -> Result<NetworkChange> {
    a.unbuilt(UNBUILT)?;
    a.fixed(&["id", "tenant_id", "project_id", "status", "subnets", "revision_number", "created_at", "updated_at", "tags"])?;
    a.fixed(&["provider:network_type", "provider:physical_network", "provider:segmentation_id"])?;
    let c = NetworkChange {
        name: a.text("name", TEXT)?,
        description: a.text("description", TEXT)?,
        admin_state_up: a.flag("admin_state_up")?,
        shared: a.flag("shared")?,
        external: a.flag("router:external")?,
        is_default: a.flag("is_default")?,
        mtu: a.int("mtu")?,
        port_security_enabled: a.flag("port_security_enabled")?,
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
    let (all, bulk) = objects("network", "networks", body)?;
    let all: Vec<NewNetwork> = all.into_iter().map(|a| parse(a, &who)).collect::<Result<_>>()?;
    let (svc, admin) = (me.clone(), who.admin);
    let made: Vec<records::Network> = me
        .write(move |tx| all.iter().map(|n| networks::create(tx, &svc.env, &svc.options, &who, n)).collect())
        .await?;
    let shown: Vec<Value> = made.iter().map(|n| view::network(n, &[], admin)).collect();
    Ok((StatusCode::CREATED, Json(wrap("network", "networks", shown, bulk))))
}

/// The answer to a creation: one object, or all of a bulk.
pub(super) fn wrap(one: &str, many: &str, mut shown: Vec<Value>, bulk: bool) -> Value {
    match (bulk, shown.pop()) {
        (false, Some(only)) => json!({ one: only }),
        (_, last) => {
            shown.extend(last);
            json!({ many: shown })
        }
    }
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
        projects: q.all("project_id").chain(q.all("tenant_id")).map(str::to_owned).collect(),
    };
    let (nets, subnets) = me
        .read(move |tx| {
            let nets = rows::list(tx, &filter)?;
            let ids: Vec<Uuid> = nets.iter().map(|n| n.id).collect();
            Ok((nets, subnets_of(tx, &ids)?))
        })
        .await?;
    let none = Vec::new();
    let items = nets.iter().map(|n| view::network(n, subnets.get(&n.id).unwrap_or(&none), admin)).collect();
    Ok(Json(list::answer(&COLLECTION, &q, &root(&me, &origin), me.options.max_limit, items)?))
}

/// Ids of the subnets of networks, by network.
fn subnets_of(tx: &mut store::Tx, ids: &[Uuid]) -> Result<BTreeMap<Uuid, Vec<Uuid>>> {
    let mut out: BTreeMap<Uuid, Vec<Uuid>> = BTreeMap::new();
    for part in ids.chunks(500) {
        for s in subnets::of_networks(tx, part)? {
            out.entry(s.network_id).or_default().push(s.id);
        }
    }
    Ok(out)
}

/// `GET /{id}`
pub(super) async fn show(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
    q: Query,
) -> Result<Json<Value>, Fault> {
    let (id, who) = (path_id("Network", &id)?, Who::from(&*caller));
    let admin = who.admin;
    let (n, subnets) =
        me.read(move |tx| Ok((networks::visible(tx, &who, id)?, subnets_of(tx, &[id])?))).await?;
    let shown = view::network(&n, subnets.get(&id).unwrap_or(&Vec::new()), admin);
    Ok(Json(json!({"network": list::one(shown, &q)})))
}

/// `PUT /{id}`
pub(super) async fn update(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let (id, who) = (path_id("Network", &id)?, Who::from(&*caller));
    let c = parse_change(single("network", body)?)?;
    let (svc, admin) = (me.clone(), who.admin);
    let (n, concerns, subnets) = me
        .write(move |tx| {
            let (n, concerns) = networks::update(tx, &svc.env, &svc.options, &who, id, &c)?;
            Ok((n, concerns, subnets_of(tx, &[id])?))
        })
        .await?;
    if concerns {
        me.announce(Touched { networks: vec![id], ..Touched::default() }).await;
    }
    Ok(Json(json!({"network": view::network(&n, subnets.get(&id).unwrap_or(&Vec::new()), admin)})))
}

/// `DELETE /{id}`
pub(super) async fn delete(
    State(me): State<Network>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let (id, who) = (path_id("Network", &id)?, Who::from(&*caller));
    me.write(move |tx| networks::delete(tx, &who, id)).await?;
    Ok(StatusCode::NO_CONTENT)
}
