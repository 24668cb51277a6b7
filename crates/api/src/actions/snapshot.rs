//! `createImage`: an image row at once, its bytes a little later.

use super::Call;
use crate::fault::{bad, refused};
use crate::servers::metadata::within_quota;
use api_types::server_actions;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use conductor::ActionRequest;
use serde_json::json;
use web::Fault;

pub(super) async fn snapshot(call: &Call<'_>) -> Result<Response, Fault> {
    let (name, metadata) = server_actions::create_image(call.body).map_err(bad)?;
    let s = call.server().await?;
    if !call.ask.at_least(39) && !metadata.is_empty() {
        let (project, items) = (call.ask.caller.project_id().to_owned(), metadata.len());
        let checked = call.api.store().read(move |tx| within_quota(tx, &project, items)).await;
        checked.map_err(|_| Fault::forbidden("Image metadata limit exceeded"))?;
    }
    let request = ActionRequest::Snapshot { name: name.trim().to_owned(), metadata };
    let accepted = call.api.conductor().act(&call.ask.caller, s.id, request).await.map_err(refused)?;
    let image = accepted.image.ok_or_else(|| Fault::internal("a snapshot without an image"))?;
    if call.ask.at_least(45) {
        return Ok((StatusCode::ACCEPTED, Json(json!({ "image_id": image }))).into_response());
    }
    let location = format!("{}{}/v2/images/{image}", call.ask.base.origin, call.api.options().image_prefix);
    Ok((StatusCode::ACCEPTED, [("location", location)]).into_response())
}
