//! What a client asks before it uploads.

use axum::Json;
use serde_json::{Value, json};
use web::Fault;

/// `GET /v2/info/import`: no import method is built, and a client then uploads.
pub(super) async fn import() -> Json<Value> {
    Json(json!({
        "import-methods": {"description": "Import methods available.", "type": "array", "value": []}
    }))
}

/// `GET /v2/info/stores`: as Glance answers with one store.
pub(super) async fn stores() -> Result<Json<Value>, Fault> {
    Err(Fault::not_found("Multi backend is not supported at this site."))
}
