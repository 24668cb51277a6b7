//! `/v2.0/quotas`.

use super::attrs::{invalid, single};
use crate::{Network, Result};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::quota::{NETWORK, Resource, Usage};
use serde_json::{Map, Value, json};
use store::quotas;
use web::{Body, Caller, Fault};

/// Quotas of others are an administrator's business; that they exist is no secret.
fn may_read(caller: &Caller, project: &str) -> Result<()> {
    if caller.is_admin() || caller.project_id() == project {
        return Ok(());
    }
    Err(crate::who::forbidden("get_quota"))
}

fn limits(all: &[Usage]) -> Map<String, Value> {
    all.iter().map(|u| (u.resource.clone(), json!(u.limit))).collect()
}

async fn usages(me: &Network, project: &str) -> Result<Vec<Usage>> {
    let project = project.to_owned();
    me.read(move |tx| Ok(quotas::usages(tx, &project, NETWORK)?)).await
}

/// `GET /v2.0/quotas`: projects with limits of their own.
pub(super) async fn list(State(me): State<Network>) -> Result<Json<Value>, Fault> {
    let names: Vec<String> = NETWORK.iter().map(|r| r.name.to_owned()).collect();
    let all = me
        .read(move |tx| {
            let mut out = Vec::new();
            for project in store::network::projects_with_limits(tx, &names)? {
                let mut one = limits(&quotas::usages(tx, &project, NETWORK)?);
                one.insert("tenant_id".into(), json!(project));
                one.insert("project_id".into(), json!(project));
                out.push(Value::Object(one));
            }
            Ok(out)
        })
        .await?;
    Ok(Json(json!({"quotas": all})))
}

/// `GET /v2.0/quotas/{project}`; `tenant` and `project` name the caller's own.
pub(super) async fn show(
    State(me): State<Network>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<Json<Value>, Fault> {
    if project == "tenant" || project == "project" {
        let own = caller.project_id();
        return Ok(Json(json!({ project: {"tenant_id": own, "project_id": own} })));
    }
    may_read(&caller, &project)?;
    Ok(Json(json!({"quota": limits(&usages(&me, &project).await?)})))
}

/// `GET /v2.0/quotas/{project}/default`
pub(super) async fn defaults(caller: Caller, Path(project): Path<String>) -> Result<Json<Value>, Fault> {
    may_read(&caller, &project)?;
    let all: Map<String, Value> = NETWORK.iter().map(|r| (r.name.to_owned(), json!(r.default))).collect();
    Ok(Json(json!({"quota": all})))
}

/// `GET /v2.0/quotas/{project}/details`
pub(super) async fn details(
    State(me): State<Network>,
    caller: Caller,
    Path(project): Path<String>,
) -> Result<Json<Value>, Fault> {
    may_read(&caller, &project)?;
    let one = |u: Usage| (u.resource, json!({"limit": u.limit, "used": u.used, "reserved": 0}));
    let all: Map<String, Value> = usages(&me, &project).await?.into_iter().map(one).collect();
    Ok(Json(json!({"quota": all})))
}

/// `PUT /v2.0/quotas/{project}`
pub(super) async fn update(
    State(me): State<Network>,
    Path(project): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let mut a = single("quota", body)?;
    let _ = (a.take("tenant_id"), a.take("project_id"), a.take("force"), a.take("check_limit"));
    let mut set: Vec<(&'static Resource, i64)> = Vec::new();
    for r in NETWORK {
        match a.int(r.name)? {
            None => {}
            Some(n) if (-1..=i64::from(i32::MAX)).contains(&n) => set.push((r, n)),
            Some(n) => return Err(invalid(r.name, format!("'{n}' must be -1 or a number that is not negative")).into()),
        }
    }
    a.finish()?;
    let p = project.clone();
    me.write(move |tx| {
        for (r, n) in &set {
            quotas::set_limit(tx, &p, r, *n)?;
        }
        Ok(())
    })
    .await?;
    Ok(Json(json!({"quota": limits(&usages(&me, &project).await?)})))
}

/// `DELETE /v2.0/quotas/{project}`
pub(super) async fn delete(State(me): State<Network>, Path(project): Path<String>) -> Result<StatusCode, Fault> {
    let p = project.clone();
    let names: Vec<String> = NETWORK.iter().map(|r| r.name.to_owned()).collect();
    let had = me
        .write(move |tx| {
            let had = store::network::projects_with_limits(tx, &names)?.contains(&p);
            quotas::reset_limits(tx, &p, NETWORK)?;
            Ok(had)
        })
        .await?;
    if had {
        return Ok(StatusCode::NO_CONTENT);
    }
    let message = format!("Quota for tenant {project} could not be found.");
    Err(Fault::not_found(message).kind("TenantQuotaNotFound"))
}
