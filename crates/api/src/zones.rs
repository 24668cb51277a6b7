//! `/os-availability-zone`: zones are made by aggregates and by the hosts in none.

use crate::Api;
use crate::ask::Ask;
use crate::query::known;
use axum::Json;
use axum::extract::State;
use conductor::HostView;
use model::aggregate::{Aggregate, zone_of};
use model::time;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use web::{Fault, Query};

/// Hosts by zone, sorted. A zone counts as available if one of its hosts is enabled and up.
fn by_zone<'a>(hosts: &'a [HostView], aggregates: &'a [Aggregate]) -> BTreeMap<&'a str, Vec<&'a HostView>> {
    let mut out: BTreeMap<&str, Vec<&HostView>> = BTreeMap::new();
    for h in hosts {
        out.entry(zone_of(&h.service.host, aggregates)).or_default().push(h);
    }
    out
}

fn usable(h: &HostView) -> bool {
    h.up && !h.service.disabled && !h.service.forced_down
}

async fn answer(api: &Api, ask: &Ask, query: &Query, verbose: bool) -> Result<Json<Value>, Fault> {
    known(ask, query, 102, &[])?;
    let aggregates = api.store().read(store::aggregates::list).await?;
    let hosts = api.conductor().hosts();
    let zones = by_zone(&hosts, &aggregates);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    for (zone, hosts) in &zones {
        let available = hosts.iter().any(|h| usable(h));
        let shown = if verbose && available { services(hosts) } else { Value::Null };
        let row = json!({ "zoneName": zone, "zoneState": { "available": available }, "hosts": shown });
        if available { up.push(row) } else { down.push(row) }
    }
    up.append(&mut down);
    Ok(Json(json!({ "availabilityZoneInfo": up })))
}

/// The compute services of a zone's enabled hosts.
fn services(hosts: &[&HostView]) -> Value {
    let mut out = Map::new();
    for h in hosts.iter().filter(|h| !h.service.disabled) {
        let service = json!({
            "available": h.up && !h.service.forced_down,
            "active": true,
            "updated_at": time::micros(h.last_seen),
        });
        out.insert(h.service.host.clone(), json!({ "nova-compute": service }));
    }
    Value::Object(out)
}

/// `GET`.
/// # Errors
/// 400.
pub async fn list(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    answer(&api, &ask, &query, false).await
}

/// `GET …/detail`.
/// # Errors
/// 400.
pub async fn detail(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    answer(&api, &ask, &query, true).await
}
