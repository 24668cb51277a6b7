//! Routes of the original that clients may call and that are not built: each answers 501 naming itself.

use crate::Identity;
use axum::http::Method;
use model::policy::Rule;
use web::{Fault, Route, route};

/// Method and path, axum syntax, below the service's root.
pub const NOT_BUILT: &[(&str, &str)] = &[
    ("GET", "/v3/auth/tokens/OS-PKI/revoked"),
    ("GET", "/v3/auth/OS-FEDERATION/websso/{protocol}"),
    ("POST", "/v3/auth/OS-FEDERATION/websso/{protocol}"),
    ("POST", "/v3/auth/OS-FEDERATION/saml2"),
    ("POST", "/v3/auth/OS-FEDERATION/saml2/ecp"),
    ("GET", "/v3/credentials"),
    ("POST", "/v3/credentials"),
    ("GET", "/v3/credentials/{credential}"),
    ("PATCH", "/v3/credentials/{credential}"),
    ("DELETE", "/v3/credentials/{credential}"),
    ("GET", "/v3/users/{user}/credentials/OS-EC2"),
    ("POST", "/v3/users/{user}/credentials/OS-EC2"),
    ("GET", "/v3/users/{user}/credentials/OS-EC2/{credential}"),
    ("DELETE", "/v3/users/{user}/credentials/OS-EC2/{credential}"),
    ("POST", "/v3/ec2tokens"),
    ("POST", "/v3/s3tokens"),
    ("GET", "/v3/users/{user}/access_rules"),
    ("GET", "/v3/users/{user}/access_rules/{rule}"),
    ("DELETE", "/v3/users/{user}/access_rules/{rule}"),
    ("GET", "/v3/domains/{domain}/config"),
    ("PUT", "/v3/domains/{domain}/config"),
    ("PATCH", "/v3/domains/{domain}/config"),
    ("DELETE", "/v3/domains/{domain}/config"),
    ("GET", "/v3/domains/config/default"),
    ("GET", "/v3/policies"),
    ("POST", "/v3/policies"),
    ("GET", "/v3/policies/{policy}"),
    ("PATCH", "/v3/policies/{policy}"),
    ("DELETE", "/v3/policies/{policy}"),
    ("GET", "/v3/limits"),
    ("POST", "/v3/limits"),
    ("GET", "/v3/limits/model"),
    ("GET", "/v3/limits/{limit}"),
    ("PATCH", "/v3/limits/{limit}"),
    ("DELETE", "/v3/limits/{limit}"),
    ("GET", "/v3/registered_limits"),
    ("POST", "/v3/registered_limits"),
    ("GET", "/v3/registered_limits/{limit}"),
    ("PATCH", "/v3/registered_limits/{limit}"),
    ("DELETE", "/v3/registered_limits/{limit}"),
    ("GET", "/v3/OS-TRUST/trusts"),
    ("POST", "/v3/OS-TRUST/trusts"),
    ("GET", "/v3/OS-TRUST/trusts/{trust}"),
    ("DELETE", "/v3/OS-TRUST/trusts/{trust}"),
    ("GET", "/v3/OS-OAUTH1/consumers"),
    ("POST", "/v3/OS-OAUTH1/consumers"),
    ("GET", "/v3/OS-FEDERATION/identity_providers"),
    ("PUT", "/v3/OS-FEDERATION/identity_providers/{provider}"),
    ("GET", "/v3/OS-FEDERATION/mappings"),
    ("GET", "/v3/OS-FEDERATION/service_providers"),
    ("GET", "/v3/OS-FEDERATION/projects"),
    ("GET", "/v3/OS-FEDERATION/domains"),
    ("GET", "/v3/OS-EP-FILTER/endpoint_groups"),
    ("POST", "/v3/OS-EP-FILTER/endpoint_groups"),
    ("GET", "/v3/OS-EP-FILTER/projects/{project}/endpoints"),
    ("PUT", "/v3/OS-EP-FILTER/projects/{project}/endpoints/{endpoint}"),
    ("GET", "/v3/OS-REVOKE/events"),
    ("POST", "/v3/OS-OAUTH2/token"),
];

pub(super) fn routes() -> Vec<Route<Identity>> {
    let row = |(method, path): &(&'static str, &'static str)| {
        let known = Method::from_bytes(method.as_bytes()).unwrap_or(Method::GET);
        let name = format!("{method} {path}");
        route(known, path, "identity:not_built", Rule::Authenticated, move || async move { Fault::not_built(&name) })
    };
    NOT_BUILT.iter().map(row).collect()
}
