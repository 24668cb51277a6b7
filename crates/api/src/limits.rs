//! Limits and quotas: `/limits`, `/os-quota-sets`, `/os-quota-class-sets`.

use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::outside;
use crate::query::known;
use crate::servers::metadata::fault_of;
use crate::table::forbidden;
use api_types::quotas;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::policy::Rule;
use model::quota::{COMPUTE, Resource, Usage};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use web::{Body, Fault, Query};

/// Limits that the original still shows before 2.36 though the network service has its own: unlimited, used by none.
const PROXIED: &[Resource] = &[
    Resource { name: "fixed_ips", default: -1, counted: false },
    Resource { name: "floating_ips", default: -1, counted: false },
    Resource { name: "security_groups", default: -1, counted: false },
    Resource { name: "security_group_rules", default: -1, counted: false },
];

/// Names of `/limits`: resource, names, first microversion without it.
const LIMITS: &[(&str, &str, u16)] = &[
    ("ram", "maxTotalRAMSize", u16::MAX),
    ("instances", "maxTotalInstances", u16::MAX),
    ("cores", "maxTotalCores", u16::MAX),
    ("key_pairs", "maxTotalKeypairs", u16::MAX),
    ("metadata_items", "maxServerMeta", u16::MAX),
    ("metadata_items", "maxImageMeta", 39),
    ("server_groups", "maxServerGroups", u16::MAX),
    ("server_group_members", "maxServerGroupMembers", u16::MAX),
    ("floating_ips", "maxTotalFloatingIps", 36),
    ("security_groups", "maxSecurityGroups", 36),
    ("security_group_rules", "maxSecurityGroupRules", 36),
    ("injected_files", "maxPersonality", 57),
    ("injected_file_content_bytes", "maxPersonalitySize", 57),
];

const USED: &[(&str, &str, u16)] = &[
    ("ram", "totalRAMUsed", u16::MAX),
    ("cores", "totalCoresUsed", u16::MAX),
    ("instances", "totalInstancesUsed", u16::MAX),
    ("server_groups", "totalServerGroupsUsed", u16::MAX),
    ("floating_ips", "totalFloatingIpsUsed", 36),
    ("security_groups", "totalSecurityGroupsUsed", 36),
];

/// All resources with this cloud's default limits.
pub fn resources(api: &Api) -> Vec<Resource> {
    let limit = |r: &Resource| api.options().quota.get(r.name).copied().unwrap_or(r.default);
    COMPUTE.iter().chain(PROXIED).map(|r| Resource { default: limit(r), ..*r }).collect()
}

async fn usages(api: &Api, project: &str) -> Result<BTreeMap<String, Usage>, Fault> {
    let (all, project) = (resources(api), project.to_owned());
    let list = api.store().read(move |tx| store::quotas::usages(tx, &project, &all)).await?;
    Ok(list.into_iter().map(|u| (u.resource.clone(), u)).collect())
}

/// `GET /limits`.
/// # Errors
/// 403.
pub async fn limits(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, &["tenant_id", "reserved"])?;
    let project = match query.get("tenant_id") {
        Some(_) if !ask.is_admin() => return Err(forbidden("os_compute_api:limits:other_project")),
        Some(id) => id.to_owned(),
        None => ask.caller.project_id().to_owned(),
    };
    let usages = usages(&api, &project).await?;
    let mut absolute = Map::new();
    let shown = |until: u16| ask.mv.1 < until;
    for (resource, name, _) in LIMITS.iter().filter(|(_, _, until)| shown(*until)) {
        absolute.extend(usages.get(*resource).map(|u| ((*name).to_owned(), u.limit.into())));
    }
    for (resource, name, _) in USED.iter().filter(|(_, _, until)| shown(*until)) {
        absolute.extend(usages.get(*resource).map(|u| ((*name).to_owned(), u.used.into())));
    }
    Ok(Json(json!({ "limits": { "rate": [], "absolute": absolute } })))
}

/// The project, if the caller may do this to its quota.
fn project(api: &Api, ask: &Ask, id: &str, rule: Rule, policy: &'static str) -> Result<(), Fault> {
    if !rule.allows(&ask.caller, id) {
        return Err(forbidden(policy));
    }
    outside::project(api, id)
}

fn set(ask: &Ask, id: Option<&str>, value: impl Fn(&str) -> Option<Value>) -> Json<Value> {
    let mut out = Map::new();
    out.extend(id.map(|i| ("id".to_owned(), i.into())));
    out.extend(quotas::resources(ask.mv).filter_map(|r| Some((r.to_owned(), value(r)?))));
    Json(json!({ "quota_set": out }))
}

/// `GET /os-quota-sets/{project}`. There are no limits of single users: with `user_id` the project's are shown,
/// as the original does for a user without own limits.
/// # Errors
/// 400, 403.
pub async fn show(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, &["user_id"])?;
    project(&api, &ask, &id, Rule::ProjectReader, "os_compute_api:os-quota-sets:show")?;
    let usages = usages(&api, &id).await?;
    Ok(set(&ask, Some(&id), |r| usages.get(r).map(|u| u.limit.into())))
}

/// `GET /os-quota-sets/{project}/detail`.
/// # Errors
/// 400, 403.
pub async fn detail(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, &["user_id"])?;
    project(&api, &ask, &id, Rule::ProjectReader, "os_compute_api:os-quota-sets:detail")?;
    let usages = usages(&api, &id).await?;
    let shown = |u: &Usage| json!({ "limit": u.limit, "in_use": u.used, "reserved": 0 });
    Ok(set(&ask, Some(&id), |r| usages.get(r).map(shown)))
}

/// `GET /os-quota-sets/{project}/defaults`.
/// # Errors
/// 400.
pub async fn defaults(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    outside::project(&api, &id)?;
    let all = resources(&api);
    Ok(set(&ask, Some(&id), |name| all.iter().find(|r| r.name == name).map(|r| r.default.into())))
}

fn no_users(query: &Query) -> Result<(), Fault> {
    match query.get("user_id") {
        Some(_) => Err(Fault::not_built("Quota of single users (user_id)")),
        None => Ok(()),
    }
}

/// `PUT /os-quota-sets/{project}`.
/// # Errors
/// 400, 403.
pub async fn update(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    query: Query,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, &["user_id"])?;
    let wanted = quotas::update(&body, ask.mv).map_err(bad)?;
    project(&api, &ask, &id, Rule::Admin, "os_compute_api:os-quota-sets:update")?;
    no_users(&query)?;
    let (all, key) = (resources(&api), id.clone());
    let stored = api.store().write(move |tx| {
        for (name, limit) in &wanted.limits {
            let Some(resource) = all.iter().find(|r| r.name == *name) else { continue };
            let used = store::quotas::usage(tx, &key, resource)?.used;
            if !wanted.force && *limit >= 0 && *limit < used {
                return Err(store::Error::abort(Fault::bad_request(format!(
                    "Quota limit {limit} for {name} must be greater than or equal to already used and reserved {used}."
                ))));
            }
            store::quotas::set_limit(tx, &key, resource, *limit)?;
        }
        Ok(())
    });
    stored.await.map_err(fault_of)?;
    let usages = usages(&api, &id).await?;
    Ok(set(&ask, None, |r| usages.get(r).map(|u| u.limit.into())))
}

/// `DELETE /os-quota-sets/{project}`: the defaults hold again.
/// # Errors
/// 501.
pub async fn delete(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<StatusCode, Fault> {
    known(&ask, &query, 75, &["user_id"])?;
    no_users(&query)?;
    let all = resources(&api);
    api.store().write(move |tx| store::quotas::reset_limits(tx, &id, &all)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `GET /os-quota-class-sets/{class}`: of any class the defaults, since only `default` means something.
/// # Errors
/// 400.
pub async fn class(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let all = resources(&api);
    let mut out = Map::new();
    out.insert("id".into(), id.into());
    for name in quotas::class_resources(ask.mv) {
        out.extend(all.iter().find(|r| r.name == name).map(|r| (name.to_owned(), r.default.into())));
    }
    Ok(Json(json!({ "quota_class_set": out })))
}
