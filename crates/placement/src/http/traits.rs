//! `/traits` and the traits of providers.

use super::body::Body;
use super::query::only;
use super::version::Version;
use super::{bump, location, names, provider, provider_at, refuse, since};
use crate::Placement;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::Tx;
use store::placement::names::{self as customs, Names};
use store::placement::traits as rows;
use web::{Fault, Origin, Query};

/// Body of PUT.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    resource_provider_generation: i64,
    traits: Vec<String>,
}

/// `GET /traits`
pub(super) async fn list(State(me): State<Placement>, v: Version, q: Query) -> Result<Json<Value>, Fault> {
    since(v, 6)?;
    only(&q, v, &[("name", 6), ("associated", 6)])?;
    let (custom, associated) =
        me.look(|tx| Ok((customs::all(tx, Names::Traits)?, rows::associated(tx)?))).await?;
    let used: BTreeSet<&str> = associated.iter().map(String::as_str).collect();
    let mut all: BTreeSet<&str> = names::standard_traits().collect();
    all.extend(custom.iter().chain(&associated).map(String::as_str));
    match q.get("associated").map(str::to_ascii_lowercase).as_deref() {
        None => {}
        Some("true") => all.retain(|t| used.contains(t)),
        Some("false") => all.retain(|t| !used.contains(t)),
        Some(other) => {
            return Err(Fault::bad_request(format!("The query parameter \"associated\" only accepts \"true\" or \"false\", not {other}")));
        }
    }
    if let Some(name) = q.get("name") {
        if let Some(prefix) = name.strip_prefix("startswith:") {
            all.retain(|t| t.starts_with(prefix));
        } else if let Some(list) = name.strip_prefix("in:") {
            let list: BTreeSet<&str> = list.split(',').collect();
            all.retain(|t| list.contains(t));
        } else {
            let message = format!(
                "Badly formatted name parameter. Expected name query string parameter in form: \
                 ?name=[in|startswith]:[name1,name2|prefix]. Got: \"{name}\""
            );
            return Err(Fault::bad_request(message));
        }
    }
    Ok(Json(json!({"traits": all})))
}

fn unknown<T>(name: &str) -> store::Result<T> {
    refuse(Fault::not_found(format!("No such trait(s): {name}.")))
}

/// `GET /traits/{name}`
pub(super) async fn show(State(me): State<Placement>, v: Version, Path(name): Path<String>) -> Result<StatusCode, Fault> {
    since(v, 6)?;
    me.look(move |tx| if names::is_trait(tx, &name)? { Ok(()) } else { unknown(&name) }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /traits/{name}`
pub(super) async fn create(State(me): State<Placement>, v: Version, origin: Origin, Path(name): Path<String>) -> Result<Response, Fault> {
    since(v, 6)?;
    if !names::is_custom(&name) {
        return Err(Fault::bad_request(format!(
            "The trait is invalid. A valid trait must be no longer than 255 characters, start with the prefix \
             \"CUSTOM_\" and use following characters: \"A\"-\"Z\", \"0\"-\"9\" and \"_\"; got {name}"
        )));
    }
    let headers = location(&me, &origin, &format!("/traits/{name}"));
    let now = me.env.now();
    let fresh = me.unit(move |tx| customs::add(tx, Names::Traits, &name, now)).await?;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
    Ok((status, headers).into_response())
}

/// `DELETE /traits/{name}`
pub(super) async fn delete(State(me): State<Placement>, v: Version, Path(name): Path<String>) -> Result<StatusCode, Fault> {
    since(v, 6)?;
    if names::is_standard_trait(&name) {
        return Err(Fault::bad_request(format!("Cannot delete standard trait {name}.")));
    }
    me.unit(move |tx| {
        if rows::in_use(tx, &name)? {
            return refuse(Fault::conflict(format!("The trait {name} is in use by a resource provider.")));
        }
        if customs::remove(tx, Names::Traits, &name)? { Ok(()) } else { unknown(&name) }
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

fn view(traits: &[String], generation: i64) -> Value {
    json!({"resource_provider_generation": generation, "traits": traits})
}

/// `GET /resource_providers/{uuid}/traits`
pub(super) async fn of_provider(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    since(v, 6)?;
    let read = move |tx: &mut Tx| {
        let p = provider(tx, &id)?;
        Ok((rows::of(tx, p.id)?, p.generation))
    };
    let (all, generation) = me.look(read).await?;
    Ok(Json(view(&all.into_iter().map(|t| t.name).collect::<Vec<_>>(), generation)))
}

/// Makes the provider's traits those of `wanted`; what its host reported and stays is still its host's.
fn set(tx: &mut Tx, id: uuid::Uuid, wanted: &BTreeSet<String>) -> store::Result<()> {
    for old in rows::of(tx, id)? {
        if !wanted.contains(&old.name) {
            rows::remove(tx, id, &old.name)?;
        }
    }
    for name in wanted {
        rows::add(tx, id, name, false)?;
    }
    Ok(())
}

/// `PUT /resource_providers/{uuid}/traits`
pub(super) async fn replace(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
    Body(b): Body<Given>,
) -> Result<Json<Value>, Fault> {
    since(v, 6)?;
    let wanted: BTreeSet<String> = b.traits.iter().cloned().collect();
    if wanted.len() != b.traits.len() {
        return Err(Fault::bad_request("JSON does not validate: traits has non-unique elements"));
    }
    let now = me.env.now();
    let (pid, all, generation) = me
        .unit(move |tx| {
            let p = provider_at(tx, &id, b.resource_provider_generation)?;
            names::check_traits(tx, wanted.iter().map(String::as_str))?;
            set(tx, p.id, &wanted)?;
            let generation = bump(tx, &p, now)?;
            Ok((p.id, wanted.iter().cloned().collect::<Vec<_>>(), generation))
        })
        .await?;
    me.reload(pid).await?;
    Ok(Json(view(&all, generation)))
}

/// `DELETE /resource_providers/{uuid}/traits`
pub(super) async fn clear(State(me): State<Placement>, v: Version, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    since(v, 6)?;
    let now = me.env.now();
    let pid = me
        .unit(move |tx| {
            let p = provider(tx, &id)?;
            set(tx, p.id, &BTreeSet::new())?;
            bump(tx, &p, now)?;
            Ok(p.id)
        })
        .await?;
    me.reload(pid).await?;
    Ok(StatusCode::NO_CONTENT)
}
