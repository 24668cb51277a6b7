//! `/resource_providers/{uuid}/aggregates`.

use super::body::Body;
use super::version::Version;
use super::{bump, provider, provider_at, refuse, since};
use crate::Placement;
use axum::Json;
use axum::extract::{Path, State};
use model::placement::Provider;
use serde::Deserialize;
use serde_json::{Value, json};
use store::Tx;
use store::placement::providers as rows;
use uuid::Uuid;
use web::Fault;

/// Body of PUT: a list before 1.19, an object from then on.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(super) enum Given {
    /// 1.1 to 1.18.
    List(Vec<Uuid>),
    /// 1.19 on.
    Object(Object),
}

/// Aggregates with the generation that was seen.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Object {
    aggregates: Vec<Uuid>,
    resource_provider_generation: i64,
}

fn view(all: &[Uuid], generation: i64, v: Version) -> Value {
    let mut out = json!({"aggregates": all});
    if v.0 >= 19 {
        out["resource_provider_generation"] = json!(generation);
    }
    out
}

/// `GET`
pub(super) async fn list(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    since(v, 1)?;
    let read = move |tx: &mut Tx| {
        let p = provider(tx, &id)?;
        Ok((rows::aggregates(tx, p.id)?, p.generation))
    };
    let (all, generation) = me.look(read).await?;
    Ok(Json(view(&all, generation, v)))
}

fn change(tx: &mut Tx, id: &str, wanted: &[Uuid], seen: Option<i64>) -> store::Result<Provider> {
    let distinct = wanted.iter().collect::<std::collections::BTreeSet<_>>().len();
    if distinct != wanted.len() {
        return refuse(Fault::bad_request("JSON does not validate: aggregates has non-unique elements"));
    }
    let p = match seen {
        Some(generation) => provider_at(tx, id, generation)?,
        None => provider(tx, id)?,
    };
    rows::set_aggregates(tx, p.id, wanted)?;
    Ok(p)
}

/// `PUT`
pub(super) async fn replace(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
    Body(b): Body<Given>,
) -> Result<Json<Value>, Fault> {
    since(v, 1)?;
    // Of a provider that is not there, that is said first.
    let sought = id.clone();
    me.look(move |tx| provider(tx, &sought).map(|_| ())).await?;
    let (wanted, seen) = match b {
        Given::List(all) if v.0 < 19 => (all, None),
        Given::Object(o) if v.0 >= 19 => (o.aggregates, Some(o.resource_provider_generation)),
        Given::List(_) => return Err(Fault::bad_request("JSON does not validate: give {\"aggregates\": [], \"resource_provider_generation\": N}")),
        Given::Object(_) => return Err(Fault::bad_request("JSON does not validate: give a list of UUIDs before microversion 1.19")),
    };
    let now = me.env.now();
    let (pid, all, generation) = me
        .unit(move |tx| {
            let p = change(tx, &id, &wanted, seen)?;
            let generation = if seen.is_some() { bump(tx, &p, now)? } else { p.generation };
            Ok((p.id, wanted.clone(), generation))
        })
        .await?;
    me.reload(pid).await?;
    Ok(Json(view(&all, generation, v)))
}
