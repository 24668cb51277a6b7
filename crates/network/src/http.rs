//! The Networking API v2.0, below wherever the server mounts it.
//!
//! Bodies are read field by field, because the original names each field it refuses; lists are filtered, sorted and
//! cut here, over the same JSON that is shown, so that every attribute can be filtered by.

mod attrs;
mod extensions;
mod groups;
mod list;
mod networks;
mod ports;
mod quotas;
mod subnets;
mod tags;
mod versions;
mod view;

use crate::{Error, Network};
use axum::Router;
use axum::http::{Method, StatusCode};
use model::policy::Rule;
use uuid::Uuid;
use web::{Fault, FaultShape, Route, RouteInfo, route};

/// Routes of Neutron that are not built: method and path. They answer 501.
pub const NOT_BUILT: &[(&str, &str)] = &[
    ("GET", "/v2.0/routers"),
    ("POST", "/v2.0/routers"),
    ("GET", "/v2.0/routers/{id}"),
    ("PUT", "/v2.0/routers/{id}"),
    ("DELETE", "/v2.0/routers/{id}"),
    ("PUT", "/v2.0/routers/{id}/add_router_interface"),
    ("PUT", "/v2.0/routers/{id}/remove_router_interface"),
    ("GET", "/v2.0/floatingips"),
    ("POST", "/v2.0/floatingips"),
    ("GET", "/v2.0/floatingips/{id}"),
    ("PUT", "/v2.0/floatingips/{id}"),
    ("DELETE", "/v2.0/floatingips/{id}"),
    ("GET", "/v2.0/subnetpools"),
    ("POST", "/v2.0/subnetpools"),
    ("GET", "/v2.0/subnetpools/{id}"),
    ("GET", "/v2.0/address-scopes"),
    ("POST", "/v2.0/address-scopes"),
    ("GET", "/v2.0/address-groups"),
    ("POST", "/v2.0/address-groups"),
    ("GET", "/v2.0/rbac-policies"),
    ("POST", "/v2.0/rbac-policies"),
    ("GET", "/v2.0/trunks"),
    ("POST", "/v2.0/trunks"),
    ("GET", "/v2.0/qos/policies"),
    ("POST", "/v2.0/qos/policies"),
    ("GET", "/v2.0/segments"),
    ("POST", "/v2.0/segments"),
    ("GET", "/v2.0/network_segment_ranges"),
    ("GET", "/v2.0/network-ip-availabilities"),
    ("GET", "/v2.0/auto-allocated-topology/{id}"),
    ("GET", "/v2.0/default-security-group-rules"),
    ("GET", "/v2.0/service-providers"),
    ("GET", "/v2.0/flavors"),
    ("GET", "/v2.0/metering/metering-labels"),
    ("GET", "/v2.0/networks/{id}/dhcp-agents"),
    ("PUT", "/v2.0/networks/{id}/add_gateway_ip"),
    ("POST", "/v2.0/ports/{id}/bindings"),
    ("GET", "/v2.0/ports/{id}/bindings"),
];

fn collections() -> Vec<Route<Network>> {
    let (get, post, put, delete) = (Method::GET, Method::POST, Method::PUT, Method::DELETE);
    let (r, m) = (Rule::ProjectReader, Rule::ProjectMember);
    vec![
        route(get.clone(), "/v2.0/networks", "get_network", r, networks::list),
        route(post.clone(), "/v2.0/networks", "create_network", m, networks::create),
        route(get.clone(), "/v2.0/networks/{id}", "get_network", r, networks::show),
        route(put.clone(), "/v2.0/networks/{id}", "update_network", m, networks::update),
        route(delete.clone(), "/v2.0/networks/{id}", "delete_network", m, networks::delete),
        route(get.clone(), "/v2.0/subnets", "get_subnet", r, subnets::list),
        route(post.clone(), "/v2.0/subnets", "create_subnet", m, subnets::create),
        route(get.clone(), "/v2.0/subnets/{id}", "get_subnet", r, subnets::show),
        route(put.clone(), "/v2.0/subnets/{id}", "update_subnet", m, subnets::update),
        route(delete.clone(), "/v2.0/subnets/{id}", "delete_subnet", m, subnets::delete),
        route(get.clone(), "/v2.0/ports", "get_port", r, ports::list),
        route(post.clone(), "/v2.0/ports", "create_port", m, ports::create),
        route(get.clone(), "/v2.0/ports/{id}", "get_port", r, ports::show),
        route(put.clone(), "/v2.0/ports/{id}", "update_port", m, ports::update),
        route(delete.clone(), "/v2.0/ports/{id}", "delete_port", m, ports::delete),
        route(get.clone(), "/v2.0/security-groups", "get_security_group", r, groups::list),
        route(post.clone(), "/v2.0/security-groups", "create_security_group", m, groups::create),
        route(get.clone(), "/v2.0/security-groups/{id}", "get_security_group", r, groups::show),
        route(put, "/v2.0/security-groups/{id}", "update_security_group", m, groups::update),
        route(delete.clone(), "/v2.0/security-groups/{id}", "delete_security_group", m, groups::delete),
        route(get.clone(), "/v2.0/security-group-rules", "get_security_group_rule", r, groups::list_rules),
        route(post, "/v2.0/security-group-rules", "create_security_group_rule", m, groups::create_rules),
        route(get, "/v2.0/security-group-rules/{id}", "get_security_group_rule", r, groups::show_rule),
        route(delete, "/v2.0/security-group-rules/{id}", "delete_security_group_rule", m, groups::delete_rule),
    ]
}

fn others() -> Vec<Route<Network>> {
    let (get, put, delete) = (Method::GET, Method::PUT, Method::DELETE);
    let (r, m, any) = (Rule::ProjectReader, Rule::ProjectMember, Rule::Authenticated);
    vec![
        route(get.clone(), "/", "", Rule::Anyone, versions::list),
        route(get.clone(), "/v2.0", "", any, versions::resources),
        route(get.clone(), "/v2.0/", "", any, versions::resources),
        route(get.clone(), "/v2.0/extensions", "get_extension", any, extensions::list),
        route(get.clone(), "/v2.0/extensions/{alias}", "get_extension", any, extensions::show),
        route(get.clone(), "/v2.0/agents", "get_agent", Rule::Admin, extensions::agents),
        route(get.clone(), "/v2.0/availability_zones", "get_availability_zone", r, extensions::zones),
        route(get.clone(), "/v2.0/quotas", "get_quota", Rule::Admin, quotas::list),
        route(get.clone(), "/v2.0/quotas/{project}", "get_quota", r, quotas::show),
        route(put.clone(), "/v2.0/quotas/{project}", "update_quota", Rule::Admin, quotas::update),
        route(delete.clone(), "/v2.0/quotas/{project}", "delete_quota", Rule::Admin, quotas::delete),
        route(get.clone(), "/v2.0/quotas/{project}/default", "get_quota", r, quotas::defaults),
        route(get.clone(), "/v2.0/quotas/{project}/details", "get_quota", r, quotas::details),
        route(get.clone(), "/v2.0/quotas/{project}/details.json", "get_quota", r, quotas::details),
        route(get.clone(), "/v2.0/{resource}/{id}/tags", "get_tags", r, tags::list),
        route(put.clone(), "/v2.0/{resource}/{id}/tags", "update_tags", m, tags::replace),
        route(delete.clone(), "/v2.0/{resource}/{id}/tags", "delete_tags", m, tags::clear),
        route(get, "/v2.0/{resource}/{id}/tags/{tag}", "get_tags", r, tags::has),
        route(put, "/v2.0/{resource}/{id}/tags/{tag}", "update_tags", m, tags::add),
        route(delete, "/v2.0/{resource}/{id}/tags/{tag}", "delete_tags", m, tags::remove),
    ]
}

/// Every route, those that are not built included.
/// # Panics
/// Never: `NOT_BUILT` names standard methods.
pub fn routes() -> Vec<Route<Network>> {
    let mut all = collections();
    all.extend(others());
    for (method, path) in NOT_BUILT {
        let name = format!("{method} {path}");
        let method = Method::from_bytes(method.as_bytes()).expect("NOT_BUILT names standard methods");
        let refuse = move || {
            let fault = Fault::not_built(&name);
            async move { fault }
        };
        all.push(route(method, path, "", Rule::Authenticated, refuse));
    }
    all
}

/// The service's router.
pub fn router(network: Network) -> Router {
    web::router(FaultShape::Network, routes(), network)
}

/// The routes, for generated documents.
pub fn route_infos() -> Vec<RouteInfo> {
    routes().into_iter().map(|r| r.info).collect()
}

/// The id of a path; what is none names nothing that is there.
fn path_id(what: &'static str, text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| Error::not_found(what, text))
}

impl From<Error> for Fault {
    fn from(e: Error) -> Fault {
        let message = e.to_string();
        match e {
            Error::NotFound { what, .. } => Fault::not_found(message).kind(match what {
                "Network" => "NetworkNotFound",
                "Subnet" => "SubnetNotFound",
                "Port" => "PortNotFound",
                "SecurityGroup" => "SecurityGroupNotFound",
                "SecurityGroupRule" => "SecurityGroupRuleNotFound",
                _ => "HTTPNotFound",
            }),
            Error::Conflict { kind, .. } => Fault::conflict(message).kind(kind),
            Error::Invalid { kind, .. } => Fault::bad_request(message).kind(kind),
            Error::Forbidden(_) => Fault::forbidden(message),
            Error::OverQuota(_) => Fault::conflict(message).kind("OverQuota"),
            Error::NotBuilt(_) => Fault::new(StatusCode::NOT_IMPLEMENTED, message),
            Error::Store(e) => Fault::from(e),
        }
    }
}
