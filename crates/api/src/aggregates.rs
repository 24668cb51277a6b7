//! `/os-aggregates`: groups of hosts; one with a zone in its metadata makes that zone.

use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::query::known;
use crate::servers::metadata::fault_of;
use crate::table::refuse_action;
use api_types::aggregates::{self as bodies, View};
use api_types::server_actions::action_of;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::aggregate::Aggregate;
use model::time;
use serde_json::{Value, json};
use store::Tx;
use web::{Body, Fault, Query};

/// Path of the actions.
pub const PATH: &str = "/os-aggregates/{id}/action";

fn view<'a>(ask: &Ask, a: &'a Aggregate) -> View<'a> {
    View {
        id: a.id,
        uuid: ask.at_least(41).then_some(a.uuid),
        name: &a.name,
        availability_zone: a.zone(),
        hosts: Some(&a.hosts),
        metadata: Some(&a.metadata),
        created_at: time::micros(a.created_at),
        updated_at: a.updated_at.map(time::micros),
        deleted: false,
        deleted_at: None,
    }
}

fn number(text: &str) -> Result<i64, Fault> {
    let shown: String = text.chars().take(64).collect();
    text.parse().map_err(|_| Fault::bad_request(format!("Invalid input received: id must be an integer, not {shown}")))
}

fn missing(id: i64) -> Fault {
    Fault::not_found(format!("Aggregate {id} could not be found."))
}

/// The scheduler looks at aggregates in memory: it gets them anew after every change.
async fn published(api: &Api) -> Result<(), Fault> {
    let all = api.store().read(store::aggregates::list).await?;
    api.placement().set_aggregates(&all);
    Ok(())
}

async fn change(
    api: &Api,
    id: i64,
    edit: impl Fn(&mut Tx, &mut Aggregate) -> Result<(), store::Error> + Send + 'static,
) -> Result<Aggregate, Fault> {
    let now = api.env().now();
    let changed = api
        .store()
        .write(move |tx| {
            // Read first: what is looked at besides the aggregate needs the transaction too.
            let mut new = store::aggregates::get(tx, id)?;
            edit(tx, &mut new)?;
            store::aggregates::change(tx, id, now, |a| {
                a.name.clone_from(&new.name);
                a.hosts.clone_from(&new.hosts);
                a.metadata.clone_from(&new.metadata);
                Ok(())
            })
        })
        .await;
    let changed = changed.map_err(|e| match e {
        store::Error::NotFound { .. } => missing(id),
        e => fault_of(e),
    })?;
    published(api).await?;
    Ok(changed)
}

fn free_name(tx: &mut Tx, name: &str, but: Option<i64>) -> Result<(), store::Error> {
    let all = store::aggregates::list(tx)?;
    if all.iter().any(|a| a.name == name && Some(a.id) != but) {
        return Err(store::Error::abort(Fault::conflict(format!("Aggregate {name} already exists."))));
    }
    Ok(())
}

/// A host is in one zone at the most, and a zone does not change under servers (`_check_az_name_change`).
fn zone_fits(tx: &mut Tx, a: &Aggregate, zone: Option<&str>, word: &str) -> Result<(), store::Error> {
    let refuse = |why: String| store::Error::abort(Fault::bad_request(format!("Cannot {word} aggregate {}. Reason: {why}.", a.id)));
    if zone == Some("") {
        return Err(refuse("Aggregate does not support empty named availability zone".into()));
    }
    if zone == a.zone() {
        return Ok(());
    }
    let all = store::aggregates::list(tx)?;
    for host in &a.hosts {
        let other = all.iter().find(|o| o.id != a.id && o.hosts.contains(host) && o.zone().is_some() && o.zone() != zone);
        if let Some(other) = other.filter(|_| zone.is_some()) {
            let name = other.zone().unwrap_or_default();
            return Err(refuse(format!("One or more hosts already in availability zone(s) ['{name}']")));
        }
        let filter = store::servers::Filter { host: Some(host.clone()), ..Default::default() };
        let page = store::servers::Page { limit: Some(1), ..Default::default() };
        if !store::servers::list(tx, &filter, &page, |_| true)?.is_empty() {
            return Err(refuse("One or more hosts contain instances in this zone".into()));
        }
    }
    Ok(())
}

/// `GET`.
/// # Errors
/// 400.
pub async fn list(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let all = api.store().read(store::aggregates::list).await?;
    let rows: Vec<View<'_>> = all.iter().map(|a| view(&ask, a)).collect();
    Ok(Json(json!({ "aggregates": rows })))
}

/// `GET …/{id}`.
/// # Errors
/// 400, 404.
pub async fn show(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let id = number(&id)?;
    match api.store().read(move |tx| store::aggregates::get(tx, id)).await {
        Ok(a) => Ok(Json(json!({ "aggregate": view(&ask, &a) }))),
        Err(store::Error::NotFound { .. }) => Err(missing(id)),
        Err(e) => Err(e.into()),
    }
}

/// `POST`.
/// # Errors
/// 400, 409.
pub async fn create(State(api): State<Api>, ask: Ask, Body(body): Body<Value>) -> Result<Json<Value>, Fault> {
    let (name, zone) = bodies::create(&body).map_err(bad)?;
    let (uuid, now) = (api.env().uuid(), api.env().now());
    let new = Aggregate {
        id: 0,
        uuid,
        name,
        hosts: Vec::new(),
        metadata: zone.map(|z| ("availability_zone".to_owned(), z)).into_iter().collect(),
        created_at: now,
        updated_at: None,
    };
    let stored = api
        .store()
        .write(move |tx| {
            free_name(tx, &new.name, None)?;
            store::aggregates::insert(tx, &new)
        })
        .await
        .map_err(fault_of)?;
    published(&api).await?;
    let mut shown = view(&ask, &stored);
    shown.hosts = None;
    shown.metadata = None;
    Ok(Json(json!({ "aggregate": shown })))
}

/// `PUT …/{id}`.
/// # Errors
/// 400, 404, 409.
pub async fn update(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let w = bodies::update(&body).map_err(bad)?;
    let id = number(&id)?;
    let changed = change(&api, id, move |tx, a| {
        if let Some(name) = &w.name {
            free_name(tx, name, Some(a.id))?;
            a.name.clone_from(name);
        }
        if let Some(zone) = &w.zone {
            zone_fits(tx, a, zone.as_deref(), "update")?;
            set(a, "availability_zone", zone.as_ref());
        }
        Ok(())
    });
    Ok(Json(json!({ "aggregate": view(&ask, &changed.await?) })))
}

fn set(a: &mut Aggregate, key: &str, value: Option<&String>) {
    match value {
        Some(v) => a.metadata.insert(key.to_owned(), v.clone()),
        None => a.metadata.remove(key),
    };
}

/// `DELETE …/{id}`.
/// # Errors
/// 400, 404.
pub async fn delete(State(api): State<Api>, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let id = number(&id)?;
    match api.store().write(move |tx| store::aggregates::delete(tx, id)).await {
        Ok(()) => published(&api).await.map(|()| StatusCode::OK),
        Err(store::Error::NotFound { .. }) => Err(missing(id)),
        Err(store::Error::Conflict(_)) => {
            Err(Fault::bad_request(format!("Cannot delete aggregate {id}. Reason: Host aggregate is not empty.")))
        }
        Err(e) => Err(e.into()),
    }
}

/// `POST …/{id}/action`.
/// # Errors
/// 400, 404, 409.
pub async fn act(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let changed = match action_of(&body) {
        Some("add_host") => add_host(&api, &id, bodies::host(&body, "add_host").map_err(bad)?).await?,
        Some("remove_host") => remove_host(&api, &id, bodies::host(&body, "remove_host").map_err(bad)?).await?,
        Some("set_metadata") => set_metadata(&api, &id, bodies::metadata(&body).map_err(bad)?).await?,
        Some(other) => return Err(refuse_action(&ask, PATH, other)),
        None => return Err(Fault::bad_request("Malformed request body: too many body keys")),
    };
    Ok(Json(json!({ "aggregate": view(&ask, &changed) })))
}

async fn add_host(api: &Api, id: &str, host: String) -> Result<Aggregate, Fault> {
    let id = number(id)?;
    let known = api.conductor().host(&host).is_some();
    change(api, id, move |tx, a| {
        let refuse = |f: Fault| Err(store::Error::abort(f));
        if !known {
            return refuse(Fault::not_found(format!("Compute host {host} could not be found.")));
        }
        if a.hosts.contains(&host) {
            return refuse(Fault::conflict(format!("Aggregate {id} already has host {host}.")));
        }
        let all = store::aggregates::list(tx)?;
        let other = all.iter().find(|o| o.id != id && o.hosts.contains(&host) && o.zone().is_some() && o.zone() != a.zone());
        if let Some(other) = other.filter(|_| a.zone().is_some()) {
            return refuse(Fault::conflict(format!(
                "Cannot add host to aggregate {id}. Reason: One or more hosts already in availability zone(s) ['{}'].",
                other.zone().unwrap_or_default()
            )));
        }
        a.hosts.push(host.clone());
        Ok(())
    })
    .await
}

async fn remove_host(api: &Api, id: &str, host: String) -> Result<Aggregate, Fault> {
    let id = number(id)?;
    change(api, id, move |_, a| {
        let before = a.hosts.len();
        a.hosts.retain(|h| *h != host);
        if a.hosts.len() == before {
            return Err(store::Error::abort(Fault::not_found(format!("Cannot remove host {host} in aggregate {id}"))));
        }
        Ok(())
    })
    .await
}

async fn set_metadata(
    api: &Api,
    id: &str,
    metadata: std::collections::BTreeMap<String, Option<String>>,
) -> Result<Aggregate, Fault> {
    let id = number(id)?;
    change(api, id, move |tx, a| {
        if let Some(zone) = metadata.get("availability_zone") {
            zone_fits(tx, a, zone.as_deref(), "update")?;
        }
        for (key, value) in &metadata {
            set(a, key, value.as_ref());
        }
        Ok(())
    })
    .await
}
