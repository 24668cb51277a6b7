//! `…/metadata`: a server's metadata, all of it or one key.

use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::query::known;
use crate::servers::get::{Policy, server};
use api_types::servers::{meta_body, metadata_body};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::policy::Rule;
use model::quota;
use model::server::Server;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::Tx;
use web::{Body, Fault, Query};

const READ: Policy = Policy(Rule::ProjectReader, "os_compute_api:server-metadata:show");
const WRITE: Policy = Policy(Rule::ProjectMember, "os_compute_api:server-metadata:update");

/// Refuses a server that is locked for its owner, as the original does for every change of metadata.
fn unlocked(ask: &Ask, s: &Server) -> Result<(), Fault> {
    if s.locked_by.is_some() && !ask.is_admin() {
        return Err(Fault::conflict(format!("Instance {} is locked", s.id)));
    }
    Ok(())
}

/// Refuses more items than the project may have.
/// # Errors
/// 403 inside [`store::Error::abort`].
pub fn within_quota(tx: &mut Tx, project: &str, items: usize) -> store::Result<()> {
    let Some(resource) = quota::COMPUTE.iter().find(|r| r.name == "metadata_items") else { return Ok(()) };
    let limit = store::quotas::usage(tx, project, resource)?.limit;
    if limit >= 0 && i64::try_from(items).unwrap_or(i64::MAX) > limit {
        return Err(store::Error::abort(Fault::forbidden(format!("Maximum number of metadata items exceeds {limit}"))));
    }
    Ok(())
}

/// A fault that a unit ended with, or the store's own.
pub fn fault_of(e: store::Error) -> Fault {
    match e.aborted_as::<Fault>() {
        Ok(fault) => fault,
        Err(e) => e.into(),
    }
}

async fn write(
    api: &Api,
    s: Server,
    edit: impl Fn(&mut BTreeMap<String, String>) + Send + 'static,
) -> Result<BTreeMap<String, String>, Fault> {
    let now = api.env().now();
    let changed = api
        .store()
        .write(move |tx| {
            let changed = store::servers::change(tx, s.id, now, |s| {
                edit(&mut s.body.metadata);
                Ok(())
            })?;
            within_quota(tx, &changed.project_id, changed.body.metadata.len())?;
            Ok(changed)
        })
        .await
        .map_err(fault_of)?;
    api.conductor().changed(changed.id);
    Ok(changed.body.metadata)
}

/// `GET`.
/// # Errors
/// 404.
pub async fn list(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, READ).await?;
    Ok(Json(json!({ "metadata": s.body.metadata })))
}

/// `GET` of one key.
/// # Errors
/// 404.
pub async fn show(
    State(api): State<Api>,
    ask: Ask,
    Path((id, key)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, READ).await?;
    match s.body.metadata.get(&key) {
        Some(value) => Ok(Json(json!({ "meta": { key: value } }))),
        None => Err(Fault::not_found("Metadata item was not found")),
    }
}

/// `POST`: adds and replaces keys.
/// # Errors
/// 400, 403, 404, 409.
pub async fn create(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let new = metadata_body(&body).map_err(bad)?;
    let s = server(&api, &ask, &id, WRITE).await?;
    unlocked(&ask, &s)?;
    let all = write(&api, s, move |m| m.extend(new.clone())).await?;
    Ok(Json(json!({ "metadata": all })))
}

/// `PUT`: these keys and no others.
/// # Errors
/// 400, 403, 404, 409.
pub async fn replace(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let new = metadata_body(&body).map_err(bad)?;
    let s = server(&api, &ask, &id, WRITE).await?;
    unlocked(&ask, &s)?;
    let all = write(&api, s, move |m| m.clone_from(&new)).await?;
    Ok(Json(json!({ "metadata": all })))
}

/// `PUT` of one key.
/// # Errors
/// 400, 403, 404, 409.
pub async fn update(
    State(api): State<Api>,
    ask: Ask,
    Path((id, key)): Path<(String, String)>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let (name, value) = meta_body(&body).map_err(bad)?;
    let s = server(&api, &ask, &id, WRITE).await?;
    if name != key {
        return Err(Fault::bad_request("Request body and URI mismatch"));
    }
    unlocked(&ask, &s)?;
    let answer = json!({ "meta": { name.clone(): value.clone() } });
    write(&api, s, move |m| {
        m.insert(name.clone(), value.clone());
    })
    .await?;
    Ok(Json(answer))
}

/// `DELETE` of one key.
/// # Errors
/// 404, 409.
pub async fn delete(
    State(api): State<Api>,
    ask: Ask,
    Path((id, key)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    let s = server(&api, &ask, &id, WRITE).await?;
    if !s.body.metadata.contains_key(&key) {
        return Err(Fault::not_found("Metadata item was not found"));
    }
    unlocked(&ask, &s)?;
    write(&api, s, move |m| {
        m.remove(&key);
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
