//! A refusal or failure, and its shape in each service.

use axum::Json;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// Which service's error body is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultShape {
    /// `{"badRequest": {"code": 400, "message": …}}`
    Compute,
    /// `{"error": {"code": …, "title": …, "message": …}}`
    Identity,
    /// `{"message": …, "code": "404 Not Found", "title": …}` (Glance answers text; clients read both).
    Image,
    /// `{"NeutronError": {"type": …, "message": …, "detail": ""}}`
    Network,
    /// `{"errors": [{"status", "title", "detail", "code", "request_id"}]}`
    Placement,
    /// As compute (Cinder).
    Volume,
}

/// What a handler returns instead of an answer. The message names the field and the next step and holds no secret.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{status}: {message}")]
pub struct Fault {
    /// Status.
    pub status: StatusCode,
    /// Neutron's exception type, placement's error code or Nova's fault name, where it is not the status' usual one.
    pub kind: Option<&'static str>,
    /// What to tell the caller.
    pub message: String,
    /// Further headers (`Retry-After`, version headers), lower case. A list, not a map: every handler's `Result` carries it.
    pub headers: Vec<(&'static str, HeaderValue)>,
}

impl Fault {
    /// A fault of `status`.
    pub fn new(status: StatusCode, message: impl Into<String>) -> Fault {
        Fault { status, kind: None, message: message.into(), headers: Vec::new() }
    }
    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::BAD_REQUEST, message)
    }
    /// 401.
    pub fn unauthorized(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::UNAUTHORIZED, message)
    }
    /// 403.
    pub fn forbidden(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::FORBIDDEN, message)
    }
    /// 404.
    pub fn not_found(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::NOT_FOUND, message)
    }
    /// 409.
    pub fn conflict(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::CONFLICT, message)
    }
    /// 413.
    pub fn too_large(message: impl Into<String>) -> Fault {
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    }
    /// 500; `detail` goes to the log, the caller reads that it was logged.
    pub fn internal(detail: impl std::fmt::Display) -> Fault {
        tracing::error!(%detail, "request failed");
        Fault::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "An unexpected error prevented the server from fulfilling the request; it is in the server's log under this request's id.",
        )
    }
    /// 501: a route or feature that is not built yet, by name.
    pub fn not_built(what: &str) -> Fault {
        Fault::new(StatusCode::NOT_IMPLEMENTED, format!("{what} is not built in this release; see docs/compat.md."))
    }
    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Fault {
        let mut f = Fault::new(StatusCode::SERVICE_UNAVAILABLE, message);
        f.headers.push(("retry-after", HeaderValue::from_static("2")));
        f
    }
    /// The same with the service's own word for it.
    #[must_use]
    pub fn kind(mut self, kind: &'static str) -> Fault {
        self.kind = Some(kind);
        self
    }
    /// The same with one more header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Fault {
        if let Ok(v) = HeaderValue::from_str(value) {
            self.headers.push((name, v));
        }
        self
    }
    /// The answer in the shape of one service.
    pub fn render(&self, shape: FaultShape, request_id: &str) -> Response {
        let code = self.status.as_u16();
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = match shape {
            FaultShape::Compute | FaultShape::Volume => {
                json!({ self.kind.unwrap_or_else(|| compute_name(code)): { "code": code, "message": self.message } })
            }
            FaultShape::Identity => json!({"error": {"code": code, "title": title, "message": self.message}}),
            FaultShape::Image => json!({"code": format!("{code} {title}"), "title": title, "message": self.message}),
            FaultShape::Network => {
                let kind = self.kind.unwrap_or_else(|| network_name(code));
                json!({"NeutronError": {"type": kind, "message": self.message, "detail": ""}})
            }
            FaultShape::Placement => json!({"errors": [{
                "status": code, "title": title, "detail": self.message,
                "code": self.kind.unwrap_or("placement.undefined_code"), "request_id": request_id,
            }]}),
        };
        let mut response = (self.status, Json(body)).into_response();
        for (name, value) in &self.headers {
            response.headers_mut().insert(*name, value.clone());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert("www-authenticate", HeaderValue::from_static("Keystone uri=\"/identity\""));
        }
        response
    }
}

/// Nova's names (`nova/api/openstack/wsgi.py`, `Fault._fault_names`).
fn compute_name(code: u16) -> &'static str {
    match code {
        400 => "badRequest",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "itemNotFound",
        405 => "badMethod",
        406 => "notAcceptable",
        409 => "conflictingRequest",
        413 | 429 => "overLimit",
        415 => "badMediaType",
        501 => "notImplemented",
        503 => "serviceUnavailable",
        _ => "computeFault",
    }
}

fn network_name(code: u16) -> &'static str {
    match code {
        400 => "HTTPBadRequest",
        401 => "HTTPUnauthorized",
        403 => "PolicyNotAuthorized",
        404 => "HTTPNotFound",
        409 => "Conflict",
        413 => "HTTPRequestEntityTooLarge",
        501 => "HTTPNotImplemented",
        503 => "HTTPServiceUnavailable",
        _ => "HTTPInternalServerError",
    }
}

/// A handler's fault travels in the response's extensions; the router's layer renders it in the service's shape.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<store::Error> for Fault {
    fn from(e: store::Error) -> Fault {
        match e {
            store::Error::NotFound { what, id } => Fault::not_found(format!("{what} {id} could not be found.")),
            store::Error::Conflict(message) => Fault::conflict(message),
            store::Error::Busy => Fault::unavailable("The database is busy; try again."),
            store::Error::Unavailable(detail) => {
                tracing::error!(%detail, "database unavailable");
                Fault::unavailable("The database does not answer; try again.")
            }
            other => Fault::internal(other),
        }
    }
}
