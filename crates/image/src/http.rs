//! The HTTP door of the image service: `/v2` of Glance, below wherever the server mounts it.

mod data;
mod filters;
mod images;
mod info;
mod link;
mod members;
mod patch;
mod schemas;
mod versions;
mod view;

use crate::{Error, Images};
use axum::Router;
use axum::http::Method;
use model::policy::Rule;
use uuid::Uuid;
use web::{Fault, FaultShape, Route, RouteInfo, route};

/// Routes of Glance that are not built: method and path. They answer 501.
pub const NOT_BUILT: &[(&str, &str)] = &[
    ("POST", "/v2/images/{image_id}/import"),
    ("PUT", "/v2/images/{image_id}/stage"),
    ("GET", "/v2/images/{image_id}/locations"),
    ("POST", "/v2/images/{image_id}/locations"),
    ("DELETE", "/v2/stores/{store_id}/{image_id}"),
    ("GET", "/v2/info/stores/detail"),
    ("GET", "/v2/info/usage"),
    ("GET", "/v2/tasks"),
    ("POST", "/v2/tasks"),
    ("GET", "/v2/tasks/{task_id}"),
    ("GET", "/v2/cache"),
    ("DELETE", "/v2/cache"),
    ("PUT", "/v2/cache/{image_id}"),
    ("DELETE", "/v2/cache/{image_id}"),
    ("GET", "/v2/metadefs/{*rest}"),
    ("POST", "/v2/metadefs/{*rest}"),
    ("PUT", "/v2/metadefs/{*rest}"),
    ("DELETE", "/v2/metadefs/{*rest}"),
];

/// Every route that is built.
fn built() -> Vec<Route<Images>> {
    let (get, post, put, patch, delete) = (Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let (reader, member) = (Rule::ProjectReader, Rule::ProjectMember);
    vec![
        route(get.clone(), "/", "", Rule::Anyone, versions::choices),
        route(get.clone(), "/versions", "", Rule::Anyone, versions::list),
        route(get.clone(), "/v2/images", "get_images", reader, images::list),
        route(post.clone(), "/v2/images", "add_image", member, images::create),
        route(get.clone(), "/v2/images/{image_id}", "get_image", reader, images::show),
        route(patch, "/v2/images/{image_id}", "modify_image", member, patch::update),
        route(delete.clone(), "/v2/images/{image_id}", "delete_image", member, images::delete),
        route(get.clone(), "/v2/images/{image_id}/tasks", "get_image", reader, images::tasks),
        route(post.clone(), "/v2/images/{image_id}/actions/deactivate", "deactivate", member, images::deactivate),
        route(post.clone(), "/v2/images/{image_id}/actions/reactivate", "reactivate", member, images::reactivate),
        route(get.clone(), "/v2/images/{image_id}/file", "download_image", member, data::download),
        route(put.clone(), "/v2/images/{image_id}/file", "upload_image", member, data::upload),
        route(put.clone(), "/v2/images/{image_id}/tags/{tag}", "modify_image", member, images::add_tag),
        route(delete.clone(), "/v2/images/{image_id}/tags/{tag}", "modify_image", member, images::remove_tag),
        route(get.clone(), "/v2/images/{image_id}/members", "get_members", reader, members::list),
        route(post, "/v2/images/{image_id}/members", "add_member", member, members::create),
        route(get.clone(), "/v2/images/{image_id}/members/{member_id}", "get_member", reader, members::show),
        route(put, "/v2/images/{image_id}/members/{member_id}", "modify_member", member, members::update),
        route(delete, "/v2/images/{image_id}/members/{member_id}", "delete_member", member, members::delete),
        route(get.clone(), "/v2/schemas/{name}", "", Rule::Authenticated, schemas::show),
        route(get.clone(), "/v2/info/import", "", Rule::Authenticated, info::import),
        route(get, "/v2/info/stores", "", Rule::Authenticated, info::stores),
    ]
}

/// Every route, those that are not built included.
pub fn routes() -> Vec<Route<Images>> {
    let mut all = built();
    for (method, path) in NOT_BUILT {
        let method = Method::from_bytes(method.as_bytes()).expect("NOT_BUILT names standard methods");
        let name = format!("{method} {path}");
        let refuse = move || {
            let fault = Fault::not_built(&name);
            async move { Err::<(), Fault>(fault) }
        };
        all.push(route(method, path, "", Rule::Authenticated, refuse));
    }
    all
}

/// What the routes are, for generated documents.
pub fn route_infos() -> Vec<RouteInfo> {
    routes().into_iter().map(|r| r.info).collect()
}

/// The router, below the service's root.
pub fn router(images: Images) -> Router {
    web::router(FaultShape::Image, routes(), images)
}

/// The id in a path. What is no UUID names no image.
fn image_id(text: &str) -> Result<Uuid, Error> {
    crate::change::strict_uuid(text).ok_or_else(|| Error::no_image(text))
}
