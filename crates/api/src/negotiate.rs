//! The door itself: which microversion is spoken, which project the path names, and which headers the answer carries.
//!
//! Runs before routing, since the project may stand in the path (`/v2.1/{project_id}/servers`) and is taken out of
//! it. Source: `nova/api/openstack/wsgi.py` and `nova/api/openstack/auth.py`. Decides nothing about a resource.

use crate::ask::Base;
use crate::{Api, table, versions};
use api_types::Microversion;
use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use model::Context;
use std::sync::Arc;
use tower::ServiceExt;
use web::{Fault, FaultShape, Origin, RequestId};

const NEW_HEADER: &str = "openstack-api-version";
const OLD_HEADER: &str = "x-openstack-nova-api-version";

/// What was agreed for this request.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// Microversion.
    pub mv: Microversion,
    /// Prefixes of links.
    pub base: Arc<Base>,
}

/// State of the door.
#[derive(Clone)]
pub struct Door {
    /// The routes below `/v2.1`.
    pub inner: Router,
    /// The service.
    pub api: Api,
}

/// The microversion that the headers ask for.
/// # Errors
/// 400 for a malformed one, 406 for one that is not spoken.
pub fn asked(headers: &HeaderMap) -> Result<Microversion, Fault> {
    let Some(text) = wanted(headers) else { return Ok(Microversion::MIN) };
    if text == "latest" {
        return Ok(Microversion::MAX);
    }
    let Some(mv) = Microversion::parse(&text) else {
        let shown: String = text.chars().take(64).collect();
        return Err(Fault::bad_request(format!(
            "API Version String {shown} is of invalid format. Must be of format MajorNum.MinorNum."
        )));
    };
    if mv < Microversion::MIN || mv > Microversion::MAX {
        return Err(Fault::new(
            StatusCode::NOT_ACCEPTABLE,
            format!("Version {mv} is not supported by the API. Minimum is {} and maximum is {}.", Microversion::MIN, Microversion::MAX),
        ));
    }
    Ok(mv)
}

/// `OpenStack-API-Version: compute X.Y` (several services may stand in it, or it may come again; the last one for
/// compute counts), else `X-OpenStack-Nova-API-Version: X.Y`.
fn wanted(headers: &HeaderMap) -> Option<String> {
    let texts = headers.get_all(NEW_HEADER).iter().filter_map(|v| v.to_str().ok());
    let new = texts
        .flat_map(|t| t.split(','))
        .filter_map(|item| {
            let mut words = item.split_whitespace();
            let service = words.next()?;
            let version = words.next()?;
            service.eq_ignore_ascii_case("compute").then(|| version.to_lowercase())
        })
        .next_back();
    new.or_else(|| {
        let old = headers.get(OLD_HEADER)?.to_str().ok()?;
        Some(old.split(',').next_back()?.trim().to_lowercase())
    })
}

/// Splits `/v2.1/{project}/rest` or `/v2.1/rest` into the project and `/rest`. `None`: no path of this version.
fn split(path: &str) -> Option<(Option<&str>, &str)> {
    let rest = path.strip_prefix("/v2.1").or_else(|| path.strip_prefix("/v2"))?;
    if rest.is_empty() || rest == "/" {
        return Some((None, ""));
    }
    let inside = rest.strip_prefix('/')?;
    let first = inside.split('/').next().unwrap_or(inside);
    if table::RESOURCES.contains(first) || !is_project(first) {
        return Some((None, rest));
    }
    Some((Some(first), &rest[1 + first.len()..]))
}

/// Nova's `project_id_regex`: hex digits and dashes.
fn is_project(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// The door.
pub async fn enter(State(door): State<Door>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let Ok(Origin(used)) = Origin::from_request_parts(&mut parts, &()).await;
    let origin = door.api.options().public_origin.clone().unwrap_or(used);
    let id = parts.extensions.get::<RequestId>().map(|r| r.0.clone()).unwrap_or_default();
    let prefix = door.api.options().public_prefix.clone();
    let path = parts.uri.path().to_owned();
    let Some((project, rest)) = split(&path) else {
        return versions::outside(&parts.method, &path, &format!("{origin}{prefix}"))
            .unwrap_or_else(|f| f.render(FaultShape::Compute, &id));
    };
    let mv = match asked(&parts.headers) {
        Ok(mv) => mv,
        Err(fault) => return answer(fault.render(FaultShape::Compute, &id), None),
    };
    if rest.is_empty() {
        let document = versions::one(&parts.method, &format!("{origin}{prefix}"), path.starts_with("/v2.1"));
        return answer(document.unwrap_or_else(|f| f.render(FaultShape::Compute, &id)), Some(mv));
    }
    if let Some(fault) = project.and_then(|p| wrong_project(parts.extensions.get(), p)) {
        return answer(fault.render(FaultShape::Compute, &id), Some(mv));
    }
    let tail = project.map(|p| format!("/{p}")).unwrap_or_default();
    let base = Base {
        own: format!("{origin}{prefix}/v2.1{tail}"),
        bookmark: format!("{origin}{prefix}{tail}"),
        origin,
    };
    parts.extensions.insert(Spoken { mv, base: Arc::new(base) });
    let target = match parts.uri.query() {
        Some(q) => format!("{rest}?{q}"),
        None => rest.to_owned(),
    };
    match target.parse::<Uri>() {
        Ok(uri) => parts.uri = uri,
        Err(_) => return answer(Fault::not_found("The resource could not be found.").render(FaultShape::Compute, &id), Some(mv)),
    }
    // The inner router never fails: its error type is uninhabited.
    let response = door.inner.oneshot(Request::from_parts(parts, body)).await.unwrap_or_else(|never| match never {});
    answer(response, Some(mv))
}

/// Nova's refusal of a path that names a project which is not the token's.
fn wrong_project(outcome: Option<&Result<Context, web::TokenFault>>, project: &str) -> Option<Fault> {
    let Some(Ok(context)) = outcome else { return None };
    (context.project_id() != project).then(|| {
        Fault::bad_request(format!(
            "Malformed request URL: URL's project_id '{project}' doesn't match Context's project_id '{}'",
            context.project_id()
        ))
    })
}

/// Adds the headers that tell what was spoken.
fn answer(mut response: Response, mv: Option<Microversion>) -> Response {
    let headers = response.headers_mut();
    if let Some(mv) = mv {
        if let Ok(v) = HeaderValue::from_str(&format!("compute {mv}")) {
            headers.insert(HeaderName::from_static(NEW_HEADER), v);
        }
        if let Ok(v) = HeaderValue::from_str(&mv.to_string()) {
            headers.insert(HeaderName::from_static(OLD_HEADER), v);
        }
    }
    headers.append("vary", HeaderValue::from_static("OpenStack-API-Version"));
    headers.append("vary", HeaderValue::from_static("X-OpenStack-Nova-API-Version"));
    response.into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut h = HeaderMap::new();
        for (k, v) in pairs {
            h.append(*k, HeaderValue::from_static(v));
        }
        h
    }

    #[test]
    fn both_headers_are_read() {
        let mv = |pairs: &[(&'static str, &'static str)]| asked(&headers(pairs));
        assert_eq!(mv(&[]).unwrap(), Microversion::MIN);
        assert_eq!(mv(&[(NEW_HEADER, "compute 2.90")]).unwrap(), Microversion(2, 90));
        assert_eq!(mv(&[(NEW_HEADER, "COMPUTE latest")]).unwrap(), Microversion::MAX);
        assert_eq!(mv(&[(NEW_HEADER, "volume 3.0, compute 2.5")]).unwrap(), Microversion(2, 5));
        assert_eq!(mv(&[(NEW_HEADER, "volume 3.0")]).unwrap(), Microversion::MIN);
        assert_eq!(mv(&[(OLD_HEADER, "2.30")]).unwrap(), Microversion(2, 30));
        assert_eq!(mv(&[(OLD_HEADER, "2.30"), (NEW_HEADER, "compute 2.31")]).unwrap(), Microversion(2, 31));
        assert_eq!(mv(&[(NEW_HEADER, "compute 2.1000")]).unwrap_err().status, StatusCode::NOT_ACCEPTABLE);
        assert_eq!(mv(&[(NEW_HEADER, "compute 1.0")]).unwrap_err().status, StatusCode::NOT_ACCEPTABLE);
        assert_eq!(mv(&[(NEW_HEADER, "compute two")]).unwrap_err().status, StatusCode::BAD_REQUEST);
        assert_eq!(mv(&[(OLD_HEADER, "2")]).unwrap_err().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_project_in_the_path_is_taken_out() {
        let p = "0123456789abcdef0123456789abcdef";
        assert_eq!(split("/v2.1/servers"), Some((None, "/servers")));
        assert_eq!(split(&format!("/v2.1/{p}/servers/detail")), Some((Some(p), "/servers/detail")));
        assert_eq!(split("/v2.1/"), Some((None, "")));
        assert_eq!(split("/v2.1"), Some((None, "")));
        assert_eq!(split("/v2.10"), None);
        assert_eq!(split("/"), None);
        assert_eq!(split("/v2.1/nothing/x"), Some((None, "/nothing/x")));
    }
}
