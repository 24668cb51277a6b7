//! `DELETE /servers/{id}`.

use crate::Api;
use crate::ask::Ask;
use crate::fault::refused;
use crate::servers::get::{Policy, server};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use conductor::ActionRequest;
use model::policy::Rule;
use web::Fault;

/// The handler: accepted at once, gone a little later.
/// # Errors
/// 404, 409.
pub async fn delete(State(api): State<Api>, ask: Ask, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let s = server(&api, &ask, &id, Policy(Rule::ProjectMember, "os_compute_api:servers:delete")).await?;
    api.conductor().act(&ask.caller, s.id, ActionRequest::Delete).await.map_err(refused)?;
    api.consoles().forget(s.id);
    Ok(StatusCode::NO_CONTENT)
}
