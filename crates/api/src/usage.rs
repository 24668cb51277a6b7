//! `/os-simple-tenant-usage`: what projects used in a period, summed from the servers themselves.

use crate::Api;
use crate::ask::Ask;
use crate::query::{known, page, wrong};
use crate::table::forbidden;
use axum::Json;
use axum::extract::{Path, State};
use model::policy::Rule;
use model::server::{Server, VmState};
use model::{Timestamp, time};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use store::servers::{Deleted, Filter, SortKey};
use uuid::Uuid;
use web::{Fault, Query};

const KEYS: &[&str] = &["start", "end", "detailed", "limit", "marker"];

/// The period of a question.
#[derive(Debug, Clone, Copy)]
struct Period {
    start: Timestamp,
    stop: Timestamp,
}

impl Period {
    fn read(api: &Api, query: &Query) -> Result<Period, Fault> {
        let now = api.env().now();
        let at = |key: &str| match query.get(key) {
            None => Ok(now),
            Some(v) => time::parse(v).ok_or_else(|| wrong(key, v, format!("'{v}' is not a date and time"))),
        };
        let (start, stop) = (at("start")?, at("end")?);
        if start >= stop {
            return Err(Fault::bad_request("Invalid start time. The start time cannot occur after the end time."));
        }
        Ok(Period { start, stop: stop.min(now).max(start) })
    }

    /// Hours that `s` ran within the period. Pure.
    fn hours(&self, s: &Server) -> f64 {
        let Some(launched) = s.launched_at.filter(|l| *l <= self.stop) else { return 0.0 };
        let end = s.deleted_at.map_or(self.stop, |d| d.min(self.stop));
        end.since(launched.max(self.start)).as_secs_f64() / 3600.0
    }
}

fn row(p: &Period, s: &Server, now: Timestamp) -> Value {
    let f = &s.body.flavor;
    let ended = s.deleted_at.is_some();
    let stop = s.deleted_at.unwrap_or(now);
    let state = if ended { "terminated" } else if s.vm_state == VmState::SoftDeleted { "soft-delete" } else { s.vm_state.as_str() };
    json!({
        "hours": p.hours(s),
        "flavor": f.name,
        "instance_id": s.id,
        "name": s.name,
        "tenant_id": s.project_id,
        "memory_mb": f.memory_mib,
        "local_gb": f.root_gib + f.ephemeral_gib,
        "vcpus": f.vcpus,
        "started_at": s.launched_at.map(time::micros),
        "ended_at": s.deleted_at.map(time::micros),
        "state": state,
        "uptime": s.launched_at.map_or(0, |l| stop.since(l).as_secs()),
    })
}

#[allow(clippy::cast_precision_loss)] // sizes of flavors are far below 2^53
fn summary(p: &Period, project: &str, servers: &[&Server], detailed: bool, now: Timestamp) -> Value {
    let sum = |of: &dyn Fn(&Server) -> f64| servers.iter().map(|s| p.hours(s) * of(s)).sum::<f64>();
    let mut out = Map::new();
    out.insert("tenant_id".into(), project.into());
    out.insert("total_hours".into(), sum(&|_| 1.0).into());
    out.insert("total_vcpus_usage".into(), sum(&|s| f64::from(s.body.flavor.vcpus)).into());
    out.insert("total_memory_mb_usage".into(), sum(&|s| s.body.flavor.memory_mib as f64).into());
    let disk = |s: &Server| (s.body.flavor.root_gib + s.body.flavor.ephemeral_gib) as f64;
    out.insert("total_local_gb_usage".into(), sum(&disk).into());
    out.insert("start".into(), time::micros(p.start).into());
    out.insert("stop".into(), time::micros(p.stop).into());
    if detailed {
        out.insert("server_usages".into(), servers.iter().map(|s| row(p, s, now)).collect());
    }
    Value::Object(out)
}

/// Servers that lived within the period, a page of them from 2.40 on.
async fn servers(api: &Api, ask: &Ask, query: &Query, p: Period, project: Option<String>) -> Result<(Vec<Server>, bool), Fault> {
    let filter = Filter { project_id: project, deleted: Deleted::Any, ..Filter::default() };
    let (mut limit, mut marker, mut linked) = (None, None, false);
    if ask.at_least(40) {
        let page = page(query, api.options().max_limit)?;
        linked = page.linked;
        limit = Some(page.limit);
        if let Some(m) = &page.marker {
            marker = Some(Uuid::try_parse(m).map_err(|_| Fault::bad_request(format!("Marker {m} could not be found.")))?);
        }
    }
    let sort = vec![(SortKey::ProjectId, false), (SortKey::Id, false)];
    let wanted = store::servers::Page { sort, marker, limit };
    let lived = move |s: &Server| s.launched_at.is_none_or(|l| l < p.stop) && s.deleted_at.is_none_or(|d| d > p.start);
    let found = api.store().read(move |tx| store::servers::list(tx, &filter, &wanted, lived)).await;
    match found {
        Ok(list) => {
            let full = linked && Some(list.len()) == limit;
            Ok((list, full))
        }
        Err(store::Error::NotFound { id, .. }) => Err(Fault::bad_request(format!("Marker {id} could not be found."))),
        Err(e) => Err(e.into()),
    }
}

/// `GET`: all projects.
/// # Errors
/// 400.
pub async fn list(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, KEYS)?;
    let p = Period::read(&api, &query)?;
    let detailed = query.get("detailed") == Some("1");
    let (all, full) = servers(&api, &ask, &query, p, None).await?;
    let mut by_project: BTreeMap<&str, Vec<&Server>> = BTreeMap::new();
    for s in &all {
        by_project.entry(&s.project_id).or_default().push(s);
    }
    let now = api.env().now();
    let rows: Vec<Value> = by_project.iter().map(|(id, list)| summary(&p, id, list, detailed, now)).collect();
    let mut body = json!({ "tenant_usages": rows });
    if let Some(last) = all.last().filter(|_| full) {
        body["tenant_usages_links"] = json!(ask.base.next("os-simple-tenant-usage", &query, &last.id.to_string()));
    }
    Ok(Json(body))
}

/// `GET …/{project}`, always with its servers.
/// # Errors
/// 400, 403.
pub async fn show(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, KEYS)?;
    if !Rule::ProjectReader.allows(&ask.caller, &id) {
        return Err(forbidden("os_compute_api:os-simple-tenant-usage:show"));
    }
    let p = Period::read(&api, &query)?;
    let (all, full) = servers(&api, &ask, &query, p, Some(id.clone())).await?;
    let list: Vec<&Server> = all.iter().collect();
    let usage = if list.is_empty() { json!({}) } else { summary(&p, &id, &list, true, api.env().now()) };
    let mut body = json!({ "tenant_usage": usage });
    if let Some(last) = all.last().filter(|_| full) {
        let collection = format!("os-simple-tenant-usage/{id}");
        body["tenant_usage_links"] = json!(ask.base.next(&collection, &query, &last.id.to_string()));
    }
    Ok(Json(body))
}
