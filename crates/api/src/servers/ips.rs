//! `GET /servers/{id}/ips` and `…/ips/{network}`.

use crate::Api;
use crate::ask::Ask;
use crate::query::known;
use crate::servers::get::{Policy, server};
use crate::servers::view::addresses;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use model::policy::Rule;
use serde_json::json;
use web::{Fault, Query};

/// All addresses by network.
/// # Errors
/// 404.
pub async fn list(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Response, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, Policy(Rule::ProjectReader, "os_compute_api:ips:index")).await?;
    Ok(Json(json!({ "addresses": addresses(&s, false) })).into_response())
}

/// The addresses on one network.
/// # Errors
/// 404.
pub async fn show(
    State(api): State<Api>,
    ask: Ask,
    Path((id, network)): Path<(String, String)>,
    query: Query,
) -> Result<Response, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, Policy(Rule::ProjectReader, "os_compute_api:ips:show")).await?;
    let all = addresses(&s, false);
    match all.0.iter().find(|(name, _)| *name == network) {
        Some((name, list)) => Ok(Json(json!({ *name: list })).into_response()),
        None => Err(Fault::not_found("Instance is not a member of specified network")),
    }
}
