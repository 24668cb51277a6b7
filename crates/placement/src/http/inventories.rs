//! `/resource_providers/{uuid}/inventories`.

use super::body::{Body, range, schema};
use super::version::Version;
use super::{bump, location, names, ok, provider, provider_at, refuse};
use crate::Placement;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::placement::{Inventory, MAX_AMOUNT};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::Tx;
use store::placement::inventories as rows;
use uuid::Uuid;
use web::{Fault, Origin};

/// One inventory as given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Given {
    resource_class: Option<String>,
    resource_provider_generation: Option<i64>,
    total: i64,
    reserved: Option<i64>,
    min_unit: Option<i64>,
    max_unit: Option<i64>,
    step_size: Option<i64>,
    allocation_ratio: Option<f64>,
}

/// All inventories of a provider as given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct All {
    resource_provider_generation: i64,
    inventories: BTreeMap<String, Given>,
}

/// The largest single-precision number, which the original stores ratios in.
const MAX_RATIO: f64 = 3.402_823_466e38;

impl Given {
    fn record(&self, id: &str, verb: &str, class: &str, v: Version) -> Result<Inventory, Fault> {
        let number = |name: &str, given: Option<i64>, default: i64, least: i64| {
            range(&format!("{class} {name}"), given.unwrap_or(default), least, MAX_AMOUNT)
        };
        let i = Inventory {
            class: class.to_owned(),
            total: number("total", Some(self.total), 0, 1)?,
            reserved: number("reserved", self.reserved, 0, 0)?,
            min_unit: number("min_unit", self.min_unit, 1, 1)?,
            max_unit: number("max_unit", self.max_unit, MAX_AMOUNT, 1)?,
            step_size: number("step_size", self.step_size, 1, 1)?,
            allocation_ratio: self.allocation_ratio.unwrap_or(1.0),
            used: 0,
        };
        let ratio = i.allocation_ratio;
        if !(0.0..=MAX_RATIO).contains(&ratio) {
            return Err(schema("maximum", format!("{ratio} is no ratio: {class} allocation_ratio")));
        }
        if i.reserved > i.total || (v.0 < 26 && i.reserved == i.total) {
            let than = if v.0 < 26 { "greater than or equal to total" } else { "greater than total" };
            return Err(Fault::bad_request(format!(
                "Unable to {verb} inventory for resource provider {id}: Invalid inventory for '{class}' on resource \
                 provider '{id}'. The reserved value is {than}."
            )));
        }
        Ok(i)
    }
}

fn view(i: &Inventory) -> Value {
    json!({
        "total": i.total,
        "reserved": i.reserved,
        "min_unit": i.min_unit,
        "max_unit": i.max_unit,
        "step_size": i.step_size,
        "allocation_ratio": i.allocation_ratio,
    })
}

fn view_all(all: &[Inventory], generation: i64) -> Value {
    let shown: BTreeMap<&str, Value> = all.iter().map(|i| (i.class.as_str(), view(i))).collect();
    json!({"resource_provider_generation": generation, "inventories": shown})
}

fn view_one(i: &Inventory, generation: i64) -> Value {
    let mut v = view(i);
    v["resource_provider_generation"] = json!(generation);
    v
}

fn check_class(tx: &mut Tx, class: &str, id: &str) -> store::Result<()> {
    if names::is_class(tx, class)? {
        return Ok(());
    }
    refuse(Fault::bad_request(format!(
        "Unknown resource class in inventory for resource provider {id}: No such resource class {class}."
    )))
}

fn remove(tx: &mut Tx, id: Uuid, class: &str) -> store::Result<()> {
    if rows::remove_unused(tx, id, class)? {
        return Ok(());
    }
    let message = format!("Inventory for '{class}' on resource provider '{id}' in use.");
    refuse(Fault::conflict(message).kind("placement.inventory.inuse"))
}

fn none<T>(id: &str, class: &str) -> store::Result<T> {
    refuse(Fault::not_found(format!("No inventory of class {class} for {id}")))
}

/// `GET`
pub(super) async fn list(State(me): State<Placement>, Path(id): Path<String>) -> Result<Json<Value>, Fault> {
    let read = move |tx: &mut Tx| {
        let p = provider(tx, &id)?;
        Ok((rows::of(tx, p.id)?, p.generation))
    };
    let (all, generation) = me.look(read).await?;
    Ok(Json(view_all(&all, generation)))
}

/// `PUT`: all of them.
pub(super) async fn replace(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
    Body(b): Body<All>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let wanted: Vec<Inventory> = b.inventories.iter().map(|(class, g)| g.record(&id, "update", class, v)).collect::<Result<_, _>>()?;
    let now = me.env.now();
    let (pid, generation, all) = me
        .unit(move |tx| {
            let p = provider_at(tx, &id, b.resource_provider_generation)?;
            for i in &wanted {
                check_class(tx, &i.class, &id)?;
                rows::put(tx, p.id, i)?;
            }
            for old in rows::of(tx, p.id)? {
                if !wanted.iter().any(|w| w.class == old.class) {
                    remove(tx, p.id, &old.class)?;
                }
            }
            let generation = bump(tx, &p, now)?;
            Ok((p.id, generation, rows::of(tx, p.id)?))
        })
        .await?;
    me.reload(pid).await?;
    Ok(ok(view_all(&all, generation)))
}

/// `POST`: one more.
pub(super) async fn create(
    State(me): State<Placement>,
    v: Version,
    origin: Origin,
    Path(id): Path<String>,
    Body(b): Body<Given>,
) -> Result<Response, Fault> {
    let missing = || Fault::bad_request("JSON does not validate: 'resource_class' is a required property");
    let class = b.resource_class.clone().ok_or_else(missing)?;
    let wanted = b.record(&id, "create", &class, v)?;
    let now = me.env.now();
    let headers = location(&me, &origin, &format!("/resource_providers/{id}/inventories/{class}"));
    let (pid, generation, made) = me
        .unit(move |tx| {
            let p = provider(tx, &id)?;
            // Without a generation the original takes the present one.
            if b.resource_provider_generation.is_some_and(|g| g != p.generation) {
                return refuse(super::conflict());
            }
            check_class(tx, &wanted.class, &id)?;
            if rows::of(tx, p.id)?.iter().any(|i| i.class == wanted.class) {
                let message = format!("Update conflict: inventory of {} on {id} exists already", wanted.class);
                return refuse(Fault::conflict(message).kind(super::CONCURRENT));
            }
            rows::put(tx, p.id, &wanted)?;
            let generation = bump(tx, &p, now)?;
            Ok((p.id, generation, wanted.clone()))
        })
        .await?;
    me.reload(pid).await?;
    Ok((StatusCode::CREATED, headers, Json(view_one(&made, generation))).into_response())
}

/// `DELETE`: all of them.
pub(super) async fn clear(
    State(me): State<Placement>,
    v: Version,
    Path(id): Path<String>,
) -> Result<StatusCode, Fault> {
    if v.0 < 5 {
        let message = "The method DELETE is not allowed for this resource; it comes with microversion 1.5.";
        return Err(Fault::new(StatusCode::METHOD_NOT_ALLOWED, message));
    }
    let now = me.env.now();
    let pid = me
        .unit(move |tx| {
            let p = provider(tx, &id)?;
            for i in rows::of(tx, p.id)? {
                remove(tx, p.id, &i.class)?;
            }
            bump(tx, &p, now)?;
            Ok(p.id)
        })
        .await?;
    me.reload(pid).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /{class}`
pub(super) async fn show(
    State(me): State<Placement>,
    Path((id, class)): Path<(String, String)>,
) -> Result<Json<Value>, Fault> {
    let read = move |tx: &mut Tx| {
        let p = provider(tx, &id)?;
        match rows::of(tx, p.id)?.into_iter().find(|i| i.class == class) {
            Some(i) => Ok((i, p.generation)),
            None => none(&id, &class),
        }
    };
    let (i, generation) = me.look(read).await?;
    Ok(Json(view_one(&i, generation)))
}

/// `PUT /{class}`
pub(super) async fn update(
    State(me): State<Placement>,
    v: Version,
    Path((id, class)): Path<(String, String)>,
    Body(b): Body<Given>,
) -> Result<(StatusCode, Json<Value>), Fault> {
    let wanted = b.record(&id, "update", &class, v)?;
    let missing = || Fault::bad_request("JSON does not validate: 'resource_provider_generation' is a required property");
    let seen = b.resource_provider_generation.ok_or_else(missing)?;
    let now = me.env.now();
    let (pid, generation, made) = me
        .unit(move |tx| {
            let p = provider_at(tx, &id, seen)?;
            if !rows::of(tx, p.id)?.iter().any(|i| i.class == class) {
                let message = format!("No inventory record with resource class for resource provider {id}: {class}");
                return refuse(Fault::bad_request(message));
            }
            rows::put(tx, p.id, &wanted)?;
            let generation = bump(tx, &p, now)?;
            Ok((p.id, generation, wanted.clone()))
        })
        .await?;
    me.reload(pid).await?;
    Ok(ok(view_one(&made, generation)))
}

/// `DELETE /{class}`
pub(super) async fn delete(
    State(me): State<Placement>,
    Path((id, class)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    let now = me.env.now();
    let pid = me
        .unit(move |tx| {
            let p = provider(tx, &id)?;
            if !rows::of(tx, p.id)?.iter().any(|i| i.class == class) {
                return refuse(Fault::not_found(format!("No inventory of class {class} found for delete")));
            }
            remove(tx, p.id, &class)?;
            bump(tx, &p, now)?;
            Ok(p.id)
        })
        .await?;
    me.reload(pid).await?;
    Ok(StatusCode::NO_CONTENT)
}
