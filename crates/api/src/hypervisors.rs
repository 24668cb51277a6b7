//! `/os-hypervisors`: the nodes of the hosts, with what is promised of them.

use crate::Api;
use crate::ask::Ask;
use crate::query::{cut, known, page, wrong};
use crate::services::id_of;
use api_types::check::truth_word;
use api_types::hypervisors::{Counters, Detail, Server, Service, View};
use api_types::services::ServiceId;
use axum::Json;
use axum::extract::{Path, State};
use conductor::HostView;
use driver_api::Node;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use uuid::Uuid;
use web::{Fault, Query};

/// Nodes a host may have before their old numbers collide with the next host's.
const STRIDE: i64 = 1000;

/// One node with its host.
struct Row {
    id: Uuid,
    /// Number before 2.53: the service's for its first node.
    number: i64,
    node: Node,
    host: HostView,
}

fn rows(api: &Api) -> Vec<Row> {
    let mut out = Vec::new();
    for host in api.conductor().hosts() {
        for (index, (id, node)) in host.service.nodes.iter().enumerate() {
            let index = i64::try_from(index).unwrap_or(0);
            let number = host.service.number + index * STRIDE;
            out.push(Row { id: *id, number, node: node.clone(), host: host.clone() });
        }
    }
    out.sort_by_key(|r| (r.number, r.id));
    out
}

impl Row {
    fn id(&self, ask: &Ask) -> ServiceId {
        if ask.at_least(53) { ServiceId::Uuid(self.id) } else { ServiceId::Number(self.number) }
    }
    fn is(&self, ask: &Ask, text: &str) -> bool {
        if ask.at_least(53) { Uuid::try_parse(text).is_ok_and(|u| u == self.id) } else { text.parse() == Ok(self.number) }
    }

    fn counters(&self, api: &Api) -> Counters {
        let n = &self.node;
        let used = api.placement().host(self.id);
        let of = |class: &str| {
            let pair = used.as_ref().and_then(|u| u.resources.get(class));
            pair.map_or(0, |(_, used)| u64::try_from(*used).unwrap_or(0))
        };
        // The original counts what is kept back as used.
        let memory = of("MEMORY_MB") + n.reserved_memory_mib;
        let disk = of("DISK_GB") + n.reserved_disk_gib;
        let left = |total: u64, used: u64| i64::try_from(total).unwrap_or(i64::MAX) - i64::try_from(used).unwrap_or(i64::MAX);
        Counters {
            vcpus: n.vcpus,
            memory_mb: n.memory_mib,
            local_gb: n.disk_gib,
            vcpus_used: of("VCPU"),
            memory_mb_used: memory,
            local_gb_used: disk,
            free_ram_mb: left(n.memory_mib, memory),
            free_disk_gb: left(n.disk_gib, disk),
            current_workload: used.as_ref().map_or(0, |u| u64::try_from(u.io_ops).unwrap_or(0)),
            running_vms: used.as_ref().map_or(0, |u| u64::try_from(u.instances).unwrap_or(0)),
            disk_available_least: Some(left(n.disk_gib, disk)),
        }
    }

    fn detail(&self, api: &Api, ask: &Ask) -> Detail {
        let s = &self.host.service;
        let old = !ask.at_least(88);
        let cpu = match ask.at_least(28) {
            true if self.node.cpu_info.is_null() => json!({}),
            true => self.node.cpu_info.clone(),
            false => Value::String(self.node.cpu_info.to_string()),
        };
        Detail {
            hypervisor_type: self.node.hypervisor_type.clone(),
            hypervisor_version: self.node.hypervisor_version,
            host_ip: self.node.host_ip.clone(),
            service: Service {
                id: id_of(ask, s),
                host: s.host.clone(),
                disabled_reason: self.host.reason(),
            },
            counters: old.then(|| self.counters(api)),
            cpu_info: old.then_some(cpu),
        }
    }

    fn view(&self, api: &Api, ask: &Ask, detail: bool) -> View {
        let s = &self.host.service;
        View {
            id: self.id(ask),
            hypervisor_hostname: self.node.name.clone(),
            state: if self.host.up && !s.forced_down { "up" } else { "down" },
            status: if s.disabled { "disabled" } else { "enabled" },
            detail: detail.then(|| self.detail(api, ask)),
            servers: None,
            uptime: (detail && ask.at_least(88)).then(|| self.uptime(api)),
        }
    }

    /// How long the host is up: what it said when it registered, and the time since. Null for hosts that are down.
    fn uptime(&self, api: &Api) -> Option<String> {
        let then = self.node.uptime_seconds.filter(|_| self.host.up)?;
        let seconds = then + api.env().now().since(self.host.service.updated_at).as_secs();
        let (days, rest) = (seconds / 86_400, seconds % 86_400);
        Some(format!("up {days} days, {}:{:02}", rest / 3600, rest % 3600 / 60))
    }
}

/// Servers of the nodes of these rows, by host and node.
async fn servers(api: &Api, rows: &[Row]) -> Result<BTreeMap<(String, String), Vec<Server>>, Fault> {
    let mut out: BTreeMap<(String, String), Vec<Server>> = BTreeMap::new();
    for host in rows.iter().map(|r| r.host.service.host.clone()).collect::<std::collections::BTreeSet<_>>() {
        let filter = store::servers::Filter { host: Some(host.clone()), ..Default::default() };
        let page = store::servers::Page::default();
        let found = api.store().read(move |tx| store::servers::list(tx, &filter, &page, |_| true)).await?;
        for s in found {
            let key = (host.clone(), s.node.clone().unwrap_or_default());
            out.entry(key).or_default().push(Server { name: s.body.backend_name, uuid: s.id });
        }
    }
    Ok(out)
}

fn matching(rows: Vec<Row>, pattern: &str) -> Result<Vec<Row>, Fault> {
    let found: Vec<Row> = rows.into_iter().filter(|r| r.node.name.contains(pattern)).collect();
    if found.is_empty() {
        return Err(Fault::not_found(format!("No hypervisor matching '{pattern}' could be found.")));
    }
    Ok(found)
}

fn with_servers(ask: &Ask, query: &Query) -> Result<bool, Fault> {
    match query.get("with_servers").filter(|_| ask.at_least(53)) {
        None => Ok(false),
        Some(v) => truth_word(v).ok_or_else(|| wrong("with_servers", v, format!("'{v}' is not one of ['True', 'False', …]"))),
    }
}

async fn views(api: &Api, ask: &Ask, rows: &[Row], detail: bool, wanted: bool) -> Result<Vec<View>, Fault> {
    let mut by_node = if wanted { servers(api, rows).await? } else { BTreeMap::new() };
    let shown = rows.iter().map(|r| {
        let mut view = r.view(api, ask, detail);
        let list = by_node.remove(&(r.host.service.host.clone(), r.node.name.clone())).unwrap_or_default();
        // Before 2.75 a node without servers has no list of them.
        view.servers = (wanted && (!list.is_empty() || ask.at_least(75))).then_some(list);
        view
    });
    Ok(shown.collect())
}

async fn index(api: &Api, ask: &Ask, query: &Query, detail: bool) -> Result<Json<Value>, Fault> {
    known(ask, query, 75, &["limit", "marker", "hypervisor_hostname_pattern", "with_servers"])?;
    let wanted = with_servers(ask, query)?;
    let pattern = query.get("hypervisor_hostname_pattern").filter(|_| ask.at_least(53));
    if let Some(pattern) = pattern {
        if query.get("limit").is_some() || query.get("marker").is_some() {
            return Err(Fault::bad_request(
                "Paging over hypervisors with the hypervisor_hostname_pattern query parameter is not supported.",
            ));
        }
        let rows = matching(rows(api), pattern)?;
        return Ok(Json(json!({ "hypervisors": views(api, ask, &rows, detail, wanted).await? })));
    }
    let all = rows(api);
    if !ask.at_least(33) {
        return Ok(Json(json!({ "hypervisors": views(api, ask, &all, detail, wanted).await? })));
    }
    let page = page(query, api.options().max_limit)?;
    let rows = cut(all, &page, |r, m| r.is(ask, m))?;
    let mut body = json!({ "hypervisors": views(api, ask, &rows, detail, wanted).await? });
    if let Some(last) = rows.last().filter(|_| page.linked && rows.len() == page.limit) {
        let marker = if ask.at_least(53) { last.id.to_string() } else { last.number.to_string() };
        let collection = if detail { "os-hypervisors/detail" } else { "os-hypervisors" };
        body["hypervisors_links"] = json!(ask.base.next(collection, query, &marker));
    }
    Ok(Json(body))
}

/// `GET`.
/// # Errors
/// 400, 404.
pub async fn list(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    index(&api, &ask, &query, false).await
}

/// `GET …/detail`.
/// # Errors
/// 400, 404.
pub async fn detail(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    index(&api, &ask, &query, true).await
}

fn find(api: &Api, ask: &Ask, id: &str) -> Result<Row, Fault> {
    let shown: String = id.chars().take(64).collect();
    if ask.at_least(53) && Uuid::try_parse(id).is_err() {
        return Err(Fault::bad_request(format!("Invalid uuid {shown}")));
    }
    let missing = || Fault::not_found(format!("Hypervisor with ID '{shown}' could not be found."));
    rows(api).into_iter().find(|r| r.is(ask, id)).ok_or_else(missing)
}

/// `GET …/{id}`.
/// # Errors
/// 400, 404.
pub async fn show(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, &["with_servers"])?;
    let wanted = with_servers(&ask, &query)?;
    let rows = [find(&api, &ask, &id)?];
    let view = views(&api, &ask, &rows, true, wanted).await?.into_iter().next();
    Ok(Json(json!({ "hypervisor": view })))
}

/// `GET …/{id}/uptime` (until 2.87).
/// # Errors
/// 400, 404, 501.
pub async fn uptime(State(api): State<Api>, ask: Ask, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let row = find(&api, &ask, &id)?;
    if !row.host.up {
        return Err(Fault::bad_request(format!("Compute service of {} is unavailable at this time.", row.host.service.host)));
    }
    let text = row.uptime(&api).ok_or_else(|| Fault::not_built(&format!("The uptime of hosts with driver {}", row.host.service.driver)))?;
    let mut view = row.view(&api, &ask, false);
    view.uptime = Some(Some(text));
    Ok(Json(json!({ "hypervisor": view })))
}

/// `GET …/{pattern}/search` (until 2.52).
/// # Errors
/// 404.
pub async fn search(State(api): State<Api>, ask: Ask, Path(pattern): Path<String>) -> Result<Json<Value>, Fault> {
    let rows = matching(rows(&api), &pattern)?;
    Ok(Json(json!({ "hypervisors": views(&api, &ask, &rows, false, false).await? })))
}

/// `GET …/{pattern}/servers` (until 2.52).
/// # Errors
/// 404.
pub async fn servers_of(State(api): State<Api>, ask: Ask, Path(pattern): Path<String>) -> Result<Json<Value>, Fault> {
    let rows = matching(rows(&api), &pattern)?;
    Ok(Json(json!({ "hypervisors": views(&api, &ask, &rows, false, true).await? })))
}

/// `GET …/statistics` (until 2.87): sums over all nodes.
/// # Errors
/// None of its own.
pub async fn statistics(State(api): State<Api>) -> Result<Json<Value>, Fault> {
    let mut sum = Counters { disk_available_least: Some(0), ..Counters::default() };
    let mut count = 0;
    for c in rows(&api).iter().map(|r| r.counters(&api)) {
        count += 1;
        sum.vcpus += c.vcpus;
        sum.memory_mb += c.memory_mb;
        sum.local_gb += c.local_gb;
        sum.vcpus_used += c.vcpus_used;
        sum.memory_mb_used += c.memory_mb_used;
        sum.local_gb_used += c.local_gb_used;
        sum.free_ram_mb += c.free_ram_mb;
        sum.free_disk_gb += c.free_disk_gb;
        sum.current_workload += c.current_workload;
        sum.running_vms += c.running_vms;
        sum.disk_available_least = Some(sum.disk_available_least.unwrap_or(0) + c.disk_available_least.unwrap_or(0));
    }
    let mut body = json!(sum);
    body["count"] = count.into();
    Ok(Json(json!({ "hypervisor_statistics": body })))
}
