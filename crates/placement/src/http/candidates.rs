//! `GET /allocation_candidates`, from memory: the answer is written as text at once, for a thousand providers of it are
//! half a megabyte. Names in it are of capital letters, digits and underscores, so nothing needs an escape.

use super::query::{Filters, only};
use super::version::Version;
use super::{BAD_VALUE, since};
use crate::Placement;
use crate::columns::Columns;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use model::placement::Resources;
use std::fmt::Write;
use web::{Fault, Query};

/// Characters that one candidate takes, roughly.
const ROOM: usize = 640;

/// `GET`
pub(super) async fn list(State(me): State<Placement>, v: Version, q: Query) -> Result<Response, Fault> {
    since(v, 10)?;
    if let Some(key) = q.0.iter().map(|(k, _)| k.as_str()).find(|k| granular(k)) {
        return Err(Fault::not_built(&format!("GET /allocation_candidates with {key} (granular request groups)")));
    }
    let allowed =
        [("resources", 10), ("limit", 16), ("required", 17), ("member_of", 21), ("in_tree", 31), ("group_policy", 25)];
    only(&q, v, &allowed)?;
    let missing = || Fault::bad_request("Invalid query string parameters: 'resources' is a required property");
    q.get("resources").ok_or_else(missing)?;
    let filters = Filters::read(&q, v)?;
    let limit = match q.get("limit") {
        None => usize::MAX,
        Some(text) => text.parse::<usize>().ok().filter(|n| *n > 0).ok_or_else(|| {
            let message = format!("Invalid query string parameters: '{text}' does not match '^[1-9][0-9]*$': limit");
            Fault::bad_request(message).kind(BAD_VALUE)
        })?,
    };
    let known = filters.known(&me.read());
    if !known {
        let f = filters.clone();
        me.look(move |tx| f.check(tx)).await?;
    }
    let body = {
        let c = me.read();
        let mut rows = filters.rows(&c);
        rows.truncate(limit);
        write_all(&c, &rows, &filters.resources, v)
    };
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// `resources1`, `required_COMPUTE`, `root_required`, `same_subtree`: keys of granular groups.
fn granular(key: &str) -> bool {
    let suffixed = |name: &str| {
        let rest = key.strip_prefix(name).unwrap_or("");
        rest.starts_with('_') || rest.starts_with(|c: char| c.is_ascii_digit())
    };
    matches!(key, "root_required" | "same_subtree") || ["resources", "required", "member_of", "in_tree"].into_iter().any(suffixed)
}

fn write_all(c: &Columns, rows: &[usize], resources: &Resources, v: Version) -> String {
    let mut out = String::with_capacity(64 + rows.len() * ROOM);
    let asked: Vec<String> = resources.iter().map(|(class, n)| format!("\"{class}\": {n}")).collect();
    let asked = asked.join(", ");
    out.push_str("{\"allocation_requests\": [");
    for (n, row) in rows.iter().enumerate() {
        let Some(p) = &c.provider[*row] else { continue };
        if n > 0 {
            out.push_str(", ");
        }
        // Writing to a String cannot fail.
        let _ = if v.0 < 12 {
            write!(out, "{{\"allocations\": [{{\"resource_provider\": {{\"uuid\": \"{}\"}}, \"resources\": {{{asked}}}}}]", p.id)
        } else {
            write!(out, "{{\"allocations\": {{\"{}\": {{\"resources\": {{{asked}}}}}}}", p.id)
        };
        if v.0 >= 34 {
            let _ = write!(out, ", \"mappings\": {{\"\": [\"{}\"]}}", p.id);
        }
        out.push('}');
    }
    out.push_str("], \"provider_summaries\": {");
    for (n, row) in rows.iter().enumerate() {
        if n > 0 {
            out.push_str(", ");
        }
        summary(c, *row, resources, v, &mut out);
    }
    out.push_str("}}");
    out
}

fn summary(c: &Columns, row: usize, resources: &Resources, v: Version, out: &mut String) {
    let Some(p) = &c.provider[row] else { return };
    let _ = write!(out, "\"{}\": {{\"resources\": {{", p.id);
    let mut first = true;
    for k in c.classes.iter().filter(|k| k.has(row) && (v.0 >= 27 || resources.contains_key(&*k.name))) {
        let comma = if first { "" } else { ", " };
        first = false;
        let _ = write!(out, "{comma}\"{}\": {{\"capacity\": {}, \"used\": {}}}", k.name, k.capacity[row], k.used[row]);
    }
    out.push('}');
    if v.0 >= 17 {
        out.push_str(", \"traits\": [");
        for (n, t) in c.traits_of(row).enumerate() {
            let _ = write!(out, "{}\"{t}\"", if n > 0 { ", " } else { "" });
        }
        out.push(']');
    }
    if v.0 >= 29 {
        let parent = p.parent.map_or_else(|| "null".to_owned(), |id| format!("\"{id}\""));
        let _ = write!(out, ", \"parent_provider_uuid\": {parent}, \"root_provider_uuid\": \"{}\"", p.root);
    }
    out.push('}');
}
