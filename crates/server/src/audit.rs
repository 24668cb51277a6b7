//! The audit: records, allocations, quota, ports, images, wires and each driver's own list, compared with one another.
//!
//! It only looks. A healthy cloud has nothing to find; what moves while it looks is looked at twice before it counts.

use axum::extract::State;
use axum::http::Method;
use axum::{Json, Router};
use conductor::Conductor;
use hostnet::HostNet;
use image::Images;
use model::policy::Rule;
use model::server::Server;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{Store, Tx};
use uuid::Uuid;
use web::{Caller, Fault, FaultShape, Route, RouteInfo, route};

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Class: `allocation`, `quota`, `port`, `guest`, `flow`, `image`, `wire`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// What does not fit.
    pub message: String,
}

/// An audit's answer.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Sorted; empty is healthy.
    pub findings: Vec<Finding>,
}

/// What an audit looks at.
#[derive(Clone)]
pub struct Auditor {
    pub(crate) store: Store,
    pub(crate) conductor: Conductor,
    pub(crate) images: Images,
    pub(crate) wires: BTreeMap<String, Arc<HostNet>>,
}

fn finding(kind: &str, subject: impl ToString, message: impl Into<String>) -> Finding {
    Finding { kind: kind.into(), subject: subject.to_string(), message: message.into() }
}

/// Every living server.
fn servers(tx: &mut Tx) -> Result<Vec<Server>, store::Error> {
    store::servers::list(tx, &store::servers::Filter::default(), &store::servers::Page::default(), |_| true)
}

/// What the records say about each other, in one snapshot.
fn records(tx: &mut Tx) -> Result<Vec<Finding>, store::Error> {
    let mut out = Vec::new();
    let servers = servers(tx)?;
    let by_id: BTreeMap<Uuid, &Server> = servers.iter().map(|s| (s.id, s)).collect();
    allocations(tx, &by_id, &mut out)?;
    let mut totals: BTreeMap<&str, [i64; 3]> = BTreeMap::new();
    for s in &servers {
        let t = totals.entry(&s.project_id).or_default();
        t[0] += 1;
        t[1] += i64::from(s.body.flavor.vcpus);
        t[2] += i64::try_from(s.body.flavor.memory_mib).unwrap_or(i64::MAX);
    }
    for (project, should) in &totals {
        for (name, n) in ["instances", "cores", "ram"].iter().zip(should) {
            let Some(resource) = model::quota::COMPUTE.iter().find(|r| r.name == *name) else { continue };
            let used = store::quotas::usage(tx, project, resource)?.used;
            if used != *n {
                out.push(finding("quota", project, format!("{name}: {used} counted as used, {n} in use")));
            }
        }
    }
    for (project, resource, used) in store::quotas::in_use(tx)? {
        if ["instances", "cores", "ram"].contains(&resource.as_str()) && !totals.contains_key(project.as_str()) {
            out.push(finding("quota", project, format!("{resource}: {used} counted as used, and there is no server")));
        }
    }
    ports(tx, &servers, &by_id, &mut out)?;
    let open: BTreeSet<Uuid> = store::flows::unfinished(tx)?.into_iter().map(|f| f.id).collect();
    for s in &servers {
        if let Some(flow) = s.flow_id
            && !open.contains(&flow)
        {
            out.push(finding("flow", s.id, format!("its action belongs to flow {flow}, which is finished")));
        }
    }
    Ok(out)
}

fn allocations(tx: &mut Tx, servers: &BTreeMap<Uuid, &Server>, out: &mut Vec<Finding>) -> Result<(), store::Error> {
    let mut holders = BTreeSet::new();
    for p in store::placement::providers::all(tx)? {
        let mut used: BTreeMap<String, i64> = BTreeMap::new();
        for a in store::placement::allocations::of_provider(tx, p.id)? {
            *used.entry(a.class.clone()).or_default() += a.used;
            holders.insert(a.consumer);
            let instance = store::placement::allocations::consumer(tx, a.consumer)?.is_some_and(|c| c.kind.as_deref() == Some("INSTANCE"));
            if instance && servers.get(&a.consumer).is_none_or(|s| s.host.is_none()) {
                out.push(finding("allocation", a.consumer, format!("holds {} {} of {} but no server of that id is on a host", a.used, a.class, p.name)));
            }
        }
        for i in store::placement::inventories::of(tx, p.id)? {
            let sum = used.get(&i.class).copied().unwrap_or(0);
            if sum != i.used {
                out.push(finding("allocation", &p.name, format!("{}: {} counted as used, {sum} allocated", i.class, i.used)));
            }
        }
    }
    for s in servers.values() {
        let needs = !placement::flavor_resources(&s.body.flavor).is_empty();
        if needs && s.host.is_some() && !holders.contains(&s.id) {
            out.push(finding("allocation", s.id, "the server is on a host and has no allocation"));
        }
    }
    Ok(())
}

fn ports(tx: &mut Tx, servers: &[Server], by_id: &BTreeMap<Uuid, &Server>, out: &mut Vec<Finding>) -> Result<(), store::Error> {
    let mut known = BTreeSet::new();
    for p in store::network::ports::list(tx, &store::network::ports::Filter::default())? {
        known.insert(p.id);
        if !p.device_owner.starts_with("compute:") {
            continue;
        }
        let holder = Uuid::try_parse(&p.device_id).ok().and_then(|id| by_id.get(&id));
        match holder {
            None => out.push(finding("port", p.id, format!("is bound to server {}, which is not there", p.device_id))),
            Some(s) if !s.body.ports.iter().any(|own| own.port_id == p.id) => {
                out.push(finding("port", p.id, format!("is bound to server {}, which does not know it", s.id)));
            }
            Some(_) => {}
        }
    }
    for s in servers {
        for own in s.body.ports.iter().filter(|own| !known.contains(&own.port_id)) {
            out.push(finding("port", own.port_id, format!("server {} has it, the network service has not", s.id)));
        }
    }
    Ok(())
}

impl Auditor {
    /// Looks twice and reports what both looks found: what was only on its way is none.
    /// # Errors
    /// The database's.
    pub async fn run(&self) -> Result<Report, store::Error> {
        let first = self.look().await?;
        if first.is_empty() {
            return Ok(Report { findings: Vec::new() });
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        let second = self.look().await?;
        Ok(Report { findings: first.intersection(&second).cloned().collect() })
    }

    async fn look(&self) -> Result<BTreeSet<Finding>, store::Error> {
        let mut out: BTreeSet<Finding> = self.store.read(records).await?.into_iter().collect();
        let servers = self.store.read(servers).await?;
        for host in self.conductor.hosts().into_iter().filter(|h| h.up) {
            let name = host.service.host;
            match self.conductor.guests(&name).await {
                Ok(guests) => out.extend(compare(&name, &servers, &guests.iter().map(|g| g.id).collect())),
                Err(e) => {
                    out.insert(finding("guest", &name, format!("its guests cannot be listed: {e}")));
                }
            }
            if let Some(w) = self.wires.get(&name) {
                out.extend(wires(&name, &servers, w).await);
            }
        }
        match self.images.audit().await {
            Ok(found) => out.extend(found.into_iter().map(|f| match f {
                image::Finding::Missing(id) => finding("image", id, "is active and its bytes are not there"),
                image::Finding::WrongSize { id, recorded, found } => {
                    finding("image", id, format!("{recorded} bytes recorded, {found} there"))
                }
                image::Finding::Orphan(id) => finding("image", id, "bytes without an image"),
            })),
            Err(e) => {
                out.insert(finding("image", "images", e.to_string()));
            }
        }
        Ok(out)
    }
}

/// The driver's own list against the records. Pure.
fn compare(host: &str, servers: &[Server], guests: &BTreeSet<Uuid>) -> Vec<Finding> {
    let here: BTreeMap<Uuid, &Server> =
        servers.iter().filter(|s| s.host.as_deref() == Some(host)).map(|s| (s.id, s)).collect();
    let orphans = guests.iter().filter(|g| !here.contains_key(g)).map(|g| finding("guest", g, format!("runs on {host} without a record")));
    let missing = here
        .values()
        .filter(|s| s.action.is_none() && s.vm_state == model::server::VmState::Active && !guests.contains(&s.id))
        .map(|s| finding("guest", s.id, format!("is active on {host} and not there")));
    orphans.chain(missing).collect()
}

/// Taps of a host against the ports of its servers.
async fn wires(host: &str, servers: &[Server], w: &HostNet) -> Vec<Finding> {
    let expected: BTreeSet<String> = servers
        .iter()
        .filter(|s| s.host.as_deref() == Some(host))
        .flat_map(|s| s.body.ports.iter().map(|p| network::device(p.port_id)))
        .collect();
    match w.audit().await {
        Ok(names) => names
            .into_iter()
            .filter(|n| n.starts_with("tap") && !expected.contains(n))
            .map(|n| finding("wire", n, format!("is on {host} and belongs to no server")))
            .collect(),
        Err(e) => vec![finding("wire", host, e.to_string())],
    }
}

async fn show(State(auditor): State<Auditor>, _: Caller) -> Result<Json<Report>, Fault> {
    Ok(Json(auditor.run().await?))
}

fn routes() -> Vec<Route<Auditor>> {
    vec![route(Method::GET, "/audit", "kilonova:audit", Rule::Admin, show)]
}

/// The routes without handlers, for generated documents.
pub fn route_infos() -> Vec<RouteInfo> {
    routes().into_iter().map(|r| r.info).collect()
}

/// The router, to be nested at `/kilonova`.
pub fn router(auditor: Auditor) -> Router {
    web::router(FaultShape::Compute, routes(), auditor)
}
