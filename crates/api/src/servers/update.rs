//! `PUT /servers/{id}`: what is no action, written in one piece.

use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::servers::get::{Policy, server};
use crate::servers::show::answer;
use crate::servers::view::{Kind, Look};
use api_types::servers::Update;
use axum::extract::{Path, State};
use axum::response::Response;
use model::policy::Rule;
use model::server::Server;
use serde_json::Value;
use web::{Body, Fault};

/// The handler.
/// # Errors
/// 400, 404, 409.
pub async fn update(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Response, Fault> {
    let update = Update::read(&body, ask.mv).map_err(bad)?;
    let s = server(&api, &ask, &id, Policy(Rule::ProjectMember, "os_compute_api:servers:update")).await?;
    if let Some(zone) = &update.pinned_zone {
        pin(&s, zone.as_deref())?;
    }
    let now = api.env().now();
    let id = s.id;
    let changed = api
        .store()
        .write(move |tx| {
            store::servers::change(tx, id, now, |s| {
                apply(s, &update);
                Ok(())
            })
        })
        .await?;
    api.conductor().changed(changed.id);
    Ok(answer(&Look::new(&api, &ask).beside(&api, &changed).await?, &changed, Kind::Update))
}

/// A server may be unpinned, or pinned to the zone it is in (2.104). Pure.
fn pin(s: &Server, zone: Option<&str>) -> Result<(), Fault> {
    let (Some(wanted), now) = (zone, s.zone.as_deref().unwrap_or("")) else { return Ok(()) };
    match s.body.requested_zone.as_deref() {
        Some(pinned) if pinned != wanted => Err(Fault::conflict(
            "Cannot change pinned availability zone directly. Unpin first by setting pinned_availability_zone to null.",
        )),
        None if wanted != now => Err(Fault::conflict(format!(
            "Server can only be pinned to its current availability zone '{now}', but '{wanted}' was requested."
        ))),
        _ => Ok(()),
    }
}

fn apply(s: &mut Server, u: &Update) {
    if let Some(name) = &u.name {
        s.name = name.trim().to_owned();
    }
    let b = &mut s.body;
    let set = |field: &mut String, value: &Option<String>| {
        if let Some(v) = value {
            field.clone_from(v);
        }
    };
    set(&mut b.disk_config, &u.disk_config);
    set(&mut b.access_ipv4, &u.access_ipv4);
    set(&mut b.access_ipv6, &u.access_ipv6);
    set(&mut b.hostname, &u.hostname);
    if let Some(description) = &u.description {
        b.description.clone_from(description);
    }
    if let Some(zone) = &u.pinned_zone {
        b.requested_zone.clone_from(zone);
    }
}
