//! The address a client used, for links in its answers. Never trusts `X-Forwarded-*`: whoever may reach the port may send them.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;

/// What the listener speaks; the server puts it into the extensions of each request of a TLS listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Over TLS.
    Https,
}

/// Scheme and authority of the request, without trailing slash: `http://127.0.0.1:8774`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(pub String);

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Origin, Infallible> {
        let scheme = match parts.extensions.get::<Scheme>() {
            Some(Scheme::Https) => "https",
            _ => "http",
        };
        let host = parts.headers.get("host").and_then(|v| v.to_str().ok());
        let host = host.or_else(|| parts.uri.authority().map(|a| a.as_str())).filter(|h| well_formed(h));
        Ok(Origin(format!("{scheme}://{}", host.unwrap_or("localhost"))))
    }
}

/// Characters of a host and port only: the value is repeated in JSON documents that clients follow.
fn well_formed(host: &str) -> bool {
    !host.is_empty()
        && host.len() <= 255
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}
