//! Images without their bytes: made, shown, listed, removed, tagged, deactivated.

use super::{filters, image_id, link, view};
use crate::{Draft, Images};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use web::{Body, Caller, Fault, Query};

/// `POST /v2/images`
pub(super) async fn create(
    State(images): State<Images>,
    caller: Caller,
    Body(body): Body<Map<String, Value>>,
) -> Result<Response, Fault> {
    let image = images.create(&caller, Draft::from_json(&body)?).await?;
    let location = format!("{}/v2/images/{}", images.options().public_prefix, image.id);
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], Json(view::image(&image))).into_response())
}

/// `GET /v2/images/{image_id}`
pub(super) async fn show(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(view::image(&images.get(&caller, image_id(&id)?).await?)))
}

/// `GET /v2/images`
pub(super) async fn list(State(images): State<Images>, caller: Caller, query: Query) -> Result<Json<Value>, Fault> {
    let wanted = filters::read(images.view(&caller), &query, images.options())?;
    let limit = wanted.limit;
    let found = images.list(&caller, wanted).await?;
    let pairs = || query.0.iter().filter(|(k, _)| k != "marker").map(|(k, v)| (k.as_str(), v.as_str()));
    let first = link::query(pairs());
    let mut body = json!({
        "images": found.iter().map(view::image).collect::<Vec<_>>(),
        "first": if first.is_empty() { "/v2/images".to_owned() } else { format!("/v2/images?{first}") },
        "schema": "/v2/schemas/images",
    });
    if let Some(last) = found.last().filter(|_| found.len() == limit) {
        let marker = last.id.to_string();
        let next = link::query(pairs().chain([("marker", marker.as_str())]));
        body["next"] = Value::String(format!("/v2/images?{next}"));
    }
    Ok(Json(body))
}

/// `DELETE /v2/images/{image_id}`
pub(super) async fn delete(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    let id = image_id(&id).map_err(|_| Fault::not_found(format!("Failed to find image {id} to delete")))?;
    images.delete(&caller, id).await.map_err(|e| match e {
        crate::Error::NotFound(_) => Fault::not_found(format!("Failed to find image {id} to delete")),
        other => other.into(),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v2/images/{image_id}/tasks`: there are none, since nothing here runs as a task.
pub(super) async fn tasks(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    images.get(&caller, image_id(&id)?).await?;
    Ok(Json(json!({"tasks": []})))
}

/// `POST /v2/images/{image_id}/actions/deactivate`
pub(super) async fn deactivate(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    images.set_active(&caller, image_id(&id)?, false).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v2/images/{image_id}/actions/reactivate`
pub(super) async fn reactivate(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    images.set_active(&caller, image_id(&id)?, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /v2/images/{image_id}/tags/{tag}`
pub(super) async fn add_tag(
    State(images): State<Images>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    images.set_tag(&caller, image_id(&id)?, tag, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v2/images/{image_id}/tags/{tag}`
pub(super) async fn remove_tag(
    State(images): State<Images>,
    caller: Caller,
    Path((id, tag)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    images.set_tag(&caller, image_id(&id)?, tag, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
