//! `GET /flavors`, `/flavors/detail` and `/flavors/{id}`.

use super::view::view;
use crate::Api;
use crate::ask::Ask;
use crate::query::{cut, known, page, wrong};
use api_types::Link;
use api_types::check::truth_word;
use api_types::flavors::View;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use model::flavor::Flavor;
use serde::Serialize;
use serde_json::json;
use std::cmp::Ordering;
use web::{Fault, Query};

const KEYS: &[&str] = &["limit", "marker", "is_public", "minRam", "minDisk", "sort_key", "sort_dir"];
const SORT: &[&str] = &[
    "created_at", "description", "disabled", "ephemeral_gb", "flavorid", "id", "is_public", "memory_mb", "name", "root_gb",
    "rxtx_factor", "swap", "updated_at", "vcpu_weight", "vcpus",
];

#[derive(Serialize)]
struct Answer<'a> {
    flavors: Vec<View<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flavors_links: Option<Vec<Link>>,
}

fn compare(key: &str, a: &Flavor, b: &Flavor) -> Ordering {
    match key {
        "created_at" | "updated_at" => a.created_at.cmp(&b.created_at),
        "description" => a.description.cmp(&b.description),
        "disabled" => a.disabled.cmp(&b.disabled),
        "ephemeral_gb" => a.ephemeral_gib.cmp(&b.ephemeral_gib),
        "is_public" => a.is_public.cmp(&b.is_public),
        "memory_mb" => a.memory_mib.cmp(&b.memory_mib),
        "name" => a.name.cmp(&b.name),
        "root_gb" => a.root_gib.cmp(&b.root_gib),
        "rxtx_factor" => a.rxtx_factor.total_cmp(&b.rxtx_factor),
        "swap" => a.swap_mib.cmp(&b.swap_mib),
        "vcpus" => a.vcpus.cmp(&b.vcpus),
        // `flavorid`, and what no flavor has here.
        _ => a.id.cmp(&b.id),
    }
}

/// Which flavors are asked for: `None` for all, else public (and those shared with the project) or private ones.
fn visibility(ask: &Ask, query: &Query) -> Result<Option<bool>, Fault> {
    match query.get("is_public").filter(|_| ask.is_admin()) {
        None => Ok(Some(true)),
        Some(v) if v.eq_ignore_ascii_case("none") => Ok(None),
        Some(v) => match truth_word(v) {
            Some(b) => Ok(Some(b)),
            None => Err(Fault::bad_request(format!("Invalid is_public filter [{v}]"))),
        },
    }
}

fn least(query: &Query, key: &str) -> Result<u64, Fault> {
    match query.get(key) {
        None => Ok(0),
        Some(v) => match v.parse::<i64>() {
            Ok(n) => Ok(u64::try_from(n).unwrap_or(0)),
            Err(_) => Err(Fault::bad_request(format!("Invalid {key} filter [{v}]"))),
        },
    }
}

async fn answer(api: &Api, ask: &Ask, query: &Query, detail: bool) -> Result<Response, Fault> {
    let mut keys = KEYS.to_vec();
    if ask.at_least(102) {
        keys.push("name");
    }
    known(ask, query, 75, &keys)?;
    let page = page(query, api.options().max_limit)?;
    let sort = query.get("sort_key").unwrap_or("flavorid").to_owned();
    if !SORT.contains(&sort.as_str()) || (sort == "rxtx_factor" && ask.at_least(102)) {
        return Err(wrong("sort_key", &sort, format!("'{sort}' is not one of {SORT:?}")));
    }
    let down = match query.get("sort_dir").unwrap_or("asc") {
        "asc" => false,
        "desc" => true,
        other => return Err(wrong("sort_dir", other, format!("'{other}' is not one of ['asc', 'desc']"))),
    };
    let visibility = visibility(ask, query)?;
    let (ram, disk) = (least(query, "minRam")?, least(query, "minDisk")?);
    let name = query.get("name").filter(|_| ask.at_least(102));
    let project = ask.caller.project_id();
    let mut all = api.store().read(store::flavors::list).await?;
    all.retain(|f| {
        let seen = match visibility {
            None => true,
            Some(true) => f.is_public || f.access.iter().any(|p| p == project),
            Some(false) => !f.is_public,
        };
        seen && f.memory_mib >= ram && f.root_gib >= disk && name.is_none_or(|n| f.name == n)
    });
    all.sort_by(|a, b| {
        let order = compare(&sort, a, b).then_with(|| a.id.cmp(&b.id));
        if down { order.reverse() } else { order }
    });
    let shown = cut(all, &page, |f, m| f.id == m)?;
    let full = page.linked && shown.len() == page.limit;
    let collection = if detail { "flavors/detail" } else { "flavors" };
    let links = shown.last().filter(|_| full).map(|f| ask.base.next(collection, query, &f.id));
    let flavors = shown.iter().map(|f| view(ask, f, detail)).collect();
    Ok(Json(Answer { flavors, flavors_links: links }).into_response())
}

/// `GET /flavors`.
/// # Errors
/// 400.
pub async fn brief(State(api): State<Api>, ask: Ask, query: Query) -> Result<Response, Fault> {
    answer(&api, &ask, &query, false).await
}

/// `GET /flavors/detail`.
/// # Errors
/// 400.
pub async fn detail(State(api): State<Api>, ask: Ask, query: Query) -> Result<Response, Fault> {
    answer(&api, &ask, &query, true).await
}

/// `GET /flavors/{id}`.
/// # Errors
/// 404.
pub async fn show(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Response, Fault> {
    known(&ask, &query, 102, &[])?;
    let f = super::find(&api, &ask, &id).await?;
    Ok(Json(json!({ "flavor": view(&ask, &f, true) })).into_response())
}
