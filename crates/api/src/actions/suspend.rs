//! `suspend` and `resume`.

use super::Call;
use axum::response::Response;
use conductor::ActionRequest;
use web::Fault;

pub(super) async fn suspend(call: &Call<'_>) -> Result<Response, Fault> {
    call.act(ActionRequest::Suspend).await
}

pub(super) async fn resume(call: &Call<'_>) -> Result<Response, Fault> {
    call.act(ActionRequest::Resume).await
}
