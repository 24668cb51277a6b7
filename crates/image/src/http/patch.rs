//! `PATCH /v2/images/{image_id}`: Glance's two JSON patch formats.

use super::{image_id, view};
use crate::Images;
use crate::change::{Change, Op};
use crate::error::{Error, Result};
use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use serde_json::{Map, Value};
use web::{Caller, Fault};

const DRAFT4: &str = "application/openstack-images-v2.0-json-patch";
const DRAFT10: &str = "application/openstack-images-v2.1-json-patch";
const MAX_BODY: usize = 114_688;

/// `PATCH /v2/images/{image_id}`
pub(super) async fn update(
    State(images): State<Images>,
    caller: Caller,
    Path(id): Path<String>,
    request: Request,
) -> std::result::Result<Json<Value>, Fault> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let draft4 = match kind.split(';').next().unwrap_or_default().trim() {
        DRAFT4 => true,
        DRAFT10 => false,
        _ => {
            let allowed = format!("{DRAFT4}, {DRAFT10}");
            let message = format!("Image PATCH expects Content-Type one of: {allowed}");
            return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).header("accept-patch", &allowed));
        }
    };
    let bytes = axum::body::to_bytes(request.into_body(), MAX_BODY)
        .await
        .map_err(|e| web::unread(e, MAX_BODY))?;
    let body: Value = web::read_json(&bytes)?;
    let changes = changes(&body, draft4)?;
    Ok(Json(view::image(&images.patch(&caller, image_id(&id)?, changes).await?)))
}

fn invalid(text: impl Into<String>) -> Error {
    Error::Invalid(text.into())
}

fn changes(body: &Value, draft4: bool) -> Result<Vec<Change>> {
    let list = body.as_array().ok_or_else(|| invalid("Request body must be a JSON array of operation objects."))?;
    list.iter()
        .map(|raw| {
            let raw = raw.as_object().ok_or_else(|| invalid("Operations must be JSON objects."))?;
            let (op, path) = if draft4 { operation4(raw)? } else { operation10(raw)? };
            let mut path = pointer(path)?;
            if path.first().is_some_and(|root| root == "locations") {
                return Err(Error::Forbidden(
                    "It's not allowed to update locations if locations are invisible.".into(),
                ));
            }
            let (Some(key), true) = (path.pop(), path.is_empty()) else {
                return Err(invalid("Invalid JSON pointer for this resource: it has to name one property."));
            };
            let value = match (op, raw.get("value")) {
                (Op::Remove, _) => Value::Null,
                (_, Some(value)) => value.clone(),
                (_, None) => {
                    let op = if op == Op::Add { "add" } else { "replace" };
                    return Err(invalid(format!("Operation \"{op}\" requires a member named \"value\".")));
                }
            };
            let change = Change { op, key, value, draft4 };
            change.check()?;
            Ok(change)
        })
        .collect()
}

fn op_of(word: &str) -> Option<Op> {
    match word {
        "add" => Some(Op::Add),
        "remove" => Some(Op::Remove),
        "replace" => Some(Op::Replace),
        _ => None,
    }
}

/// `{"op": "replace", "path": "/name", "value": …}`
fn operation10(raw: &Map<String, Value>) -> Result<(Op, &str)> {
    const KNOWN: &str = "It must be one of the following: add, remove, replace.";
    let word = raw
        .get("op")
        .filter(|v| !v.is_null())
        .ok_or_else(|| invalid(format!("Unable to find `op` in JSON Schema change. {KNOWN}")))?;
    let op = word
        .as_str()
        .and_then(op_of)
        .ok_or_else(|| invalid(format!("Invalid operation: `{}`. {KNOWN}", word.as_str().unwrap_or("?"))))?;
    let path = raw.get("path").ok_or_else(|| invalid("Unable to find 'path' in JSON Schema change"))?;
    Ok((op, path.as_str().ok_or_else(|| invalid("'path' must be a string."))?))
}

/// `{"replace": "/name", "value": …}`
fn operation4(raw: &Map<String, Value>) -> Result<(Op, &str)> {
    let mut found = raw.iter().filter_map(|(key, path)| op_of(key).map(|op| (op, path)));
    match (found.next(), found.next()) {
        (Some((op, path)), None) => Ok((op, path.as_str().ok_or_else(|| invalid("A path must be a string."))?)),
        _ => {
            Err(invalid("Operation objects must contain exactly one member named \"add\", \"remove\", or \"replace\"."))
        }
    }
}

/// The parts of a JSON pointer, in the limited form that Glance takes.
fn pointer(text: &str) -> Result<Vec<String>> {
    if !text.starts_with('/') {
        return Err(invalid(format!("Pointer `{text}` does not start with \"/\".")));
    }
    let body = text.get(1..).unwrap_or_default();
    if body.trim().is_empty() || body.trim() == "/" {
        return Err(invalid(format!("Pointer `{text}` does not contains valid token.")));
    }
    if body.ends_with('/') {
        return Err(invalid(format!("Pointer `{text}` end with \"/\".")));
    }
    if body.split('/').any(|part| part.trim().is_empty()) {
        return Err(invalid(format!("Pointer `{text}` contains adjacent \"/\".")));
    }
    let escaped = body.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if !escaped {
        return Err(invalid(format!("Pointer `{text}` contains \"~\" not part of a recognized escape sequence.")));
    }
    Ok(body.split('/').map(|part| part.replace("~1", "/").replace("~0", "~").trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn pointers() {
        assert_eq!(pointer("/a~1b~0c").unwrap(), ["a/b~c"]);
        assert_eq!(pointer("/a/b").unwrap(), ["a", "b"]);
        for bad in ["a", "/", "//", "/a/", "/a//b", "/a~2", "/a~"] {
            assert!(pointer(bad).is_err(), "{bad}");
        }
    }
}
