//! `os-start` and `os-stop`.

use super::Call;
use axum::response::Response;
use conductor::ActionRequest;
use web::Fault;

pub(super) async fn start(call: &Call<'_>) -> Result<Response, Fault> {
    call.act(ActionRequest::Start).await
}

pub(super) async fn stop(call: &Call<'_>) -> Result<Response, Fault> {
    call.act(ActionRequest::Stop).await
}
