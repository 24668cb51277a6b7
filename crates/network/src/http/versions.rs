//! Version documents.

use crate::Network;
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use web::Origin;

/// The service's own address as the client used it.
pub(super) fn root(me: &Network, origin: &Origin) -> String {
    format!("{}{}", origin.0, me.options.public_prefix.trim_end_matches('/'))
}

/// `GET /`
pub(super) async fn list(State(me): State<Network>, origin: Origin) -> Json<Value> {
    let href = format!("{}/v2.0/", root(&me, &origin));
    Json(json!({"versions": [{"id": "v2.0", "status": "CURRENT", "links": [{"rel": "self", "href": href}]}]}))
}

/// `GET /v2.0`
pub(super) async fn resources(State(me): State<Network>, origin: Origin) -> Json<Value> {
    let root = root(&me, &origin);
    let all = ["network", "subnet", "port", "security-group", "security-group-rule", "extension"];
    let one = |name: &str| {
        let (collection, path) = (format!("{}s", name.replace('-', "_")), format!("{name}s"));
        let links = json!([{"rel": "self", "href": format!("{root}/v2.0/{path}")}]);
        json!({"name": name.replace('-', "_"), "collection": collection, "links": links})
    };
    Json(json!({"resources": all.map(one)}))
}
