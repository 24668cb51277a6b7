//! Microversions: `OpenStack-API-Version: placement 1.N`, and what every answer of a version carries.

use axum::Json;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use driver_api::{Clock, Timestamp};
use serde_json::{Value, json};
use std::convert::Infallible;
use web::RequestId;

/// The newest minor version.
pub const MAX_MINOR: u16 = 39;

/// The minor version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u16);

impl<S: Sync> FromRequestParts<S> for Version {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Version, Infallible> {
        Ok(parts.extensions.get::<Version>().copied().unwrap_or(Version(0)))
    }
}

/// Why a version is none.
#[derive(Debug, PartialEq, Eq)]
enum Bad {
    Malformed(String),
    Unsupported(String),
}

fn wanted(headers: &HeaderMap) -> Result<Version, Bad> {
    let entries = headers.get_all("openstack-api-version").iter().filter_map(|v| v.to_str().ok());
    for entry in entries.flat_map(|v| v.split(',')) {
        let mut words = entry.split_whitespace();
        if !words.next().is_some_and(|w| w.eq_ignore_ascii_case("placement")) {
            continue;
        }
        let text = words.next().unwrap_or("");
        if text == "latest" {
            return Ok(Version(MAX_MINOR));
        }
        let number = |t: &str| t.parse::<u16>().ok().filter(|_| t.bytes().all(|b| b.is_ascii_digit()));
        let Some((major, minor)) = text.split_once('.').and_then(|(a, b)| Some((number(a)?, number(b)?))) else {
            return Err(Bad::Malformed(text.to_owned()));
        };
        if major != 1 || minor > MAX_MINOR {
            return Err(Bad::Unsupported(text.to_owned()));
        }
        return Ok(Version(minor));
    }
    Ok(Version(0))
}

/// Reads the version before the router, and marks the answer with it.
pub(super) async fn negotiate(State(clock): State<Clock>, mut request: Request, next: Next) -> Response {
    let version = match wanted(request.headers()) {
        Ok(v) => v,
        Err(bad) => return refusal(&bad, request.extensions().get::<RequestId>()),
    };
    request.extensions_mut().insert(version);
    let accept = request.headers().get("accept").and_then(|v| v.to_str().ok());
    let elsewise = accept.is_some_and(|a| !["json", "*/*", "application/*"].iter().any(|t| a.contains(t)));
    let unfit = elsewise && request.method() == Method::GET;
    let id = request.extensions().get::<RequestId>().cloned();
    let dated = request.method() == Method::GET || request.uri().path().contains("/traits/");
    let mut response = next.run(request).await;
    if unfit && response.status().is_success() {
        let detail = "Only application/json is provided";
        return error(StatusCode::NOT_ACCEPTABLE, detail, id.as_ref(), version, false);
    }
    mark(response.headers_mut(), version);
    if version.0 >= 15 && response.status().is_success() && (dated || response.status() == StatusCode::OK) {
        let headers = response.headers_mut();
        headers.insert("cache-control", HeaderValue::from_static("no-cache"));
        if let Ok(v) = HeaderValue::from_str(&http_date(clock.now())) {
            headers.entry("last-modified").or_insert(v);
        }
    }
    response
}

fn mark(headers: &mut HeaderMap, version: Version) {
    if let Ok(v) = HeaderValue::from_str(&format!("placement 1.{}", version.0)) {
        headers.insert("openstack-api-version", v);
    }
    headers.append("vary", HeaderValue::from_static("openstack-api-version"));
}

fn refusal(bad: &Bad, id: Option<&RequestId>) -> Response {
    let (status, detail) = match bad {
        Bad::Malformed(t) => (StatusCode::BAD_REQUEST, format!("invalid version string: {t}")),
        Bad::Unsupported(t) => (StatusCode::NOT_ACCEPTABLE, format!("Unacceptable version header: {t}")),
    };
    error(status, &detail, id, Version(0), status == StatusCode::NOT_ACCEPTABLE)
}

/// An answer that no handler gives; `range` adds the versions that are spoken.
fn error(status: StatusCode, detail: &str, id: Option<&RequestId>, version: Version, range: bool) -> Response {
    let mut error = json!({
        "status": status.as_u16(),
        "title": status.canonical_reason().unwrap_or_default(),
        "detail": detail,
        "code": "placement.undefined_code",
        "request_id": id.map(|r| r.0.as_str()).unwrap_or_default(),
    });
    if range {
        error["min_version"] = json!("1.0");
        error["max_version"] = json!(format!("1.{MAX_MINOR}"));
    }
    let mut response = (status, Json(json!({"errors": [error]}))).into_response();
    mark(response.headers_mut(), version);
    response
}

/// `GET /`
pub(super) async fn root() -> Json<Value> {
    Json(json!({"versions": [{
        "id": "v1.0",
        "status": "CURRENT",
        "min_version": "1.0",
        "max_version": format!("1.{MAX_MINOR}"),
        "links": [{"rel": "self", "href": ""}],
    }]}))
}

/// `Sun, 22 Nov 2026 14:26:50 GMT`
fn http_date(t: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let iso = model::time::seconds_z(t);
    let part = |from: usize, to: usize| iso.get(from..to).unwrap_or("");
    let month = part(5, 7).parse::<usize>().ok().and_then(|m| MONTHS.get(m.wrapping_sub(1))).unwrap_or(&"Jan");
    let day = usize::try_from(t.0.div_euclid(86_400_000_000).rem_euclid(7)).unwrap_or(0);
    format!("{}, {} {month} {} {} GMT", DAYS[day], part(8, 10), part(0, 4), part(11, 19))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_are_read_as_the_original_reads_them() {
        let of = |v: &str| {
            let mut h = HeaderMap::new();
            h.insert("openstack-api-version", v.parse().unwrap());
            wanted(&h)
        };
        assert_eq!(of("placement 1.36"), Ok(Version(36)));
        assert_eq!(of("compute 2.1, placement 1.4"), Ok(Version(4)));
        assert_eq!(of("compute 2.1"), Ok(Version(0)));
        assert_eq!(of("placement latest"), Ok(Version(MAX_MINOR)));
        assert_eq!(of("placement 1.400"), Err(Bad::Unsupported("1.400".into())));
        assert_eq!(of("placement 1"), Err(Bad::Malformed("1".into())));
        assert_eq!(of("placement +1.2"), Err(Bad::Malformed("+1.2".into())));
    }

    #[test]
    fn dates_are_those_of_http() {
        assert_eq!(http_date(Timestamp(784_111_777_000_000)), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
