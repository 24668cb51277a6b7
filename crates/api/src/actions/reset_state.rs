//! `os-resetState`: an administrator says what a server's state is. What runs on it loses its right to write.

use super::Call;
use crate::fault::bad;
use api_types::server_actions;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::server::VmState;
use web::Fault;

pub(super) async fn reset(call: &Call<'_>) -> Result<Response, Fault> {
    let active = server_actions::reset_state(call.body).map_err(bad)?;
    let s = call.server().await?;
    let (id, now) = (s.id, call.api.env().now());
    call.api
        .store()
        .write(move |tx| {
            let mut s = store::servers::lock(tx, id)?;
            let owner = s.flow_id.take();
            if let Some(flow) = owner {
                store::flows::supersede(tx, flow, now)?;
            }
            s.action = None;
            s.vm_state = if active { VmState::Active } else { VmState::Error };
            s.generation += 1;
            s.updated_at = now;
            store::servers::update(tx, &s, owner)
        })
        .await?;
    Ok(StatusCode::ACCEPTED.into_response())
}
