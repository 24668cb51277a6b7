//! What is used: of a provider, and by a project.

use super::body::length;
use super::query::only;
use super::version::Version;
use super::{provider, since};
use crate::Placement;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use store::Tx;
use store::placement::allocations::{self, UsageLine};
use store::placement::inventories;
use web::{Caller, Fault, Query};

/// `GET /resource_providers/{uuid}/usages`
pub(super) async fn of_provider(State(me): State<Placement>, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let read = move |tx: &mut Tx| {
        let p = provider(tx, &id)?;
        Ok((inventories::of(tx, p.id)?, p.generation))
    };
    let (all, generation) = me.look(read).await?;
    let usages: BTreeMap<&str, i64> = all.iter().map(|i| (i.class.as_str(), i.used)).collect();
    Ok(Json(json!({"resource_provider_generation": generation, "usages": usages})))
}

/// `GET /usages`: of the own project; administrators see others'.
pub(super) async fn of_project(
    State(me): State<Placement>,
    caller: Caller,
    v: Version,
    q: Query,
) -> Result<Json<Value>, Fault> {
    since(v, 9)?;
    only(&q, v, &[("project_id", 9), ("user_id", 9), ("consumer_type", 38)])?;
    let missing = || Fault::bad_request("Invalid query string parameters: 'project_id' is a required property");
    let project = q.get("project_id").ok_or_else(missing)?.to_owned();
    length("project_id", &project, 255)?;
    if let Some(user) = q.get("user_id") {
        length("user_id", user, 255)?;
    }
    if !caller.is_admin() && !caller.has("service") && caller.project_id() != project {
        return Err(Fault::forbidden("placement:usages: usages of another project need the role admin."));
    }
    let user = q.get("user_id").map(str::to_owned);
    let (lines, counts) = me
        .look(move |tx| {
            let lines = allocations::usages(tx, &project, user.as_deref())?;
            Ok((lines, allocations::consumers_of_project(tx, &project, user.as_deref())?))
        })
        .await?;
    if v.0 < 38 {
        return Ok(Json(json!({"usages": sums(lines.iter())})));
    }
    let wanted = q.get("consumer_type");
    let named = |kind: &Option<String>| kind.clone().unwrap_or_else(|| "unknown".into());
    let mut out = Map::new();
    if wanted == Some("all") {
        let count: i64 = counts.iter().map(|c| c.1).sum();
        if count > 0 {
            out.insert("all".into(), group(lines.iter(), count));
        }
        return Ok(Json(json!({"usages": out})));
    }
    for (kind, count) in &counts {
        if wanted.is_none_or(|w| w == named(kind)) {
            out.insert(named(kind), group(lines.iter().filter(|l| l.kind == *kind), *count));
        }
    }
    Ok(Json(json!({"usages": out})))
}

fn sums<'a>(lines: impl Iterator<Item = &'a UsageLine>) -> Map<String, Value> {
    let mut out: BTreeMap<&str, i64> = BTreeMap::new();
    for l in lines {
        *out.entry(&l.class).or_default() += l.used;
    }
    out.into_iter().map(|(class, n)| (class.to_owned(), json!(n))).collect()
}

fn group<'a>(lines: impl Iterator<Item = &'a UsageLine>, consumers: i64) -> Value {
    let mut out = sums(lines);
    out.insert("consumer_count".into(), json!(consumers));
    Value::Object(out)
}
