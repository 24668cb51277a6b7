//! The Placement API, microversions 1.0 to 1.39, below wherever the server mounts it.
//!
//! Reads that a scheduler makes in a loop (allocation candidates, lists of providers) are answered from memory; all
//! that has generations is read and written in one unit. Granular groups, nested and sharing providers in one
//! candidate, and reshaping are not built.

mod aggregates;
mod allocations;
mod body;
mod candidates;
mod classes;
mod inventories;
mod names;
mod providers;
mod query;
mod traits;
mod usages;
mod version;

use crate::{Error, Placement};
use axum::Json;
use axum::Router;
use axum::http::{HeaderName, Method, StatusCode, header};
use axum::middleware::from_fn_with_state;
use model::placement::Provider;
use model::policy::Rule;
use serde_json::{Value, json};
use store::placement::providers as rows;
use store::Tx;
use uuid::Uuid;
use web::{Fault, FaultShape, Origin, Route, RouteInfo, route};

pub use version::{MAX_MINOR, Version};

/// Routes and parameters of Placement that are not built: method and path. They answer 501.
pub const NOT_BUILT: &[(&str, &str)] =
    &[
        ("POST", "/reshaper"),
        ("GET", "/allocation_candidates?resources1="),
        ("GET", "/allocation_candidates?root_required="),
        ("PUT", "/resource_classes/{name} before 1.7"),
    ];

/// Generation conflict.
const CONCURRENT: &str = "placement.concurrent_update";
/// A value in the query string.
const BAD_VALUE: &str = "placement.query.bad_value";

fn built() -> Vec<Route<Placement>> {
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    let s = Rule::Service;
    let rp = "placement:resource_providers";
    let inv = "placement:resource_providers:inventories";
    let alloc = "placement:allocations";
    vec![
        route(get.clone(), "/", "", Rule::Anyone, version::root),
        route(get.clone(), "/resource_providers", rp, s, providers::list),
        route(post.clone(), "/resource_providers", rp, s, providers::create),
        route(get.clone(), "/resource_providers/{uuid}", rp, s, providers::show),
        route(put.clone(), "/resource_providers/{uuid}", rp, s, providers::update),
        route(delete.clone(), "/resource_providers/{uuid}", rp, s, providers::delete),
        route(get.clone(), "/resource_providers/{uuid}/inventories", inv, s, inventories::list),
        route(put.clone(), "/resource_providers/{uuid}/inventories", inv, s, inventories::replace),
        route(post.clone(), "/resource_providers/{uuid}/inventories", inv, s, inventories::create),
        route(delete.clone(), "/resource_providers/{uuid}/inventories", inv, s, inventories::clear),
        route(get.clone(), "/resource_providers/{uuid}/inventories/{class}", inv, s, inventories::show),
        route(put.clone(), "/resource_providers/{uuid}/inventories/{class}", inv, s, inventories::update),
        route(delete.clone(), "/resource_providers/{uuid}/inventories/{class}", inv, s, inventories::delete),
        route(get.clone(), "/resource_providers/{uuid}/aggregates", rp, s, aggregates::list),
        route(put.clone(), "/resource_providers/{uuid}/aggregates", rp, s, aggregates::replace),
        route(get.clone(), "/resource_providers/{uuid}/traits", rp, s, traits::of_provider),
        route(put.clone(), "/resource_providers/{uuid}/traits", rp, s, traits::replace),
        route(delete.clone(), "/resource_providers/{uuid}/traits", rp, s, traits::clear),
        route(get.clone(), "/resource_providers/{uuid}/usages", rp, s, usages::of_provider),
        route(get.clone(), "/resource_providers/{uuid}/allocations", rp, s, allocations::of_provider),
        route(get.clone(), "/usages", "placement:usages", Rule::ProjectReader, usages::of_project),
        route(get.clone(), "/traits", "placement:traits:list", s, traits::list),
        route(get.clone(), "/traits/{name}", "placement:traits:show", s, traits::show),
        route(put.clone(), "/traits/{name}", "placement:traits:update", s, traits::create),
        route(delete.clone(), "/traits/{name}", "placement:traits:delete", s, traits::delete),
        route(get.clone(), "/resource_classes", "placement:resource_classes:list", s, classes::list),
        route(post.clone(), "/resource_classes", "placement:resource_classes:create", s, classes::create),
        route(get.clone(), "/resource_classes/{name}", "placement:resource_classes:show", s, classes::show),
        route(put.clone(), "/resource_classes/{name}", "placement:resource_classes:update", s, classes::ensure),
        route(delete.clone(), "/resource_classes/{name}", "placement:resource_classes:delete", s, classes::delete),
        route(post, "/allocations", alloc, s, allocations::many),
        route(get.clone(), "/allocations/{consumer}", alloc, s, allocations::show),
        route(put, "/allocations/{consumer}", alloc, s, allocations::replace),
        route(delete, "/allocations/{consumer}", alloc, s, allocations::delete),
        route(get, "/allocation_candidates", "placement:allocation_candidates:list", s, candidates::list),
    ]
}

/// Every route, those that are not built included.
pub fn routes() -> Vec<Route<Placement>> {
    let mut all = built();
    let reshape = || async { Fault::not_built("POST /reshaper") };
    all.push(route(Method::POST, "/reshaper", "placement:reshaper:reshape", Rule::Service, reshape));
    all
}

/// The service's router.
pub fn router(placement: Placement) -> Router {
    let layer = from_fn_with_state(placement.env.clock.clone(), version::negotiate);
    web::router(FaultShape::Placement, routes(), placement).layer(layer)
}

/// The routes, for generated documents.
pub fn route_infos() -> Vec<RouteInfo> {
    routes().into_iter().map(|r| r.info).collect()
}

/// A refusal inside a unit: the fault travels through the store's error.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refused(Box<Fault>);

/// Ends a unit with a fault.
fn refuse<T>(fault: Fault) -> store::Result<T> {
    Err(store::Error::abort(Refused(Box::new(fault))))
}

/// The fault of a unit that ended.
fn fault(e: store::Error) -> Fault {
    match e.aborted_as::<Refused>() {
        Ok(Refused(f)) => *f,
        Err(other) => Fault::from(other),
    }
}

impl From<Error> for Fault {
    fn from(Error::Store(e): Error) -> Fault {
        fault(e)
    }
}

impl Placement {
    async fn unit<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx) -> store::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        self.store.write(f).await.map_err(fault)
    }
    async fn look<T: Send + 'static>(
        &self,
        f: impl FnMut(&mut Tx) -> store::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        self.store.read(f).await.map_err(fault)
    }
}

/// The provider of a path.
fn provider(tx: &mut Tx, id: &str) -> store::Result<Provider> {
    let found = match Uuid::try_parse(id) {
        Ok(uuid) => rows::get(tx, uuid)?,
        Err(_) => None,
    };
    match found {
        Some(p) => Ok(p),
        None => refuse(Fault::not_found(format!("No resource provider with uuid {id} found"))),
    }
}

/// The provider of a path, whose generation the writer has seen.
fn provider_at(tx: &mut Tx, id: &str, generation: i64) -> store::Result<Provider> {
    let p = provider(tx, id)?;
    if p.generation == generation { Ok(p) } else { refuse(conflict()) }
}

/// Moves the provider's generation on; false is somebody else's change.
fn bump(tx: &mut Tx, p: &Provider, now: driver_api::Timestamp) -> store::Result<i64> {
    if rows::bump(tx, p.id, p.generation, now)? { Ok(p.generation + 1) } else { refuse(conflict()) }
}

fn conflict() -> Fault {
    Fault::conflict("resource provider generation conflict: Resource provider's generation already changed. Please update the generation and try again.").kind(CONCURRENT)
}

/// 404 for routes that came with a later microversion.
fn since(v: Version, minor: u16) -> Result<(), Fault> {
    if v.0 >= minor { Ok(()) } else { Err(Fault::not_found("The resource could not be found.")) }
}

fn ok(body: Value) -> (StatusCode, Json<Value>) {
    (StatusCode::OK, Json(body))
}

fn public(placement: &Placement, path: &str) -> String {
    format!("{}{path}", placement.options.public_prefix.trim_end_matches('/'))
}

/// The address of a new thing, as the client may ask for it.
fn location(placement: &Placement, origin: &Origin, path: &str) -> [(HeaderName, String); 1] {
    [(header::LOCATION, format!("{}{}", origin.0, public(placement, path)))]
}

fn link(placement: &Placement, rel: &str, path: &str) -> Value {
    json!({"rel": rel, "href": public(placement, path)})
}
