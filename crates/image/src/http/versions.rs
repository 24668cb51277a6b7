//! Version documents at the service's root: every client begins here.

use crate::Images;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};
use web::Origin;

/// Minor versions, newest first. 2.9 is what Glance calls itself with one store and without its image cache and its
/// newer task and location interfaces.
const VERSIONS: &[&str] = &["2.9", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0"];

fn document(images: &Images, origin: &Origin) -> Value {
    let options = images.options();
    let origin = options.public_origin.as_deref().unwrap_or(&origin.0).trim_end_matches('/');
    let href = format!("{origin}{}/v2/", options.public_prefix.trim_end_matches('/'));
    let versions: Vec<Value> = VERSIONS
        .iter()
        .enumerate()
        .map(|(n, version)| {
            let status = if n == 0 { "CURRENT" } else { "SUPPORTED" };
            json!({"id": format!("v{version}"), "status": status, "links": [{"rel": "self", "href": href}]})
        })
        .collect();
    json!({ "versions": versions })
}

/// `GET /`
pub(super) async fn choices(State(images): State<Images>, origin: Origin) -> (StatusCode, Json<Value>) {
    (StatusCode::MULTIPLE_CHOICES, Json(document(&images, &origin)))
}

/// `GET /versions`
pub(super) async fn list(State(images): State<Images>, origin: Origin) -> Json<Value> {
    Json(document(&images, &origin))
}
