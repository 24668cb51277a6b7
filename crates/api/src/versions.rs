//! Version documents: `/`, `/v2.1/` and `/v2/`, without a token.

use api_types::versions::{MediaType, Version};
use api_types::{Link, Microversion};
use axum::Json;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use web::Fault;

fn media(kind: &'static str) -> Option<Vec<MediaType>> {
    Some(vec![MediaType { base: "application/json", kind }])
}

/// The two versions that Nova knows; the first answers as the second at its oldest microversion.
fn version(new: bool, root: &str) -> Version {
    let (id, status) = if new { ("v2.1", "CURRENT") } else { ("v2.0", "DEPRECATED") };
    let path = if new { "v2.1" } else { "v2" };
    Version {
        id,
        status,
        version: Some(if new { Microversion::MAX.to_string() } else { String::new() }),
        min_version: Some(if new { Microversion::MIN.to_string() } else { String::new() }),
        updated: Some(if new { "2013-07-23T11:33:21Z" } else { "2025-07-04T12:00:00Z" }),
        links: vec![Link::new("self", format!("{root}/{path}/"))],
        media_types: None,
    }
}

/// One version's own document.
/// # Errors
/// 405.
pub fn one(method: &Method, root: &str, new: bool) -> Result<Response, Fault> {
    only_get(method)?;
    let mut v = version(new, root);
    v.links.push(Link { rel: "describedby", href: "http://docs.openstack.org/".into(), kind: Some("text/html") });
    v.media_types = media(if new {
        "application/vnd.openstack.compute+json;version=2.1"
    } else {
        "application/vnd.openstack.compute+json;version=2"
    });
    Ok(Json(json!({ "version": v })).into_response())
}

/// Paths outside a version: the list at the root, else the choices (300), as Nova answers any path there.
/// # Errors
/// 405.
pub fn outside(method: &Method, path: &str, root: &str) -> Result<Response, Fault> {
    only_get(method)?;
    if path.is_empty() || path == "/" {
        return Ok(Json(json!({ "versions": [version(false, root), version(true, root)] })).into_response());
    }
    let choice = |new: bool| {
        let mut v = version(new, root);
        v.version = None;
        v.min_version = None;
        v.updated = None;
        v.links = vec![Link::new("self", format!("{root}/{}{path}", if new { "v2.1" } else { "v2" }))];
        v.media_types = media(if new {
            "application/vnd.openstack.compute+json;version=2.1"
        } else {
            "application/vnd.openstack.compute+json;version=2"
        });
        v
    };
    let body = Json(json!({ "choices": [choice(false), choice(true)] }));
    Ok((StatusCode::MULTIPLE_CHOICES, body).into_response())
}

fn only_get(method: &Method) -> Result<(), Fault> {
    if matches!(*method, Method::GET | Method::HEAD) {
        Ok(())
    } else {
        Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed for this resource."))
    }
}
