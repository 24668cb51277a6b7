//! `/os-services`: the compute services, and the operator's switches on them.

use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::query::known;
use api_types::services::{New, Old, ServiceId, View};
use axum::Json;
use axum::extract::{Path, State};
use conductor::HostView;
use model::aggregate::{Aggregate, zone_of};
use model::service::Service;
use model::time;
use serde_json::{Value, json};
use uuid::Uuid;
use web::{Body, Fault, Query};

/// The only service that has hosts of its own here: API, scheduler and conductor live in one process.
const BINARY: &str = "nova-compute";

/// Identity of a service in a microversion.
pub fn id_of(ask: &Ask, s: &Service) -> ServiceId {
    if ask.at_least(53) { ServiceId::Uuid(s.id) } else { ServiceId::Number(s.number) }
}

fn view(ask: &Ask, h: &HostView, aggregates: &[Aggregate]) -> View {
    let s = &h.service;
    View {
        id: id_of(ask, s),
        binary: BINARY,
        host: s.host.clone(),
        zone: zone_of(&s.host, aggregates).to_owned(),
        status: if s.disabled { "disabled" } else { "enabled" },
        state: if h.up && !s.forced_down { "up" } else { "down" },
        updated_at: Some(time::micros(h.last_seen)),
        disabled_reason: h.reason(),
        forced_down: ask.at_least(11).then_some(s.forced_down),
    }
}

/// `GET`.
/// # Errors
/// 400.
pub async fn list(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, &["host", "binary"])?;
    let aggregates = api.store().read(store::aggregates::list).await?;
    let host = query.get("host").filter(|h| !h.is_empty());
    let binary = query.get("binary").filter(|b| !b.is_empty());
    let mut hosts = api.conductor().hosts();
    hosts.retain(|h| host.is_none_or(|w| h.service.host == w) && binary.is_none_or(|w| w == BINARY));
    hosts.sort_by_key(|h| h.service.number);
    let rows: Vec<View> = hosts.iter().map(|h| view(&ask, h, &aggregates)).collect();
    Ok(Json(json!({ "services": rows })))
}

async fn change(api: &Api, id: Uuid, edit: impl Fn(&mut Service) + Send + 'static) -> Result<Service, Fault> {
    let now = api.env().now();
    let changed = api
        .store()
        .write(move |tx| {
            store::services::change(tx, id, now, |s| {
                edit(s);
                Ok(())
            })
        })
        .await?;
    api.conductor().service_changed(changed.clone());
    Ok(changed)
}

/// `PUT /os-services/{…}`: an action's word until 2.52, a service's id from 2.53 on.
/// # Errors
/// 400, 404.
pub async fn update(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    if ask.at_least(53) { by_id(&api, &ask, &id, &body).await } else { by_word(&api, &ask, &id, &body).await }
}

async fn by_word(api: &Api, ask: &Ask, word: &str, body: &Value) -> Result<Json<Value>, Fault> {
    let w = Old::read(body, ask.mv).map_err(bad)?;
    let known = matches!(word, "enable" | "disable" | "disable-log-reason") || (word == "force-down" && ask.at_least(11));
    if !known {
        return Err(Fault::not_found("Unknown action"));
    }
    if word == "disable-log-reason" && w.disabled_reason.is_none() {
        return Err(Fault::bad_request("Missing disabled reason field"));
    }
    let down = match (word, w.forced_down) {
        ("force-down", None) => return Err(Fault::bad_request("Missing forced_down field")),
        (_, down) => down,
    };
    if w.binary != BINARY {
        return Err(Fault::bad_request(format!(
            "Updating a {} service is not supported. Only nova-compute services can be updated.",
            w.binary
        )));
    }
    let host = w.host.clone();
    let found = api.store().read(move |tx| store::services::find_by_host(tx, &host)).await?;
    let s = found.ok_or_else(|| Fault::not_found(format!("Could not find binary {BINARY} on host {}.", w.host)))?;
    let mut answer = json!({ "host": w.host, "binary": w.binary });
    match word {
        "enable" => {
            answer["status"] = "enabled".into();
            change(api, s.id, |s| {
                s.disabled = false;
                s.disabled_reason = None;
            })
            .await?;
        }
        "force-down" => {
            let down = down.unwrap_or(true);
            answer["forced_down"] = down.into();
            change(api, s.id, move |s| s.forced_down = down).await?;
        }
        _ => {
            let reason = w.disabled_reason.filter(|_| word == "disable-log-reason");
            answer["status"] = "disabled".into();
            if let Some(r) = &reason {
                answer["disabled_reason"] = r.as_str().into();
            }
            change(api, s.id, move |s| {
                s.disabled = true;
                s.disabled_reason.clone_from(&reason);
            })
            .await?;
        }
    }
    Ok(Json(json!({ "service": answer })))
}

async fn by_id(api: &Api, ask: &Ask, id: &str, body: &Value) -> Result<Json<Value>, Fault> {
    let w = New::read(body).map_err(bad)?;
    let shown: String = id.chars().take(64).collect();
    let key = Uuid::try_parse(id).map_err(|_| Fault::bad_request(format!("Invalid uuid {shown}")))?;
    let missing = || Fault::not_found(format!("Service {shown} not found."));
    let host = api.conductor().hosts().into_iter().find(|h| h.service.id == key).ok_or_else(missing)?;
    if w.enabled.is_none() && w.forced_down.is_none() && w.disabled_reason.is_none() {
        return Err(Fault::bad_request(
            "No updates were requested. Fields 'status' or 'forced_down' should be specified.",
        ));
    }
    if w.disabled_reason.is_some() && w.enabled != Some(false) {
        return Err(Fault::bad_request("Specifying disabled_reason requires that status is 'disabled'."));
    }
    let service = change(api, key, move |s| {
        if let Some(enabled) = w.enabled {
            s.disabled = !enabled;
            s.disabled_reason = w.disabled_reason.clone().filter(|_| !enabled);
        }
        if let Some(down) = w.forced_down {
            s.forced_down = down;
        }
    })
    .await?;
    let aggregates = api.store().read(store::aggregates::list).await?;
    Ok(Json(json!({ "service": view(ask, &HostView { service, ..host }, &aggregates) })))
}
