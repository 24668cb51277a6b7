//! `…/tags` (2.26): a server's tags, all of them or one.

use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::query::known;
use crate::servers::get::{Policy, server};
use crate::servers::metadata::fault_of;
use api_types::check::{At, tag};
use api_types::servers::{MAX_TAGS, tags_body};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::policy::Rule;
use model::server::Server;
use serde_json::{Value, json};
use web::{Body, Fault, Query};

const READ: Policy = Policy(Rule::ProjectReader, "os_compute_api:os-server-tags:show");
const WRITE: Policy = Policy(Rule::ProjectMember, "os_compute_api:os-server-tags:update");

async fn write(
    api: &Api,
    s: &Server,
    edit: impl Fn(&mut Vec<String>) -> Result<(), Fault> + Send + 'static,
) -> Result<Vec<String>, Fault> {
    let (now, id) = (api.env().now(), s.id);
    let changed = api
        .store()
        .write(move |tx| {
            store::servers::change(tx, id, now, |s| {
                edit(&mut s.body.tags).map_err(store::Error::abort)?;
                s.body.tags.sort();
                s.body.tags.dedup();
                Ok(())
            })
        })
        .await
        .map_err(fault_of)?;
    Ok(changed.body.tags)
}

fn missing(s: &Server, tag: &str) -> Fault {
    Fault::not_found(format!("Server {} has no tag '{tag}'", s.id))
}

/// `GET`.
/// # Errors
/// 404.
pub async fn list(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, READ).await?;
    Ok(Json(json!({ "tags": s.body.tags })))
}

/// `GET` of one: 204 if it is there.
/// # Errors
/// 404.
pub async fn show(
    State(api): State<Api>,
    ask: Ask,
    Path((id, tag)): Path<(String, String)>,
    query: Query,
) -> Result<StatusCode, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, READ).await?;
    if s.body.tags.contains(&tag) { Ok(StatusCode::NO_CONTENT) } else { Err(missing(&s, &tag)) }
}

/// `PUT`: these and no others.
/// # Errors
/// 400, 404.
pub async fn replace(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    let new = tags_body(&body).map_err(bad)?;
    let s = server(&api, &ask, &id, WRITE).await?;
    let tags = write(&api, &s, move |t| {
        t.clone_from(&new);
        Ok(())
    })
    .await?;
    Ok(Json(json!({ "tags": tags })))
}

/// `PUT` of one: 201 with its address, 204 if it was there.
/// # Errors
/// 400, 404.
pub async fn add(
    State(api): State<Api>,
    ask: Ask,
    Path((id, new)): Path<(String, String)>,
) -> Result<Response, Fault> {
    tag(At::new("tag", &Value::String(new.clone()))).map_err(bad)?;
    let s = server(&api, &ask, &id, WRITE).await?;
    if s.body.tags.contains(&new) {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let location = ask.base.own(format_args!("servers/{}/tags/{new}", s.id));
    write(&api, &s, move |t| {
        if t.len() >= MAX_TAGS {
            return Err(Fault::bad_request(format!("The number of tags exceeded the per-server limit {MAX_TAGS}")));
        }
        t.push(new.clone());
        Ok(())
    })
    .await?;
    Ok((StatusCode::CREATED, [("location", location)]).into_response())
}

/// `DELETE`: all.
/// # Errors
/// 404.
pub async fn clear(State(api): State<Api>, ask: Ask, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let s = server(&api, &ask, &id, WRITE).await?;
    write(&api, &s, |t| {
        t.clear();
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE` of one.
/// # Errors
/// 404.
pub async fn delete(
    State(api): State<Api>,
    ask: Ask,
    Path((id, old)): Path<(String, String)>,
) -> Result<StatusCode, Fault> {
    let s = server(&api, &ask, &id, WRITE).await?;
    if !s.body.tags.contains(&old) {
        return Err(missing(&s, &old));
    }
    write(&api, &s, move |t| {
        t.retain(|x| *x != old);
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}
