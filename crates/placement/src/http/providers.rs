//! `/resource_providers`.

use super::body::{Body, length};
use super::query::{Filters, only};
use super::version::Version;
use super::{link, location, ok, provider, refuse};
use crate::Placement;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::placement::Provider;
use serde::Deserialize;
use serde_json::{Value, json};
use store::Tx;
use store::placement::{allocations, providers as rows};
use uuid::Uuid;
use web::{Fault, Origin, Query};

/// Longest name.
const MAX_NAME: usize = 200;

/// Body of POST.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    name: String,
    uuid: Option<Uuid>,
    #[serde(default, deserialize_with = "given")]
    parent_provider_uuid: Option<Option<Uuid>>,
}

/// Body of PUT. A missing parent keeps it; `null` is no parent.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    name: String,
    #[serde(default, deserialize_with = "given")]
    parent_provider_uuid: Option<Option<Uuid>>,
}

fn given<'de, D: serde::Deserializer<'de>>(d: D) -> Result<Option<Option<Uuid>>, D::Error> {
    Option::<Uuid>::deserialize(d).map(Some)
}

fn view(me: &Placement, p: &Provider, v: Version) -> Value {
    let own = format!("/resource_providers/{}", p.id);
    let mut links = vec![link(me, "self", &own)];
    for (rel, since) in [("inventories", 0), ("usages", 0), ("aggregates", 1), ("traits", 6), ("allocations", 11)] {
        if v.0 >= since {
            links.push(link(me, rel, &format!("{own}/{rel}")));
        }
    }
    let mut out = json!({"uuid": p.id, "name": p.name, "generation": p.generation, "links": links});
    if v.0 >= 14 {
        out["parent_provider_uuid"] = json!(p.parent);
        out["root_provider_uuid"] = json!(p.root);
    }
    out
}

/// `GET`
pub(super) async fn list(State(me): State<Placement>, v: Version, q: Query) -> Result<Json<Value>, Fault> {
    let allowed = [("name", 0), ("uuid", 0), ("member_of", 3), ("resources", 4), ("in_tree", 14), ("required", 18)];
    only(&q, v, &allowed)?;
    let filters = Filters::read(&q, v)?;
    let no_uuid = |text: &str| Fault::bad_request(format!("Invalid query string parameters: '{text}' is not a 'uuid'"));
    let uuid = q.get("uuid").map(|t| Uuid::try_parse(t).map_err(|_| no_uuid(t))).transpose()?;
    let known = filters.known(&me.read());
    if !known {
        let f = filters.clone();
        me.look(move |tx| f.check(tx)).await?;
    }
    let c = me.read();
    let rows = filters.rows(&c).into_iter().filter_map(|r| c.provider[r].as_ref());
    let shown: Vec<Value> = rows
        .filter(|p| q.get("name").is_none_or(|n| n == p.name) && uuid.is_none_or(|u| u == p.id))
        .map(|p| view(&me, p, v))
        .collect();
    Ok(Json(json!({"resource_providers": shown})))
}

fn check(name: &str, parent: Option<Option<Uuid>>, v: Version) -> Result<(), Fault> {
    length("name", name, MAX_NAME)?;
    if parent.is_some() && v.0 < 14 {
        let message = "JSON does not validate: Additional properties are not allowed ('parent_provider_uuid' was \
                       unexpected): it comes with microversion 1.14";
        return Err(Fault::bad_request(message));
    }
    Ok(())
}

fn cannot_save<T>(why: impl std::fmt::Display) -> store::Result<T> {
    refuse(Fault::bad_request(format!("Unable to save resource provider: {why}")))
}

/// The root of the tree in which `own` lies below `parent`.
fn root_under(tx: &mut Tx, parent: Option<Uuid>, own: Uuid) -> store::Result<Uuid> {
    let Some(parent) = parent else { return Ok(own) };
    if parent == own {
        return cannot_save("parent provider UUID cannot be same as UUID. Please provide a different parent provider UUID.");
    }
    match rows::get(tx, parent)? {
        Some(p) => Ok(p.root),
        None => cannot_save("parent provider UUID does not exist."),
    }
}

/// Does `child` lie below `top`?
fn below(tx: &mut Tx, child: Option<Uuid>, top: Uuid) -> store::Result<bool> {
    let mut at = child;
    while let Some(id) = at {
        if id == top {
            return Ok(true);
        }
        at = rows::get(tx, id)?.and_then(|p| p.parent);
    }
    Ok(false)
}

/// `POST`
pub(super) async fn create(State(me): State<Placement>, v: Version, origin: Origin, Body(b): Body<New>) -> Result<Response, Fault> {
    check(&b.name, b.parent_provider_uuid, v)?;
    let (now, id) = (me.env.now(), b.uuid.unwrap_or_else(|| me.env.uuid()));
    let parent = b.parent_provider_uuid.flatten();
    let made = me
        .unit(move |tx| {
            let root = root_under(tx, parent, id)?;
            let p = Provider {
                id,
                name: b.name.clone(),
                generation: 0,
                parent,
                root,
                host: None,
                node: None,
                created_at: now,
                updated_at: now,
            };
            if rows::insert(tx, &p)? {
                return Ok(p);
            }
            let what = if rows::get(tx, id)?.is_some() { format!("uuid: {id}") } else { format!("name: {}", b.name) };
            let message = format!("Conflicting resource provider {what} already exists.");
            refuse(Fault::conflict(message).kind("placement.duplicate_name"))
        })
        .await?;
    me.reload(made.id).await?;
    let headers = location(&me, &origin, &format!("/resource_providers/{}", made.id));
    if v.0 < 20 {
        return Ok((StatusCode::CREATED, headers).into_response());
    }
    Ok((StatusCode::OK, headers, Json(view(&me, &made, v))).into_response())
}

/// `GET /{uuid}`
pub(super) async fn show(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let p = me.look(move |tx| provider(tx, &id)).await?;
    Ok(Json(view(&me, &p, v)))
}

/// `PUT /{uuid}`
pub(super) async fn update(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
    Body(b): Body<Change>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    check(&b.name, b.parent_provider_uuid, v)?;
    let now = me.env.now();
    let (p, moved) = me
        .unit(move |tx| {
            let mut p = provider(tx, &id)?;
            let moved = b.parent_provider_uuid.is_some_and(|parent| parent != p.parent);
            if let Some(parent) = b.parent_provider_uuid.filter(|_| moved) {
                if p.parent.is_some() && v.0 < 37 {
                    let how = if parent.is_none() { "un" } else { "re" };
                    return cannot_save(format!("{how}-parenting a provider is not currently allowed."));
                }
                p.root = root_under(tx, parent, p.id)?;
                if below(tx, parent, p.id)? {
                    return cannot_save("creating loop in the provider tree is not allowed.");
                }
                p.parent = parent;
            }
            p.name.clone_from(&b.name);
            p.updated_at = now;
            if !rows::update(tx, &p)? {
                let message = format!("Conflicting resource provider name: {} already exists.", p.name);
                return refuse(Fault::conflict(message).kind("placement.duplicate_name"));
            }
            if moved {
                rows::move_tree(tx, p.id, p.root)?;
            }
            Ok((p, moved))
        })
        .await?;
    if moved {
        me.load().await?;
    } else {
        me.reload(p.id).await?;
    }
    Ok(ok(view(&me, &p, v)))
}

/// `DELETE /{uuid}`
pub(super) async fn delete(State(me): State<Placement>, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let gone = me
        .unit(move |tx| {
            let found = Uuid::try_parse(&id).ok().map(|u| rows::get(tx, u)).transpose()?.flatten();
            let Some(p) = found else {
                return refuse(Fault::not_found(format!("No resource provider with uuid {id} found for delete")));
            };
            if !rows::children(tx, p.id)?.is_empty() {
                let message = format!("Unable to delete parent resource provider {id}: It has child resource providers.");
                return refuse(Fault::conflict(message).kind("placement.resource_provider.cannot_delete_parent"));
            }
            if allocations::any(tx, p.id, None)? {
                let message = format!("Unable to delete resource provider {id}: Resource provider has allocations.");
                return refuse(Fault::conflict(message).kind("placement.resource_provider.inuse"));
            }
            rows::delete(tx, p.id)?;
            Ok(p.id)
        })
        .await?;
    me.reload(gone).await?;
    Ok(StatusCode::NO_CONTENT)
}
