//! `GET /os-server-groups` and `GET /os-server-groups/{id}`.

use super::{find, view};
use crate::Api;
use crate::ask::Ask;
use crate::query::{known, wrong};
use axum::Json;
use axum::extract::{Path, State};
use model::policy::Rule;
use serde_json::{Value, json};
use uuid::Uuid;
use web::{Fault, Query};

/// A whole number of the query; nothing is `None`.
fn number(query: &Query, key: &str) -> Result<Option<usize>, Fault> {
    let Some(text) = query.get(key) else { return Ok(None) };
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong(key, text, format!("'{text}' does not match '^[0-9]*$'")));
    }
    Ok(Some(text.parse().unwrap_or(usize::MAX)))
}

/// `GET` of all: the project's, or with `all_projects` everybody's, for administrators.
/// # Errors
/// 400.
pub async fn list(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, &["all_projects", "limit", "offset"])?;
    let max = api.options().max_limit;
    let limit = number(&query, "limit")?.filter(|n| *n > 0).unwrap_or(max).min(max);
    let offset = number(&query, "offset")?.unwrap_or(0);
    let everybody = ask.is_admin() && query.get("all_projects").is_some();
    let project = (!everybody).then(|| ask.caller.project_id().to_owned());
    let found = api.store().read(move |tx| {
        let all = store::server_groups::list(tx, project.as_deref())?;
        let page = all.into_iter().skip(offset).take(limit);
        page.map(|g| Ok((members(tx, g.id)?, g))).collect::<store::Result<Vec<_>>>()
    });
    let groups: Vec<Value> =
        found.await?.into_iter().map(|(members, g)| view(&ask, &g, members)).collect::<Result<_, _>>()?;
    Ok(Json(json!({ "server_groups": groups })))
}

fn members(tx: &mut store::Tx, group: Uuid) -> store::Result<Vec<Uuid>> {
    Ok(store::server_groups::members(tx, group)?.into_iter().map(|m| m.server).collect())
}

/// `GET` of one.
/// # Errors
/// 403, 404.
pub async fn show(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let group = find(&api, &ask, &id, Rule::ProjectReader, "os_compute_api:os-server-groups:show").await?;
    let key = group.id;
    let members = api.store().read(move |tx| members(tx, key)).await?;
    Ok(Json(json!({ "server_group": view(&ask, &group, members)? })))
}
