//! The audit: records, allocations, quota, ports, images, wires and each driver's own list, compared with one another.
//!
//! A healthy cloud has nothing to find; what moves while it looks is looked at twice before it counts. Repairing mends
//! only what has one right answer ([`mend`]); it says what it did, and what it leaves alone and why.

mod groups;
mod hosts;
mod mend;
mod records;

use axum::extract::State;
use axum::http::Method;
use axum::{Json, Router};
use conductor::Conductor;
use hostnet::HostNet;
use image::Images;
use mend::Mend;
use model::policy::Rule;
use network::Network;
use placement::Placement;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::Store;
use web::{Caller, Fault, FaultShape, Route, RouteInfo, route};

/// What does not fit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// Class: `address`, `allocation`, `damage`, `flow`, `guest`, `image`, `port`, `quota`, `server`, `wire`.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// What does not fit.
    pub message: String,
}

/// What could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unseen {
    /// A host, or a part of the cloud.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// An audit's answer.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Sorted; empty is healthy.
    pub findings: Vec<Finding>,
    /// What could not be looked at; sorted.
    pub unseen: Vec<Unseen>,
}

/// A finding that was dealt with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dealt {
    /// The finding.
    #[serde(flatten)]
    pub finding: Finding,
    /// What was done, or why nothing was.
    pub how: String,
}

/// A repair's answer.
#[derive(Debug, Clone, Serialize)]
pub struct Repaired {
    /// What was mended.
    pub mended: Vec<Dealt>,
    /// What was left alone, and why.
    pub left: Vec<Dealt>,
    /// What another audit finds now.
    pub findings: Vec<Finding>,
    /// What it could not look at.
    pub unseen: Vec<Unseen>,
}

/// A finding with what can be done about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    finding: Finding,
    mend: Mend,
}

/// One look.
#[derive(Debug, Default)]
struct Look {
    found: BTreeSet<Found>,
    unseen: BTreeSet<Unseen>,
}

impl Look {
    fn add(&mut self, kind: &str, subject: impl ToString, message: impl Into<String>, mend: Mend) {
        let finding = Finding { kind: kind.into(), subject: subject.to_string(), message: message.into() };
        self.found.insert(Found { finding, mend });
    }
    fn blind(&mut self, what: impl Into<String>, reason: impl ToString) {
        self.unseen.insert(Unseen { what: what.into(), reason: reason.to_string() });
    }
}

/// What an audit looks at.
#[derive(Clone)]
pub struct Auditor {
    pub(crate) store: Store,
    pub(crate) conductor: Conductor,
    pub(crate) images: Images,
    pub(crate) network: Network,
    pub(crate) placement: Placement,
    pub(crate) env: model::Env,
    pub(crate) wires: BTreeMap<String, Arc<HostNet>>,
}

/// Time between two looks.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(500);

impl Auditor {
    /// Looks twice and reports what both looks found: what was only on its way is none.
    /// # Errors
    /// The database's.
    pub async fn run(&self) -> Result<Report, store::Error> {
        let look = self.twice().await?;
        Ok(Report { findings: look.found.into_iter().map(|f| f.finding).collect(), unseen: look.unseen.into_iter().collect() })
    }

    /// Mends what has one right answer. What is found was seen twice, and each mending looks once more in the unit that
    /// writes: a flow that runs meanwhile wins.
    /// # Errors
    /// The database's.
    pub async fn repair(&self) -> Result<Repaired, store::Error> {
        let (mut mended, mut left) = (Vec::new(), Vec::new());
        for Found { finding, mend } in self.twice().await?.found {
            match self.mend(&mend).await? {
                Ok(how) => {
                    tracing::warn!(kind = finding.kind, subject = finding.subject, message = finding.message, how, "mended");
                    mended.push(Dealt { finding, how });
                }
                Err(how) => left.push(Dealt { finding, how }),
            }
        }
        let Report { findings, unseen } = self.run().await?;
        Ok(Repaired { mended, left, findings, unseen })
    }

    async fn twice(&self) -> Result<Look, store::Error> {
        let first = self.look().await?;
        if first.found.is_empty() {
            return Ok(first);
        }
        self.env.clock.sleep(PAUSE).await;
        let mut second = self.look().await?;
        second.found.retain(|f| first.found.contains(f));
        Ok(second)
    }

    async fn look(&self) -> Result<Look, store::Error> {
        let mut look = self.store.read(records::look).await?;
        self.hosts(&mut look).await?;
        self.bytes(&mut look).await;
        Ok(look)
    }

    /// Images' rows against their bytes.
    async fn bytes(&self, look: &mut Look) {
        let found = match self.images.audit().await {
            Ok(found) => found,
            Err(e) => return look.blind("images", e),
        };
        for f in found {
            match f {
                image::Finding::Missing(id) => {
                    look.add("image", id, "is active and its bytes are not there", Mend::Leave("the bytes are gone: delete the image"));
                }
                image::Finding::WrongSize { id, recorded, found } => {
                    let why = "which of the two is right is not known: compare its checksum, then delete the image or restore its file";
                    look.add("image", id, format!("{recorded} bytes recorded, {found} there"), Mend::Leave(why));
                }
                image::Finding::Orphan(id) => look.add("image", id, "bytes without an image", Mend::Bytes(id)),
            }
        }
    }
}

async fn show(State(auditor): State<Auditor>, _: Caller) -> Result<Json<Report>, Fault> {
    Ok(Json(auditor.run().await?))
}

async fn repair(State(auditor): State<Auditor>, _: Caller) -> Result<Json<Repaired>, Fault> {
    Ok(Json(auditor.repair().await?))
}

fn routes() -> Vec<Route<Auditor>> {
    vec![
        route(Method::GET, "/audit", "kilonova:audit", Rule::Admin, show),
        route(Method::POST, "/audit/repair", "kilonova:audit:repair", Rule::Admin, repair),
    ]
}

/// The routes without handlers, for generated documents.
pub fn route_infos() -> Vec<RouteInfo> {
    routes().into_iter().map(|r| r.info).collect()
}

/// The router, to be nested at `/kilonova`.
pub fn router(auditor: Auditor) -> Router {
    web::router(FaultShape::Compute, routes(), auditor)
}
