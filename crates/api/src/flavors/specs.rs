//! `…/os-extra_specs`: what a flavor asks of its hosts.

use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::query::known;
use api_types::flavors::{extra_spec, extra_specs};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use web::{Body, Fault, Query};

fn missing(flavor: &str, key: &str) -> Fault {
    Fault::not_found(format!("Flavor {flavor} has no extra specs with key {key}."))
}

/// `GET`.
/// # Errors
/// 404.
pub async fn list(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let f = super::find(&api, &ask, &id).await?;
    Ok(Json(json!({ "extra_specs": f.extra_specs })))
}

/// `GET` of one.
/// # Errors
/// 404.
pub async fn show(
    State(api): State<Api>,
    ask: Ask,
    Path((id, key)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let f = super::find(&api, &ask, &id).await?;
    let value = f.extra_specs.get(&key).ok_or_else(|| missing(&id, &key))?;
    Ok(Json(json!({ key: value })))
}

/// `POST`: adds and replaces.
/// # Errors
/// 400, 404.
pub async fn create(State(api): State<Api>, Path(id): Path<String>, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    let new = extra_specs(&body).map_err(bad)?;
    super::change(&api, &id, move |f| {
        f.extra_specs.extend(new.clone());
        Ok(())
    })
    .await?;
    Ok(Json(body))
}

/// `PUT` of one.
/// # Errors
/// 400, 404.
pub async fn update(
    State(api): State<Api>,
    Path((id, key)): Path<(String, String)>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let (name, value) = extra_spec(&body).map_err(bad)?;
    if name != key {
        return Err(Fault::bad_request("Request body and URI mismatch"));
    }
    super::change(&api, &id, move |f| {
        f.extra_specs.insert(name.clone(), value.clone());
        Ok(())
    })
    .await?;
    Ok(Json(body))
}

/// `DELETE` of one.
/// # Errors
/// 404.
pub async fn delete(State(api): State<Api>, Path((id, key)): Path<(String, String)>) -> Result<StatusCode, Fault> {
    let flavor = id.clone();
    super::change(&api, &id, move |f| f.extra_specs.remove(&key).map(|_| ()).ok_or_else(|| missing(&flavor, &key))).await?;
    Ok(StatusCode::OK)
}
