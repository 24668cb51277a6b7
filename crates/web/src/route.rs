//! Route rows: method, path, policy, rule and handler in one place, from which the router and the policy reference come.

use crate::caller::admit;
use crate::{Fault, FaultShape, RequestId};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use model::policy::Rule;
use std::collections::BTreeMap;

/// What a route is, without its handler: for generated documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteInfo {
    /// Method.
    pub method: Method,
    /// Path below the service's root, axum syntax.
    pub path: &'static str,
    /// The original's policy name.
    pub policy: &'static str,
    /// Rule.
    pub rule: Rule,
}

/// One endpoint.
pub struct Route<S> {
    /// What it is.
    pub info: RouteInfo,
    handler: MethodRouter<S>,
}

/// One endpoint. The rule is held against the token before the handler; ownership is the handler's to check.
/// # Panics
/// At start, if the method has no axum filter (only standard methods are used).
pub fn route<H, T, S>(method: Method, path: &'static str, policy: &'static str, rule: Rule, handler: H) -> Route<S>
where
    H: Handler<T, S>,
    T: 'static,
    S: Clone + Send + Sync + 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("a standard method");
    let guard = move |request: Request, next: Next| async move {
        match admit(request.extensions(), rule, policy) {
            Ok(()) => next.run(request).await,
            Err(fault) => fault.into_response(),
        }
    };
    Route { info: RouteInfo { method, path, policy, rule }, handler: on(filter, handler).layer(from_fn(guard)) }
}

/// Builds a service's router: policy in front of each handler, faults in the service's shape, 404 and 405 too.
pub fn router<S>(shape: FaultShape, routes: Vec<Route<S>>, state: S) -> Router
where
    S: Clone + Send + Sync + 'static,
{
    let mut by_path: BTreeMap<&'static str, MethodRouter<S>> = BTreeMap::new();
    for r in routes {
        let merged = match by_path.remove(r.info.path) {
            Some(m) => m.merge(r.handler),
            None => r.handler,
        };
        by_path.insert(r.info.path, merged);
    }
    let mut router = Router::new();
    for (path, methods) in by_path {
        router = router.route(path, methods);
    }
    router
        .fallback(|| async { Fault::not_found("The resource could not be found.") })
        .method_not_allowed_fallback(|| async {
            Fault::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed for this resource.")
        })
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(from_fn(move |request: Request, next: Next| render(shape, request, next)))
        .with_state(state)
}

async fn render(shape: FaultShape, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().map(|r| r.0.clone()).unwrap_or_default();
    let response = next.run(request).await;
    let (response, fault) = match response.extensions().get::<Fault>().cloned() {
        Some(fault) => (response, fault),
        None if is_rejection(&response) => rejection(response).await,
        None => return response,
    };
    let mut out = fault.render(shape, &id);
    // Headers that inner layers added (version headers) stay.
    for (name, value) in response.headers() {
        if !out.headers().contains_key(name) {
            out.headers_mut().insert(name.clone(), value.clone());
        }
    }
    out
}

/// Longest text of a rejection, bytes.
const MAX_REJECTION: usize = 4096;

/// An extractor's own refusal (a path that is no UUID): axum answers it as plain text.
fn is_rejection(response: &Response) -> bool {
    let text = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    response.status() == StatusCode::BAD_REQUEST && text.starts_with("text/plain")
}

/// The same refusal as a fault, so that it is spoken in the service's shape.
async fn rejection(response: Response) -> (Response, Fault) {
    let (mut parts, body) = response.into_parts();
    let text = axum::body::to_bytes(body, MAX_REJECTION).await.unwrap_or_default();
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    let fault = Fault::new(parts.status, String::from_utf8_lossy(&text));
    (Response::from_parts(parts, Body::empty()), fault)
}
