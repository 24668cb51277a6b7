//! `/resource_classes`.

use super::body::{Body, length, schema};
use super::version::Version;
use super::{link, location, names, refuse, since};
use crate::Placement;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use store::placement::inventories;
use store::placement::names::{self as customs, Names};
use web::{Fault, Origin};

/// Body of POST.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct New {
    name: String,
}

fn view(me: &Placement, name: &str) -> Value {
    json!({"name": name, "links": [link(me, "self", &format!("/resource_classes/{name}"))]})
}

fn check(name: &str) -> Result<(), Fault> {
    length("name", name, 255)?;
    if names::is_custom(name) {
        return Ok(());
    }
    let message = format!(
        "'{name}' does not match '^CUSTOM_[A-Z0-9_]+$': start with CUSTOM_ and use capital letters, digits and underscores"
    );
    Err(schema("pattern", message))
}

fn unknown<T>(name: &str) -> store::Result<T> {
    refuse(Fault::not_found(format!("No such resource class {name}.")))
}

/// `GET`
pub(super) async fn list(State(me): State<Placement>, v: Version) -> Result<Json<Value>, Fault> {
    since(v, 2)?;
    let custom = me.look(|tx| customs::all(tx, Names::Classes)).await?;
    let all = names::CLASSES.iter().copied().chain(custom.iter().map(String::as_str));
    let shown: Vec<Value> = all.map(|n| view(&me, n)).collect();
    Ok(Json(json!({"resource_classes": shown})))
}

/// `POST`
pub(super) async fn create(State(me): State<Placement>, v: Version, origin: Origin, Body(b): Body<New>) -> Result<Response, Fault> {
    since(v, 2)?;
    check(&b.name)?;
    let headers = location(&me, &origin, &format!("/resource_classes/{}", b.name));
    let now = me.env.now();
    me.unit(move |tx| {
        if customs::add(tx, Names::Classes, &b.name, now)? {
            return Ok(());
        }
        refuse(Fault::conflict(format!("Conflicting resource class already exists: {}", b.name)))
    })
    .await?;
    Ok((StatusCode::CREATED, headers).into_response())
}

/// `GET /{name}`
pub(super) async fn show(
    State(me): State<Placement>,
    v: Version,
    Path(name): Path<String>,
) -> Result<Json<Value>, Fault> {
    since(v, 2)?;
    let n = name.clone();
    me.look(move |tx| if names::is_class(tx, &n)? { Ok(()) } else { unknown(&n) }).await?;
    Ok(Json(view(&me, &name)))
}

/// `PUT /{name}`: makes it, if it is not there (1.7). Renaming, which came before that, is not built.
pub(super) async fn ensure(
    State(me): State<Placement>,
    v: Version,
    origin: Origin,
    Path(name): Path<String>,
) -> Result<Response, Fault> {
    since(v, 2)?;
    if v.0 < 7 {
        return Err(Fault::not_built("PUT /resource_classes/{name} before microversion 1.7 (renaming)"));
    }
    check(&name)?;
    let headers = location(&me, &origin, &format!("/resource_classes/{name}"));
    let now = me.env.now();
    let fresh = me.unit(move |tx| customs::add(tx, Names::Classes, &name, now)).await?;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    Ok((status, headers).into_response())
}

/// `DELETE /{name}`
pub(super) async fn delete(
    State(me): State<Placement>,
    v: Version,
    Path(name): Path<String>,
) -> Result<StatusCode, Fault> {
    since(v, 2)?;
    if names::CLASSES.contains(&name.as_str()) {
        return Err(Fault::bad_request(format!("Error in delete resource class: Cannot delete standard resource class {name}.")));
    }
    me.unit(move |tx| {
        if inventories::class_in_use(tx, &name)? {
            return refuse(Fault::conflict(format!("Error in delete resource class: Class is in use in inventory: {name}.")));
        }
        if customs::remove(tx, Names::Classes, &name)? { Ok(()) } else { unknown(&name) }
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
