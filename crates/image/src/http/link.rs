//! Links of version documents, and query strings put together again.

use crate::Options;
use axum::http::request::Parts;

/// Scheme and authority as the client used them, with the path under which this service is mounted.
pub(super) fn root(options: &Options, parts: &Parts) -> String {
    let origin = options.public_origin.clone().unwrap_or_else(|| {
        let host = parts.headers.get("host").and_then(|v| v.to_str().ok());
        let authority = host.or_else(|| parts.uri.authority().map(axum::http::uri::Authority::as_str));
        format!("{}://{}", parts.uri.scheme_str().unwrap_or("http"), authority.unwrap_or("localhost"))
    });
    format!("{}{}", origin.trim_end_matches('/'), options.public_prefix.trim_end_matches('/'))
}

/// `key=value&…`, escaped as forms are.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (key, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        escape(&mut out, key);
        out.push('=');
        escape(&mut out, value);
    }
    out
}

fn escape(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
}
