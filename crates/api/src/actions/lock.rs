//! `lock` and `unlock`.

use super::Call;
use crate::fault::{bad, refused};
use crate::table::forbidden;
use api_types::server_actions;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use conductor::ActionRequest;
use model::server::LockedBy;
use web::Fault;

pub(super) async fn lock(call: &Call<'_>) -> Result<Response, Fault> {
    let reason = server_actions::lock(call.body, call.ask.mv).map_err(bad)?;
    call.act(ActionRequest::Lock { reason }).await
}

pub(super) async fn unlock(call: &Call<'_>) -> Result<Response, Fault> {
    let s = call.server().await?;
    if s.locked_by == Some(LockedBy::Admin) && !call.ask.is_admin() {
        return Err(forbidden("os_compute_api:os-lock-server:unlock:unlock_override"));
    }
    call.api.conductor().act(&call.ask.caller, s.id, ActionRequest::Unlock).await.map_err(refused)?;
    Ok(StatusCode::ACCEPTED.into_response())
}
