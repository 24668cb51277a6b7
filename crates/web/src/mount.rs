//! Mounts a service's router below its prefix, with and without the trailing slash that clients put behind it.

use crate::Fault;
use axum::Router;
use axum::extract::Request;
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tower::ServiceExt;

/// `app` with `service` at `prefix` (`/identity`). Nesting alone does not answer `/identity/`, which is what many
/// clients have in their configuration.
pub fn mount(app: Router, prefix: &str, service: Router) -> Router {
    let bare = service.clone();
    app.nest(prefix, service).route(&format!("{prefix}/"), any(move |request: Request| at_root(bare, request)))
}

async fn at_root(service: Router, mut request: Request) -> Response {
    let query = request.uri().query().map(|q| format!("/?{q}"));
    let Ok(uri) = query.as_deref().unwrap_or("/").parse::<Uri>() else {
        return Fault::bad_request("The query string cannot be read.").into_response();
    };
    *request.uri_mut() = uri;
    let Ok(response) = service.oneshot(request).await;
    response
}
