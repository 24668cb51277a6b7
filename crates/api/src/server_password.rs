//! `…/os-server-password`: what the guest posted, encrypted for its owner's key; and clearing it, so that the guest may
//! post again.

use crate::Api;
use crate::ask::Ask;
use crate::query::known;
use crate::servers::get::{Policy, server};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::policy::Rule;
use serde_json::{Value, json};
use web::{Fault, Query};

/// `GET`.
/// # Errors
/// 404.
pub async fn show(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, Policy(Rule::ProjectReader, "os_compute_api:os-server-password:show")).await?;
    let posted = s.body.posted_password.as_ref().map(|p| String::from_utf8_lossy(p.reveal()).into_owned());
    Ok(Json(json!({ "password": posted.unwrap_or_default() })))
}

/// `DELETE`.
/// # Errors
/// 404.
pub async fn clear(State(api): State<Api>, ask: Ask, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let s = server(&api, &ask, &id, Policy(Rule::ProjectMember, "os_compute_api:os-server-password:clear")).await?;
    let now = api.env().now();
    api.store()
        .write(move |tx| {
            store::servers::change(tx, s.id, now, |s| {
                s.body.posted_password = None;
                Ok(())
            })
        })
        .await?;
    api.conductor().changed(s.id);
    Ok(StatusCode::NO_CONTENT)
}
