//! `GET /os-keypairs`, `GET` and `DELETE /os-keypairs/{name}`.

use super::{missing, owner, queried, shown, view};
use crate::Api;
use crate::ask::Ask;
use crate::query::{known, page};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use web::{Fault, Query};

/// `GET`.
/// # Errors
/// 400, 403.
pub async fn list(State(api): State<Api>, ask: Ask, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, &["user_id", "limit", "marker"])?;
    let user = owner(&ask, queried(&query), "os_compute_api:os-keypairs:index")?;
    let page = if ask.at_least(35) { Some(page(&query, api.options().max_limit)?) } else { None };
    let (marker, limit) = match &page {
        Some(p) => (p.marker.clone(), Some(p.limit)),
        None => (None, None),
    };
    let wanted = marker.clone();
    let found = api.store().read(move |tx| store::keypairs::list(tx, &user, wanted.as_deref(), limit)).await;
    let keys = match found {
        Ok(keys) => keys,
        Err(store::Error::NotFound { .. }) => {
            return Err(Fault::bad_request(format!("Marker {} could not be found.", marker.unwrap_or_default())));
        }
        Err(e) => return Err(e.into()),
    };
    let rows: Vec<Value> = keys.iter().map(|k| json!({ "keypair": view(&ask, k) })).collect();
    let mut body = json!({ "keypairs": rows });
    if let (Some(p), Some(last)) = (&page, keys.last())
        && p.linked
        && keys.len() == p.limit
    {
        body["keypairs_links"] = json!(ask.base.next("os-keypairs", &query, &last.name));
    }
    Ok(Json(body))
}

/// `GET` of one.
/// # Errors
/// 403, 404.
pub async fn show(State(api): State<Api>, ask: Ask, Path(name): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 75, &["user_id"])?;
    let user = owner(&ask, queried(&query), "os_compute_api:os-keypairs:show")?;
    let (u, n) = (user.clone(), name.clone());
    let key = match api.store().read(move |tx| store::keypairs::get(tx, &u, &n)).await {
        Ok(key) => key,
        Err(store::Error::NotFound { .. }) => return Err(missing(&user, &name)),
        Err(e) => return Err(e.into()),
    };
    let mut view = view(&ask, &key);
    view.user_id = Some(&key.user_id);
    view.shown = Some(shown(&key));
    Ok(Json(json!({ "keypair": view })))
}

/// `DELETE`.
/// # Errors
/// 403, 404.
pub async fn delete(State(api): State<Api>, ask: Ask, Path(name): Path<String>, query: Query) -> Result<StatusCode, Fault> {
    known(&ask, &query, 75, &["user_id"])?;
    let user = owner(&ask, queried(&query), "os_compute_api:os-keypairs:delete")?;
    let (u, n) = (user.clone(), name.clone());
    match api.store().write(move |tx| store::keypairs::delete(tx, &u, &n)).await {
        Ok(()) if ask.at_least(2) => Ok(StatusCode::NO_CONTENT),
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(store::Error::NotFound { .. }) => Err(missing(&user, &name)),
        Err(e) => Err(e.into()),
    }
}
