//! Version documents. Need no token and name nothing but versions.

use super::Place;
use crate::Identity;
use axum::Json;
use axum::http::{Method, StatusCode};
use model::policy::Rule;
use serde_json::{Value, json};
use web::{Route, route};

/// The API version this service speaks (Keystone 27's).
const VERSION: &str = "v3.14";

pub(super) fn routes() -> Vec<Route<Identity>> {
    let get = Method::GET;
    vec![
        route(get.clone(), "/", "identity:versions", Rule::Anyone, all),
        route(get.clone(), "/v3", "identity:versions", Rule::Anyone, one),
        route(get, "/v3/", "identity:versions", Rule::Anyone, one),
    ]
}

fn document(place: &Place) -> Value {
    json!({
        "id": VERSION,
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/v3/", place.root)}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

async fn all(place: Place) -> (StatusCode, Json<Value>) {
    (StatusCode::MULTIPLE_CHOICES, Json(json!({"versions": {"values": [document(&place)]}})))
}

async fn one(place: Place) -> Json<Value> {
    Json(json!({"version": document(&place)}))
}
