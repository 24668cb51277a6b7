//! `POST /os-server-groups`.

use super::{resource, view};
use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::servers::metadata::fault_of;
use api_types::server_groups::Create;
use axum::Json;
use axum::extract::State;
use model::server_group::{Policy, ServerGroup};
use serde_json::{Value, json};
use web::{Body, Fault};

/// The handler.
/// # Errors
/// 400, 403.
pub async fn create(State(api): State<Api>, ask: Ask, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    let w = Create::read(&body, ask.mv).map_err(bad)?;
    let policy = Policy::parse(&w.policy).ok_or_else(|| Fault::bad_request("Invalid input for field/attribute policy."))?;
    let group = ServerGroup {
        id: api.env().uuid(),
        project_id: ask.caller.project_id().to_owned(),
        user_id: ask.caller.user_id.clone(),
        name: w.name,
        policy,
        max_per_host: w.max_per_host,
        created_at: api.env().now(),
    };
    let (counted, row) = (resource(&api), group.clone());
    let stored = api.store().write(move |tx| {
        if let Some(resource) = &counted {
            store::quotas::claim(tx, &row.project_id, &[(resource, 1)])?;
        }
        store::server_groups::insert(tx, &row)
    });
    if let Err(e) = stored.await {
        return Err(match e.aborted_as::<store::quotas::Exceeded>() {
            Ok(_) => Fault::forbidden("Quota exceeded, too many server groups."),
            Err(e) => fault_of(e),
        });
    }
    Ok(Json(json!({ "server_group": view(&ask, &group, Vec::new())? })))
}
