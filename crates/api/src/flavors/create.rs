//! `POST /flavors`, `PUT /flavors/{id}` (2.55) and `DELETE /flavors/{id}`: the operator's.

use super::view::view;
use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::servers::metadata::fault_of;
use api_types::flavors::{Create, update as read_update};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::flavor::Flavor;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use web::{Body, Fault};

/// `POST`.
/// # Errors
/// 400, 409.
pub async fn create(State(api): State<Api>, ask: Ask, Body(body): Body<Value>) -> Result<Response, Fault> {
    let w = Create::read(&body, ask.mv).map_err(bad)?;
    let flavor = Flavor {
        id: w.id.unwrap_or_else(|| api.env().uuid().to_string()),
        name: w.name.trim().to_owned(),
        vcpus: w.vcpus,
        memory_mib: w.ram,
        root_gib: w.disk,
        ephemeral_gib: w.ephemeral,
        swap_mib: w.swap,
        rxtx_factor: w.rxtx_factor,
        is_public: w.is_public,
        access: Vec::new(),
        disabled: false,
        description: w.description,
        extra_specs: BTreeMap::new(),
        created_at: api.env().now(),
    };
    let new = flavor.clone();
    let stored = api
        .store()
        .write(move |tx| {
            let all = store::flavors::list(tx)?;
            let taken = |text: String| store::Error::abort(Fault::conflict(text));
            if all.iter().any(|f| f.id == new.id) {
                return Err(taken(format!("Flavor with ID {} already exists.", new.id)));
            }
            if all.iter().any(|f| f.name == new.name) {
                return Err(taken(format!("Flavor with name {} already exists.", new.name)));
            }
            store::flavors::insert(tx, &new)
        })
        .await;
    stored.map_err(fault_of)?;
    Ok(Json(json!({ "flavor": view(&ask, &flavor, true) })).into_response())
}

/// `PUT`: the description, and nothing else.
/// # Errors
/// 400, 404.
pub async fn update(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Response, Fault> {
    let description = read_update(&body).map_err(bad)?;
    let f = super::change(&api, &id, move |f| {
        f.description.clone_from(&description);
        Ok(())
    })
    .await?;
    Ok(Json(json!({ "flavor": view(&ask, &f, true) })).into_response())
}

/// `DELETE`.
/// # Errors
/// 404.
pub async fn delete(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let key = id.clone();
    match api.store().write(move |tx| store::flavors::delete(tx, &key)).await {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(store::Error::NotFound { .. }) => Err(super::missing(&id)),
        Err(e) => Err(e.into()),
    }
}
