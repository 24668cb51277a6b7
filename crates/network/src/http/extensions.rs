//! Extensions that are really there, and lists that are truly empty: this cloud has no network agents and no network
//! zones, its hosts do that work.

use axum::Json;
use axum::extract::Path;
use serde_json::{Value, json};
use web::Fault;

/// Alias, name, what it means.
const EXTENSIONS: &[(&str, &str, &str)] = &[
    ("agent", "agent", "The agent management extension; the list is empty, hosts wire their own networks."),
    ("allowed-address-pairs", "Allowed Address Pairs", "Provides allowed address pairs"),
    ("binding", "Port Binding", "Expose port bindings of a virtual port to external application"),
    ("external-net", "Neutron external network", "Adds external network attribute to network resource."),
    ("filter-validation", "Filter parameters validation", "Provides validation on filter parameters."),
    ("net-mtu", "Network MTU", "Provides MTU attribute for a network resource."),
    ("net-mtu-writable", "Network MTU (writable)", "Provides a writable MTU attribute for a network resource."),
    ("pagination", "Pagination support", "Extension that indicates that pagination is enabled."),
    ("port-security", "Port Security", "Provides port security"),
    ("project-id", "project_id field enabled", "Extension that indicates that project_id field is enabled."),
    ("provider", "Provider Network", "Expose mapping of virtual networks to physical networks"),
    ("quotas", "Quota management support", "Expose functions for quotas management per project"),
    ("quota_details", "Quota details management support", "Expose functions for quotas usage statistics per project"),
    ("security-group", "security-group", "The security groups extension."),
    ("sorting", "Sorting support", "Extension that indicates that sorting is enabled."),
    ("standard-attr-description", "standard-attr-description", "Extension to add descriptions to standard attributes"),
    ("standard-attr-revisions", "Resource revision numbers", "This extension will display the revision number of neutron resources."),
    ("standard-attr-tag", "Tag support for resources with standard attribute: network, port, security_group, subnet", "Enables to set tag on resources with standard attribute."),
    ("standard-attr-timestamp", "Resource timestamps", "Adds created_at and updated_at fields to all Neutron resources that have Neutron standard attributes."),
    ("ip-substring-filtering", "IP address substring filtering", "Provides IP address substring filtering when listing ports"),
    ("port-security-groups-filtering", "Port filtering on security groups", "Provides security groups filtering when listing ports"),
];

fn view((alias, name, description): &(&str, &str, &str)) -> Value {
    json!({"alias": alias, "name": name, "description": description, "updated": "2026-11-22T00:00:00-00:00", "links": []})
}

/// `GET /v2.0/extensions`
pub(super) async fn list() -> Json<Value> {
    Json(json!({"extensions": EXTENSIONS.iter().map(view).collect::<Vec<_>>()}))
}

/// `GET /v2.0/extensions/{alias}`
pub(super) async fn show(Path(alias): Path<String>) -> Result<Json<Value>, Fault> {
    match EXTENSIONS.iter().find(|e| e.0 == alias) {
        Some(e) => Ok(Json(json!({"extension": view(e)}))),
        None => Err(Fault::not_found(format!("Extension with alias {alias} does not exist"))),
    }
}

/// `GET /v2.0/agents`
pub(super) async fn agents() -> Json<Value> {
    Json(json!({"agents": []}))
}

/// `GET /v2.0/availability_zones`
pub(super) async fn zones() -> Json<Value> {
    Json(json!({"availability_zones": []}))
}
