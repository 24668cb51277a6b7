//! `/v2/images/{image_id}/members`.

use super::{image_id, view};
use crate::{Error, Images};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::image::MemberStatus;
use serde_json::{Value, json};
use uuid::Uuid;
use web::{Body, Caller, Fault};

/// The image in the path, with the text that these calls answer for none.
fn id_of(text: &str) -> Result<Uuid, Error> {
    image_id(text).map_err(|_| Error::NotFound(format!("Image {text} not found.")))
}

/// `GET …/members`
pub(super) async fn list(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let members = images.members(&caller, id_of(&id)?).await?;
    let members: Vec<Value> = members.iter().map(view::member).collect();
    Ok(Json(json!({"members": members, "schema": "/v2/schemas/members"})))
}

/// `POST …/members`
pub(super) async fn create(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let body = body
        .as_object()
        .ok_or_else(|| Fault::bad_request("Expected a member in the form: {\"member\": \"image_id\"}"))?;
    let member = body.get("member").ok_or_else(|| Fault::bad_request("Member to be added not specified"))?;
    let member = member.as_str().unwrap_or_default();
    if member.is_empty() {
        return Err(Fault::bad_request("Member can't be empty"));
    }
    if member.len() > 255 || member.contains('\0') {
        return Err(Fault::bad_request("Member must be a project id of at most 255 characters"));
    }
    Ok(Json(view::member(&images.add_member(&caller, id_of(&id)?, member.to_owned()).await?)))
}

/// `GET …/members/{member_id}`
pub(super) async fn show(
    State(images): State<Images>,
    caller: Caller,
    Path((id, member)): Path<(String, String)>,
) -> Result<Json<Value>, Fault> {
    Ok(Json(view::member(&images.member(&caller, id_of(&id)?, clean(member)?).await?)))
}

/// `PUT …/members/{member_id}`
pub(super) async fn update(
    State(images): State<Images>,
    caller: Caller,
    Path((id, member)): Path<(String, String)>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let body = body
        .as_object()
        .ok_or_else(|| Fault::bad_request("Expected a status in the form: {\"status\": \"status\"}"))?;
    let status = body.get("status").ok_or_else(|| Fault::bad_request("Status not specified"))?;
    let status = status.as_str().and_then(MemberStatus::parse).ok_or_else(|| {
        Fault::bad_request("Incorrect request: Status must be \"pending\", \"accepted\" or \"rejected\".")
    })?;
    Ok(Json(view::member(&images.set_member_status(&caller, id_of(&id)?, clean(member)?, status).await?)))
}

/// `DELETE …/members/{member_id}`
pub(super) async fn delete(
    State(images): State<Images>,
    caller: Caller,
    Path((id, member)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    images.remove_member(&caller, id_of(&id)?, clean(member)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What no database can hold names no member.
fn clean(member: String) -> Result<String, Error> {
    if member.contains('\0') { Err(Error::NotFound("The resource could not be found.".into())) } else { Ok(member) }
}
