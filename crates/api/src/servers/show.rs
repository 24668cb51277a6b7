//! `GET /servers/{id}`.

use crate::Api;
use crate::ask::Ask;
use crate::query::known;
use crate::servers::get::{Policy, server};
use crate::servers::view::{Kind, Look};
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use model::policy::Rule;
use model::server::Server;
use serde::Serialize;
use web::{Fault, Query};

/// `{"server": …}`.
#[derive(Serialize)]
pub struct Wrapped<T> {
    /// The server.
    pub server: T,
}

/// The view as an answer.
pub fn answer(look: &Look, s: &Server, kind: Kind) -> Response {
    Json(Wrapped { server: look.view(s, kind) }).into_response()
}

/// The handler.
/// # Errors
/// 404.
pub async fn show(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Response, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, Policy(Rule::ProjectReader, "os_compute_api:servers:show")).await?;
    Ok(answer(&Look::new(&api, &ask).beside(&api, &s).await?, &s, Kind::Show))
}
