//! `reboot`, soft or hard.

use super::Call;
use crate::fault::bad;
use api_types::server_actions;
use axum::response::Response;
use conductor::ActionRequest;
use web::Fault;

pub(super) async fn reboot(call: &Call<'_>) -> Result<Response, Fault> {
    let hard = server_actions::reboot(call.body).map_err(bad)?;
    call.act(ActionRequest::Reboot { hard }).await
}
