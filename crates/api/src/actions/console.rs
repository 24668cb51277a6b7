//! `os-getVNCConsole` and its kin (until 2.5), and `remote-consoles` (2.6): the address of a console, good for a while.

use super::Call;
use crate::Api;
use crate::ask::Ask;
use crate::fault::{bad, refused};
use crate::servers::get::{Policy, server};
use api_types::consoles::{self, View};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use driver_api::ConsoleKind;
use model::policy::Rule;
use model::server::Server;
use serde_json::{Value, json};
use web::{Body, Fault};

pub(super) async fn old(call: &Call<'_>, action: &'static str) -> Result<Response, Fault> {
    let kind = consoles::old(call.body, action).map_err(bad)?;
    let s = call.server().await?;
    let url = address(call.api, call.ask, &s, &kind)?;
    Ok(Json(json!({ "console": View { protocol: None, kind, url } })).into_response())
}

/// `POST /servers/{id}/remote-consoles`.
/// # Errors
/// 400, 404, 409, 501.
pub async fn create(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let wanted = consoles::create(&body, ask.mv).map_err(bad)?;
    let s = server(&api, &ask, &id, Policy(Rule::ProjectMember, "os_compute_api:os-remote-consoles")).await?;
    let fits = matches!((wanted.protocol.as_str(), wanted.kind.as_str()), ("vnc", "novnc") | ("serial", "serial"));
    if !fits {
        let what = if wanted.protocol == "vnc" { &wanted.kind } else { &wanted.protocol };
        return Err(Fault::bad_request(format!("Unavailable console type {what}.")));
    }
    let url = address(&api, &ask, &s, &wanted.kind)?;
    Ok(Json(json!({ "remote_console": View { protocol: Some(wanted.protocol), kind: wanted.kind, url } })))
}

/// A fresh token in the address that clients of the original expect.
fn address(api: &Api, ask: &Ask, s: &Server, kind: &str) -> Result<String, Fault> {
    let console = match kind {
        "novnc" => ConsoleKind::Vnc,
        "serial" => ConsoleKind::Serial,
        other => return Err(Fault::bad_request(format!("Unavailable console type {other}."))),
    };
    if s.host.is_none() {
        return Err(Fault::conflict(format!("Instance {} is not ready", s.id)));
    }
    api.conductor().offers_console(s, console).map_err(refused)?;
    let token = api.consoles().issue(api.env(), s.id, console);
    let prefix = &api.options().console_prefix;
    Ok(match console {
        // noVNC takes the path of its websocket from the query.
        ConsoleKind::Vnc => {
            let path = prefix.replace('/', "%2F");
            format!("{}{prefix}/vnc_auto.html?path={path}%2Fwebsockify%3Ftoken%3D{token}", ask.base.origin)
        }
        ConsoleKind::Serial => {
            let host = ask.base.origin.replacen("http", "ws", 1);
            format!("{host}{prefix}/serial?token={token}")
        }
    })
}
