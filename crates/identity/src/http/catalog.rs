//! The catalogue: the services of this process, which follow its configuration and the address the client used, and
//! those an administrator added.

use super::fields::Fields;
use super::{Call, Place, allowed};
use crate::options::BuiltIn;
use crate::{Directory, Error, Identity};
use axum::Json;
use axum::extract::Path;
use axum::http::{Method, StatusCode};
use model::identity::{CatalogService, Change, Endpoint, Region};
use model::policy::Rule;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use web::{Body, Fault, Route, route};

const INTERFACES: [&str; 3] = ["public", "internal", "admin"];
const MAX_NAME: usize = 255;

pub(super) fn routes() -> Vec<Route<Identity>> {
    let (get, post, patch, delete) = (Method::GET, Method::POST, Method::PATCH, Method::DELETE);
    let (any, admin) = (Rule::Authenticated, Rule::Admin);
    let (services, service) = ("/v3/services", "/v3/services/{service}");
    let (endpoints, endpoint) = ("/v3/endpoints", "/v3/endpoints/{endpoint}");
    let (regions, region) = ("/v3/regions", "/v3/regions/{region}");
    vec![
        route(get.clone(), services, "identity:list_services", any, list_services),
        route(post.clone(), services, "identity:create_service", admin, create_service),
        route(get.clone(), service, "identity:get_service", any, show_service),
        route(patch.clone(), service, "identity:update_service", admin, update_service),
        route(delete.clone(), service, "identity:delete_service", admin, delete_service),
        route(get.clone(), endpoints, "identity:list_endpoints", any, list_endpoints),
        route(post.clone(), endpoints, "identity:create_endpoint", admin, create_endpoint),
        route(get.clone(), endpoint, "identity:get_endpoint", any, show_endpoint),
        route(patch.clone(), endpoint, "identity:update_endpoint", admin, update_endpoint),
        route(delete.clone(), endpoint, "identity:delete_endpoint", admin, delete_endpoint),
        route(get.clone(), regions, "identity:list_regions", any, list_regions),
        route(post, regions, "identity:create_region", admin, create_region),
        route(get, region, "identity:get_region", any, show_region),
        route(Method::PUT, region, "identity:create_region", admin, put_region),
        route(patch, region, "identity:update_region", admin, update_region),
        route(delete, region, "identity:delete_region", admin, delete_region),
    ]
}

/// An id that is the same in every process with the same services.
fn steady_id(kind: &str, what: &str) -> String {
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("kilonova:{kind}:{what}").as_bytes()).simple().to_string()
}

fn built_in_service(b: &BuiltIn) -> CatalogService {
    CatalogService {
        id: steady_id(&b.kind, "service"),
        kind: b.kind.clone(),
        name: Some(b.name.clone()),
        description: None,
        enabled: true,
        extra: Map::new(),
    }
}

/// All services, those of this process first.
fn services(identity: &Identity, d: &Directory) -> Vec<CatalogService> {
    let built_in = identity.options().services.iter().map(built_in_service);
    built_in.chain(d.services.values().cloned()).collect()
}

/// All endpoints, those of this process first.
fn endpoints(identity: &Identity, d: &Directory, place: &Place) -> Vec<Endpoint> {
    let mut all = Vec::new();
    for b in &identity.options().services {
        for interface in INTERFACES {
            all.push(Endpoint {
                id: steady_id(&b.kind, interface),
                service_id: steady_id(&b.kind, "service"),
                interface: interface.to_owned(),
                region_id: Some(identity.options().region.clone()),
                url: format!("{}{}", place.origin, b.path),
                enabled: true,
                extra: Map::new(),
            });
        }
    }
    all.extend(d.endpoints.values().cloned());
    all
}

fn regions(identity: &Identity, d: &Directory) -> Vec<Region> {
    let id = identity.options().region.clone();
    let built_in = fresh_region(id);
    let known = d.regions.contains_key(&built_in.id);
    (!known).then_some(built_in).into_iter().chain(d.regions.values().cloned()).collect()
}

/// The catalogue of a token.
pub(super) fn render(identity: &Identity, place: &Place, project: Option<&str>, user: &str) -> Value {
    let d = identity.directory();
    let endpoints = endpoints(identity, &d, place);
    let mut entries = Vec::new();
    for service in services(identity, &d).iter().filter(|s| s.enabled) {
        let of_service = endpoints.iter().filter(|e| e.enabled && e.service_id == service.id);
        let shown: Vec<Value> = of_service.filter_map(|e| catalog_endpoint(e, project, user)).collect();
        entries.push(json!({"id": service.id, "type": service.kind, "name": service.name, "endpoints": shown}));
    }
    Value::Array(entries)
}

/// An endpoint that is per project is left out where there is no project.
fn catalog_endpoint(e: &Endpoint, project: Option<&str>, user: &str) -> Option<Value> {
    let mut url = e.url.clone();
    for name in ["project_id", "tenant_id"] {
        for pattern in [format!("%({name})s"), format!("$({name})s")] {
            if url.contains(&pattern) {
                url = url.replace(&pattern, project?);
            }
        }
    }
    let url = url.replace("%(user_id)s", user).replace("$(user_id)s", user);
    Some(json!({"id": e.id, "interface": e.interface, "region": e.region_id, "region_id": e.region_id, "url": url}))
}

fn render_service(call: &Call, s: &CatalogService) -> Value {
    let mut body = Value::Object(s.extra.clone());
    body["id"] = json!(s.id);
    body["type"] = json!(s.kind);
    if let Some(name) = &s.name {
        body["name"] = json!(name);
    }
    body["description"] = json!(s.description);
    body["enabled"] = json!(s.enabled);
    body["links"] = call.link(&format!("services/{}", s.id));
    body
}

fn render_endpoint(call: &Call, e: &Endpoint) -> Value {
    let mut body = Value::Object(e.extra.clone());
    body["id"] = json!(e.id);
    body["service_id"] = json!(e.service_id);
    body["interface"] = json!(e.interface);
    body["region"] = json!(e.region_id);
    body["region_id"] = json!(e.region_id);
    body["url"] = json!(e.url);
    body["enabled"] = json!(e.enabled);
    body["links"] = call.link(&format!("endpoints/{}", e.id));
    body
}

fn render_region(call: &Call, r: &Region) -> Value {
    let mut body = Value::Object(r.extra.clone());
    body["id"] = json!(r.id);
    body["description"] = json!(r.description);
    body["parent_region_id"] = json!(r.parent_region_id);
    body["links"] = call.link(&format!("regions/{}", r.id));
    body
}

/// An entry an administrator added; those of this process follow its configuration.
fn own<T: Clone>(found: Option<&T>, built_in: bool, what: &'static str, id: &str) -> Result<T, Error> {
    match found {
        Some(v) => Ok(v.clone()),
        None if built_in => Err(Error::Forbidden(format!("change {what} {id}: it follows the server's configuration"))),
        None => Err(Error::not_found(what, id)),
    }
}

fn is_built_in(identity: &Identity, id: &str) -> bool {
    let mut kinds = identity.options().services.iter();
    kinds.any(|b| INTERFACES.iter().chain(&["service"]).any(|what| steady_id(&b.kind, what) == id))
}

async fn list_services(call: Call) -> Result<Json<Value>, Fault> {
    allowed(call.may_read(None), "identity:list_services")?;
    let all = services(&call.identity, &call.identity.directory());
    let kept = all.iter().filter(|s| call.keeps("type", Some(&s.kind)) && call.keeps("name", s.name.as_deref()));
    let items = kept.map(|s| (s.id.clone(), render_service(&call, s))).collect();
    Ok(Json(call.collection("services", items)?))
}

fn find_service(identity: &Identity, d: &Directory, id: &str) -> Result<CatalogService, Error> {
    services(identity, d).into_iter().find(|s| s.id == id).ok_or_else(|| Error::not_found("service", id))
}

async fn show_service(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    allowed(call.may_read(None), "identity:get_service")?;
    let service = find_service(&call.identity, &call.identity.directory(), &id)?;
    Ok(Json(json!({"service": render_service(&call, &service)})))
}

fn read_service(mut fields: Fields, s: &mut CatalogService) -> Result<(), Error> {
    if let Some(kind) = fields.name("type", MAX_NAME)? {
        s.kind = kind;
    }
    if let Some(name) = fields.text("name")? {
        s.name = name.map(|n| n.chars().take(MAX_NAME).collect());
    }
    if let Some(text) = fields.text("description")? {
        s.description = text;
    }
    if let Some(enabled) = fields.flag("enabled")? {
        s.enabled = enabled;
    }
    fields.extra_into(&mut s.extra)
}

async fn create_service(call: Call, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>), Fault> {
    let id = call.identity.env().hex_id();
    let mut service =
        CatalogService { id, kind: String::new(), name: None, description: None, enabled: true, extra: Map::new() };
    read_service(Fields::of(body, "service")?, &mut service)?;
    Fields::required("type", Some(&service.kind).filter(|k| !k.is_empty()))?;
    let made = service.clone();
    call.identity.change(move |_| Ok((vec![Change::PutService(made.clone())], ()))).await?;
    Ok((StatusCode::CREATED, Json(json!({"service": render_service(&call, &service)}))))
}

async fn update_service(call: Call, Path(id): Path<String>, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    let built_in = is_built_in(&call.identity, &id);
    let plan = move |d: &Directory| {
        let mut service = own(d.services.get(&id), built_in, "service", &id)?;
        let mut fields = Fields::of(body.clone(), "service")?;
        fields.same_id(&id)?;
        read_service(fields, &mut service)?;
        Ok((vec![Change::PutService(service.clone())], service))
    };
    let service = call.identity.change(plan).await?;
    Ok(Json(json!({"service": render_service(&call, &service)})))
}

async fn delete_service(call: Call, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let built_in = is_built_in(&call.identity, &id);
    let plan = move |d: &Directory| {
        own(d.services.get(&id), built_in, "service", &id)?;
        let gone = d.endpoints.values().filter(|e| e.service_id == id).map(|e| Change::DropEndpoint(e.id.clone()));
        Ok((gone.chain([Change::DropService(id.clone())]).collect(), ()))
    };
    call.identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_endpoints(call: Call) -> Result<Json<Value>, Fault> {
    allowed(call.may_read(None), "identity:list_endpoints")?;
    let all = endpoints(&call.identity, &call.identity.directory(), &call.place);
    let kept = all.iter().filter(|e| {
        let region = e.region_id.as_deref();
        let is = |key: &str, value: Option<&str>| call.query.get(key).is_none_or(|v| value == Some(v));
        is("interface", Some(&e.interface))
            && is("service_id", Some(&e.service_id))
            && is("region_id", region)
            && is("region", region)
    });
    let items = kept.map(|e| (e.id.clone(), render_endpoint(&call, e))).collect();
    Ok(Json(call.collection("endpoints", items)?))
}

async fn show_endpoint(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    allowed(call.may_read(None), "identity:get_endpoint")?;
    let all = endpoints(&call.identity, &call.identity.directory(), &call.place);
    let found = all.iter().find(|e| e.id == id).ok_or_else(|| Error::not_found("endpoint", &id))?;
    Ok(Json(json!({"endpoint": render_endpoint(&call, found)})))
}

fn fresh_region(id: String) -> Region {
    Region { id, description: String::new(), parent_region_id: None, extra: Map::new() }
}

/// Takes the fields over; the changes that this comes to.
fn read_endpoint(
    identity: &Identity,
    d: &Directory,
    mut fields: Fields,
    e: &mut Endpoint,
) -> Result<Vec<Change>, Error> {
    if let Some(interface) = fields.string("interface")? {
        if !INTERFACES.contains(&interface.as_str()) {
            return Err(Error::field(
                "interface",
                format_args!("'{interface}' is not one of ['admin', 'internal', 'public']"),
            ));
        }
        e.interface = interface;
    }
    if let Some(url) = fields.name("url", 1024)? {
        e.url = url;
    }
    if let Some(Some(service)) = fields.id("service_id")? {
        e.service_id = service;
    }
    // A region by its old name is made where it is missing; by id it has to be there.
    let mut made = None;
    let unknown = |id: &String| !regions(identity, d).iter().any(|r| r.id == *id);
    if let Some(region) = fields.name("region", MAX_NAME)? {
        made = Some(&region).filter(|id| unknown(id)).map(|id| fresh_region(id.clone()));
        e.region_id = Some(region);
    }
    if let Some(region) = fields.text("region_id")? {
        if let Some(id) = region.as_ref().filter(|id| unknown(id)) {
            return Err(Error::Invalid(format!("Could not find region: {id}; create it first.")));
        }
        e.region_id = region;
        made = None;
    }
    if let Some(enabled) = fields.flag("enabled")? {
        e.enabled = enabled;
    }
    fields.extra_into(&mut e.extra)?;
    for (field, value) in [("interface", &e.interface), ("url", &e.url), ("service_id", &e.service_id)] {
        Fields::required(field, Some(value).filter(|v| !v.is_empty()))?;
    }
    find_service(identity, d, &e.service_id)?;
    Ok(made.map(Change::PutRegion).into_iter().chain([Change::PutEndpoint(e.clone())]).collect())
}

async fn create_endpoint(call: Call, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>), Fault> {
    let (id, identity) = (call.identity.env().hex_id(), call.identity.clone());
    let plan = move |d: &Directory| {
        let mut endpoint = Endpoint {
            id: id.clone(),
            service_id: String::new(),
            interface: String::new(),
            region_id: None,
            url: String::new(),
            enabled: true,
            extra: Map::new(),
        };
        let changes = read_endpoint(&identity, d, Fields::of(body.clone(), "endpoint")?, &mut endpoint)?;
        Ok((changes, endpoint))
    };
    let endpoint = call.identity.change(plan).await?;
    Ok((StatusCode::CREATED, Json(json!({"endpoint": render_endpoint(&call, &endpoint)}))))
}

async fn update_endpoint(call: Call, Path(id): Path<String>, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    let (built_in, identity) = (is_built_in(&call.identity, &id), call.identity.clone());
    let plan = move |d: &Directory| {
        let mut endpoint = own(d.endpoints.get(&id), built_in, "endpoint", &id)?;
        let mut fields = Fields::of(body.clone(), "endpoint")?;
        fields.same_id(&id)?;
        let changes = read_endpoint(&identity, d, fields, &mut endpoint)?;
        Ok((changes, endpoint))
    };
    let endpoint = call.identity.change(plan).await?;
    Ok(Json(json!({"endpoint": render_endpoint(&call, &endpoint)})))
}

async fn delete_endpoint(call: Call, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let built_in = is_built_in(&call.identity, &id);
    let plan = move |d: &Directory| {
        own(d.endpoints.get(&id), built_in, "endpoint", &id)?;
        Ok((vec![Change::DropEndpoint(id.clone())], ()))
    };
    call.identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list_regions(call: Call) -> Result<Json<Value>, Fault> {
    let all = regions(&call.identity, &call.identity.directory());
    let kept = all.iter().filter(|r| call.keeps("parent_region_id", r.parent_region_id.as_deref()));
    let items = kept.map(|r| (r.id.clone(), render_region(&call, r))).collect();
    Ok(Json(call.collection("regions", items)?))
}

async fn show_region(call: Call, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let all = regions(&call.identity, &call.identity.directory());
    let found = all.iter().find(|r| r.id == id).ok_or_else(|| Error::not_found("region", &id))?;
    Ok(Json(json!({"region": render_region(&call, found)})))
}

fn read_region(identity: &Identity, d: &Directory, mut fields: Fields, r: &mut Region) -> Result<(), Error> {
    if let Some(text) = fields.text("description")? {
        r.description = text.unwrap_or_default();
    }
    if let Some(parent) = fields.text("parent_region_id")? {
        let all = regions(identity, d);
        let mut next = parent.as_deref();
        while let Some(id) = next {
            if id == r.id {
                let text = format!("The specified parent region {id} would create a circular region hierarchy.");
                return Err(Error::Invalid(text));
            }
            let above = all.iter().find(|a| a.id == id).ok_or_else(|| Error::not_found("region", id))?;
            next = above.parent_region_id.as_deref();
        }
        r.parent_region_id = parent;
    }
    fields.extra_into(&mut r.extra)
}

async fn make_region(call: &Call, id: Option<String>, body: Value) -> Result<(StatusCode, Json<Value>), Fault> {
    let (fresh, identity) = (call.identity.env().hex_id(), call.identity.clone());
    let plan = move |d: &Directory| {
        let mut fields = Fields::of(body.clone(), "region")?;
        if let Some(id) = &id {
            fields.same_id(id)?;
        }
        let named = id.clone().or(fields.name("id", MAX_NAME)?);
        let id = named.unwrap_or_else(|| fresh.clone());
        if regions(&identity, d).iter().any(|r| r.id == id) {
            return Err(Error::duplicate("region", format_args!("Duplicate entry found with ID {id}")));
        }
        let mut region = fresh_region(id);
        read_region(&identity, d, fields, &mut region)?;
        Ok((vec![Change::PutRegion(region.clone())], region))
    };
    let region = call.identity.change(plan).await?;
    Ok((StatusCode::CREATED, Json(json!({"region": render_region(call, &region)}))))
}

async fn create_region(call: Call, Body(body): Body<Value>) -> Result<(StatusCode, Json<Value>), Fault> {
    make_region(&call, None, body).await
}

async fn put_region(
    call: Call,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    make_region(&call, Some(id), body).await
}

async fn update_region(call: Call, Path(id): Path<String>, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    let (built_in, identity) = (call.identity.options().region == id, call.identity.clone());
    let plan = move |d: &Directory| {
        let mut region = own(d.regions.get(&id), built_in, "region", &id)?;
        let mut fields = Fields::of(body.clone(), "region")?;
        fields.same_id(&id)?;
        read_region(&identity, d, fields, &mut region)?;
        Ok((vec![Change::PutRegion(region.clone())], region))
    };
    let region = call.identity.change(plan).await?;
    Ok(Json(json!({"region": render_region(&call, &region)})))
}

async fn delete_region(call: Call, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let built_in = call.identity.options().region == id;
    let plan = move |d: &Directory| {
        own(d.regions.get(&id), built_in, "region", &id)?;
        let child = |r: &Region| r.parent_region_id.as_deref() == Some(id.as_str());
        if d.endpoints.values().any(|e| e.region_id.as_deref() == Some(id.as_str())) || d.regions.values().any(child) {
            let text =
                format!("delete region {id} because it or its child regions have associated endpoints or regions");
            return Err(Error::Forbidden(text));
        }
        Ok((vec![Change::DropRegion(id.clone())], ()))
    };
    call.identity.change(plan).await?;
    Ok(StatusCode::NO_CONTENT)
}
