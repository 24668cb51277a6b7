//! `pause` and `unpause`.

use super::Call;
use axum::response::Response;
use conductor::ActionRequest;
use web::Fault;

pub(super) async fn pause(call: &Call<'_>) -> Result<Response, Fault> {
    call.act(ActionRequest::Pause).await
}

pub(super) async fn unpause(call: &Call<'_>) -> Result<Response, Fault> {
    call.act(ActionRequest::Unpause).await
}
