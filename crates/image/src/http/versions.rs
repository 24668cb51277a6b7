//! Version documents at the service's root: every client begins here.

use super::link;
use crate::Images;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde_json::{Value, json};

/// Minor versions, newest first. 2.9 is what Glance calls itself with one store and without its image cache and its
/// newer task and location interfaces.
const VERSIONS: &[&str] = &["2.9", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0"];

fn document(images: &Images, parts: &Parts) -> Value {
    let href = format!("{}/v2/", link::root(images.options(), parts));
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
pub(super) async fn choices(State(images): State<Images>, parts: Parts) -> (StatusCode, Json<Value>) {
    (StatusCode::MULTIPLE_CHOICES, Json(document(&images, &parts)))
}

/// `GET /versions`
pub(super) async fn list(State(images): State<Images>, parts: Parts) -> Json<Value> {
    Json(document(&images, &parts))
}
