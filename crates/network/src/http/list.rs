//! Lists: filters, order, pages and fields, over the objects as they are shown.

use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use uuid::Uuid;
use web::Query;

/// What a collection is.
pub(super) struct Collection {
    /// Key of the answer: `ports`.
    pub(super) name: &'static str,
    /// Its path below the service's root.
    pub(super) path: &'static str,
    /// What may be filtered and sorted by.
    pub(super) attributes: &'static [&'static str],
    /// Kind of its objects, for a marker that is none.
    pub(super) what: &'static str,
}

const CONTROLS: &[&str] = &["fields", "limit", "marker", "page_reverse", "sort_key", "sort_dir"];
const TAGS: &[&str] = &["tags", "tags-any", "not-tags", "not-tags-any"];

fn bad(message: String) -> Error {
    Error::Invalid { kind: "HTTPBadRequest", message }
}

/// Ids that a filter names, for the database; what is no id matches nothing, so it becomes the nil id.
pub(super) fn ids(q: &Query, key: &str) -> Vec<Uuid> {
    q.all(key).map(|v| Uuid::try_parse(v).unwrap_or_default()).collect()
}

/// Texts that a filter names, for the database.
pub(super) fn texts(q: &Query, key: &str) -> Vec<String> {
    q.all(key).map(str::to_owned).collect()
}

/// The answer to a list request. `root` is the service's own address, for links.
pub(super) fn answer(c: &Collection, q: &Query, root: &str, max: usize, items: Vec<Value>) -> Result<Value> {
    check_keys(c, q)?;
    let mut items: Vec<Value> = items.into_iter().filter(|i| matches(i, q)).collect();
    sort(c, q, &mut items)?;
    let (page, links) = page(c, q, root, max, items)?;
    let fields: Vec<&str> = q.all("fields").flat_map(|f| f.split(',')).filter(|f| !f.is_empty()).collect();
    let shown: Vec<Value> = page.into_iter().map(|i| select(i, &fields)).collect();
    let mut body = Map::new();
    body.insert(c.name.to_owned(), Value::Array(shown));
    if !links.is_empty() {
        body.insert(format!("{}_links", c.name), Value::Array(links));
    }
    Ok(Value::Object(body))
}

/// One object cut to the fields that were asked for.
pub(super) fn one(item: Value, q: &Query) -> Value {
    let fields: Vec<&str> = q.all("fields").flat_map(|f| f.split(',')).filter(|f| !f.is_empty()).collect();
    select(item, &fields)
}

fn select(item: Value, fields: &[&str]) -> Value {
    match item {
        Value::Object(map) if !fields.is_empty() => {
            Value::Object(map.into_iter().filter(|(k, _)| fields.contains(&k.as_str())).collect())
        }
        whole => whole,
    }
}

fn check_keys(c: &Collection, q: &Query) -> Result<()> {
    let known = |k: &str| {
        CONTROLS.contains(&k)
            || TAGS.contains(&k)
            || c.attributes.contains(&k)
            || matches!(k, "project_id" | "tenant_id" | "created_at" | "updated_at" | "revision_number" | "changed_since")
    };
    let mut unknown: Vec<&str> = q.0.iter().map(|(k, _)| k.as_str()).filter(|k| !known(k)).collect();
    unknown.dedup();
    if unknown.is_empty() {
        return Ok(());
    }
    Err(bad(format!("{unknown:?} is invalid attribute for filtering")))
}

fn matches(item: &Value, q: &Query) -> bool {
    let mut keys: Vec<&str> = q.0.iter().map(|(k, _)| k.as_str()).filter(|k| !CONTROLS.contains(k)).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().all(|key| {
        let wanted: Vec<&str> = q.all(key).collect();
        match key {
            "tags" | "tags-any" | "not-tags" | "not-tags-any" => tags_match(item, key, &wanted),
            "fixed_ips" => ips_match(item, &wanted),
            "ip_address" => ips_match(item, &wanted.iter().map(|w| format!("ip_address={w}")).collect::<Vec<_>>()),
            "subnet_id" => ips_match(item, &wanted.iter().map(|w| format!("subnet_id={w}")).collect::<Vec<_>>()),
            "changed_since" => {
                let changed = item["updated_at"].as_str().and_then(model::time::parse);
                wanted.iter().all(|w| model::time::parse(w).is_some_and(|w| changed.is_some_and(|c| c >= w)))
            }
            _ => wanted.iter().any(|w| value_is(&item[key], w)),
        }
    })
}

fn value_is(have: &Value, want: &str) -> bool {
    match have {
        Value::String(s) => s == want,
        Value::Bool(b) => match want.to_ascii_lowercase().as_str() {
            "true" | "1" => *b,
            "false" | "0" => !*b,
            _ => false,
        },
        Value::Number(n) => n.to_string() == want,
        Value::Null => want.is_empty() || want == "None" || want == "null",
        Value::Array(list) => list.iter().any(|v| value_is(v, want)),
        Value::Object(_) => false,
    }
}

fn tags_match(item: &Value, key: &str, wanted: &[&str]) -> bool {
    let has = |t: &str| item["tags"].as_array().is_some_and(|all| all.iter().any(|v| v == t));
    let mut all = wanted.iter().flat_map(|w| w.split(','));
    match key {
        "tags" => all.all(has),
        "tags-any" => all.any(has),
        "not-tags" => !all.all(has),
        _ => !all.any(has),
    }
}

/// `ip_address=…`, `ip_address_substr=…`, `subnet_id=…`: values of one kind are alternatives, kinds must all be met.
fn ips_match(item: &Value, wanted: &[impl AsRef<str>]) -> bool {
    let empty = Vec::new();
    let have = item["fixed_ips"].as_array().unwrap_or(&empty);
    let pairs: Vec<(&str, &str)> = wanted.iter().filter_map(|w| w.as_ref().split_once('=')).collect();
    if pairs.len() != wanted.len() {
        return false;
    }
    ["ip_address", "ip_address_substr", "subnet_id"].iter().all(|kind| {
        let mut of_kind = pairs.iter().filter(|(k, _)| k == kind).map(|(_, v)| *v).peekable();
        of_kind.peek().is_none()
            || of_kind.any(|w| {
                have.iter().any(|f| match *kind {
                    "ip_address_substr" => f["ip_address"].as_str().is_some_and(|ip| ip.contains(w)),
                    other => f[other] == w,
                })
            })
    })
}

fn sort(c: &Collection, q: &Query, items: &mut [Value]) -> Result<()> {
    let keys: Vec<&str> = q.all("sort_key").collect();
    let dirs: Vec<&str> = q.all("sort_dir").collect();
    for key in &keys {
        if !c.attributes.contains(key) && !matches!(*key, "project_id" | "tenant_id" | "created_at" | "updated_at") {
            return Err(bad(format!("'{key}' is invalid attribute for sorting")));
        }
    }
    if let Some(dir) = dirs.iter().find(|d| !matches!(**d, "asc" | "desc")) {
        return Err(bad(format!("sort_dir '{dir}' is invalid: give asc or desc")));
    }
    if keys.is_empty() {
        return Ok(());
    }
    items.sort_by(|a, b| {
        for (n, key) in keys.iter().enumerate() {
            let order = compare(&a[*key], &b[*key]);
            let order = if dirs.get(n) == Some(&"desc") { order.reverse() } else { order };
            if order != Ordering::Equal {
                return order;
            }
        }
        compare(&a["id"], &b["id"])
    });
    Ok(())
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x.as_i64().cmp(&y.as_i64()),
        (Value::Bool(x), Value::Bool(y)) => x.cmp(y),
        (Value::String(x), Value::String(y)) => x.cmp(y),
        _ => a.to_string().cmp(&b.to_string()),
    }
}

fn page(c: &Collection, q: &Query, root: &str, max: usize, mut items: Vec<Value>) -> Result<(Vec<Value>, Vec<Value>)> {
    let limit = match q.get("limit") {
        None => None,
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n >= 0 => Some(usize::try_from(n).unwrap_or(max).min(max)).filter(|n| *n > 0),
            _ => return Err(bad(format!("Bad limit '{text}': give a number that is not negative"))),
        },
    };
    let reverse = q.get("page_reverse").is_some_and(|v| v.eq_ignore_ascii_case("true"));
    let mut before = 0;
    let mut after = items.len();
    if let Some(marker) = q.get("marker").filter(|m| !m.is_empty()) {
        let at = items.iter().position(|i| i["id"] == marker).ok_or_else(|| Error::not_found(c.what, marker))?;
        if reverse {
            after = at;
        } else {
            before = at + 1;
        }
    }
    let limited = limit.unwrap_or(max);
    if reverse {
        before = after.saturating_sub(limited).max(before);
    } else {
        after = after.min(before.saturating_add(limited));
    }
    let (more, earlier) = (after < items.len(), before > 0);
    items.truncate(after);
    items.drain(..before);
    let mut links = Vec::new();
    if limit.is_some()
        && let (Some(first), Some(last)) = (items.first(), items.last())
    {
        if more {
            links.push(link(c, q, root, "next", &last["id"], false));
        }
        if earlier {
            links.push(link(c, q, root, "previous", &first["id"], true));
        }
    }
    Ok((items, links))
}

fn link(c: &Collection, q: &Query, root: &str, rel: &str, marker: &Value, reverse: bool) -> Value {
    let mut pairs: Vec<(&str, &str)> = q
        .0
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .filter(|(k, _)| !matches!(*k, "marker" | "page_reverse"))
        .collect();
    pairs.push(("marker", marker.as_str().unwrap_or_default()));
    if reverse {
        pairs.push(("page_reverse", "True"));
    }
    let query: Vec<String> = pairs.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
    json!({"rel": rel, "href": format!("{root}{}?{}", c.path, query.join("&"))})
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
