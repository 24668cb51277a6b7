//! The bare port: what is here, and the Identity service's version document, so that a client that was given nothing but
//! the address finds its way. Paths that belong to no service are said so in words.

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::Json;
use serde_json::json;
use web::{Fault, FaultShape, Origin, RequestId};

/// Path of every service's root.
const SERVICES: &[(&str, &str)] = &[
    ("compute", "/compute/v2.1"),
    ("identity", "/identity/v3"),
    ("image", "/image"),
    ("network", "/network"),
    ("placement", "/placement"),
];

/// The router that the services are mounted on.
pub(crate) fn router() -> Router {
    Router::new().route("/", get(root)).fallback(elsewhere)
}

async fn root(Origin(origin): Origin) -> Response {
    let services: serde_json::Map<_, _> =
        SERVICES.iter().map(|(name, path)| ((*name).to_owned(), json!(format!("{origin}{path}")))).collect();
    let identity = format!("{origin}/identity/v3/");
    let version = json!({
        "id": "v3.14", "status": "stable", "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": identity}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    });
    let body = json!({"kilonova": env!("CARGO_PKG_VERSION"), "services": services, "versions": {"values": [version]}});
    let mut response = (StatusCode::MULTIPLE_CHOICES, Json(body)).into_response();
    if let Ok(there) = HeaderValue::from_str(&identity) {
        response.headers_mut().insert(header::LOCATION, there);
    }
    response
}

async fn elsewhere(id: RequestId) -> Response {
    let known: Vec<&str> = SERVICES.iter().map(|(_, path)| *path).collect();
    let fault = Fault::not_found(format!("There is no service at this path; there are {}.", known.join(", ")));
    fault.render(FaultShape::Compute, &id.0)
}
