//! `GET /servers` and `GET /servers/detail`: filtered, sorted, page by page.

use crate::Api;
use crate::ask::Ask;
use crate::query::{Page, no_marker, page, wrong};
use crate::servers::filter::Search;
use crate::servers::view::{Kind, Look};
use api_types::Link;
use api_types::server_view::{Brief, ServerView};
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use model::server::Server;
use serde::Serialize;
use store::servers::SortKey;
use uuid::Uuid;
use web::{Fault, Query};

#[derive(Serialize)]
struct Answer<T> {
    servers: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    servers_links: Option<Vec<Link>>,
}

/// Keys the original ignores, and from 2.75 on refuses.
const IGNORED: &[&str] = &[
    "architecture", "cell_name", "cleaned", "default_ephemeral_device", "default_swap_device", "deleted", "deleted_at",
    "disable_terminate", "ephemeral_gb", "ephemeral_key_uuid", "id", "key_data", "launched_on", "locked", "memory_mb", "os_type",
    "reservation_id", "root_gb", "shutdown_terminate", "user_data", "vcpus", "vm_mode",
];

/// Keys the original sorts by and we do not: said so, rather than sorted wrongly.
const NOT_BUILT: &[&str] = &[
    "access_ip_v4", "access_ip_v6", "auto_disk_config", "config_drive", "display_description", "hostname", "kernel_id",
    "launch_index", "progress", "ramdisk_id", "root_device_name", "terminated_at",
];

fn sort_key(word: &str) -> Option<SortKey> {
    Some(match word {
        "created_at" => SortKey::CreatedAt,
        "updated_at" => SortKey::UpdatedAt,
        "launched_at" => SortKey::LaunchedAt,
        "display_name" => SortKey::Name,
        "uuid" => SortKey::Id,
        "vm_state" => SortKey::VmState,
        "task_state" => SortKey::Action,
        "power_state" => SortKey::PowerState,
        "host" => SortKey::Host,
        "node" => SortKey::Node,
        "availability_zone" => SortKey::Zone,
        "project_id" => SortKey::ProjectId,
        "user_id" => SortKey::UserId,
        "instance_type_id" => SortKey::FlavorId,
        "image_ref" => SortKey::ImageId,
        "key_name" => SortKey::KeyName,
        "locked_by" | "locked" => SortKey::LockedBy,
        _ => return None,
    })
}

/// Sort keys with `true` for descending. Keys without a direction of their own take the first one's.
fn order(ask: &Ask, query: &Query) -> Result<Vec<(SortKey, bool)>, Fault> {
    let dirs: Vec<&str> = query.all("sort_dir").map(str::trim).collect();
    let mut out = Vec::new();
    for (i, word) in query.all("sort_key").map(str::trim).enumerate() {
        let ignored = IGNORED.contains(&word) && !(word == "locked" && ask.at_least(73));
        if ignored && !ask.at_least(75) {
            continue;
        }
        if matches!(word, "host" | "node") && !ask.is_admin() {
            return Err(Fault::forbidden(format!("Only administrators can sort servers by {word}")));
        }
        if NOT_BUILT.contains(&word) {
            return Err(Fault::not_built(&format!("Sorting servers by {word}")));
        }
        let key = if ignored { None } else { sort_key(word) };
        let key = key.ok_or_else(|| wrong("sort_key", word, format!("'{word}' is not one of the sort keys of servers")))?;
        let dir = dirs.get(i).or(dirs.first()).copied().unwrap_or("desc");
        match dir {
            "asc" => out.push((key, false)),
            "desc" => out.push((key, true)),
            other => return Err(Fault::bad_request(format!("Unknown sort direction, must be one of: asc, desc (got {other})"))),
        }
    }
    if out.is_empty() {
        out.push((SortKey::CreatedAt, dirs.first().is_none_or(|d| *d != "asc")));
    }
    Ok(out)
}

async fn find(api: &Api, ask: &Ask, query: &Query, policy: &'static str) -> Result<(Vec<Server>, Page), Fault> {
    let search = Search::read(ask, query, policy)?;
    let page = page(query, api.options().max_limit)?;
    let sort = order(ask, query)?;
    let marker = match &page.marker {
        None => None,
        Some(m) => Some(Uuid::try_parse(m).map_err(|_| no_marker(m))?),
    };
    if page.limit == 0 {
        return Ok((Vec::new(), page));
    }
    let wanted = store::servers::Page { sort, marker, limit: Some(page.limit) };
    let conductor = api.conductor().clone();
    let found = api
        .store()
        .read(move |tx| {
            store::servers::list(tx, &search.filter, &wanted, |s| {
                search.is_plain() || search.admits(s, conductor.task_state(s))
            })
        })
        .await;
    match found {
        Ok(servers) => Ok((servers, page)),
        Err(store::Error::NotFound { id, .. }) => Err(no_marker(&id)),
        Err(e) => Err(e.into()),
    }
}

fn links(ask: &Ask, query: &Query, page: &Page, servers: &[Server], collection: &str) -> Option<Vec<Link>> {
    let last = servers.last().filter(|_| page.linked && servers.len() == page.limit)?;
    Some(ask.base.next(collection, query, &last.id.to_string()))
}

/// `GET /servers`.
/// # Errors
/// 400, 403.
pub async fn brief(State(api): State<Api>, ask: Ask, query: Query) -> Result<Response, Fault> {
    let (servers, page) = find(&api, &ask, &query, "os_compute_api:servers:index:get_all_tenants").await?;
    let answer = Answer {
        servers: servers.iter().map(|s| Brief { id: s.id, name: &s.name, links: ask.base.links("servers", &s.id) }).collect(),
        servers_links: links(&ask, &query, &page, &servers, "servers"),
    };
    Ok(Json(answer).into_response())
}

/// `GET /servers/detail`.
/// # Errors
/// 400, 403.
pub async fn detail(State(api): State<Api>, ask: Ask, query: Query) -> Result<Response, Fault> {
    let (servers, page) = find(&api, &ask, &query, "os_compute_api:servers:detail:get_all_tenants").await?;
    let look = Look::new(&api, &ask);
    let views: Vec<ServerView<'_>> = servers.iter().map(|s| look.view(s, Kind::List)).collect();
    let answer = Answer { servers: views, servers_links: links(&ask, &query, &page, &servers, "servers/detail") };
    Ok(Json(answer).into_response())
}
