//! JSON bodies with Placement's own words where they are none.

use axum::body::Bytes;
use axum::extract::{FromRequest, MatchedPath, Request};
use axum::http::{Method, StatusCode};
use serde::de::DeserializeOwned;
use super::since;
use super::version::Version;
use web::{Fault, read_json};

/// Largest body, bytes. Allocations of many consumers come in one.
const MAX_BODY: usize = 1 << 20;

/// A JSON body of type `T`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Fault;
    async fn from_request(request: Request, _: &S) -> Result<Body<T>, Fault> {
        let version = request.extensions().get::<Version>().copied().unwrap_or(Version(0));
        let path = request.extensions().get::<MatchedPath>().map(|p| p.as_str().to_owned()).unwrap_or_default();
        since(version, introduced(request.method(), &path))?;
        let sent = request.headers().get("content-length").is_some_and(|n| n != "0");
        match request.headers().get("content-type").map(|v| v.to_str().unwrap_or_default().to_owned()) {
            None if sent => return Err(Fault::bad_request("content-type header required: send application/json")),
            None => {
                let message = "The media type None is not supported, use application/json";
                return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
            }
            Some(t) if t.starts_with("application/json") => {}
            Some(t) => {
                let message = format!("The media type {t} is not supported, use application/json");
                return Err(Fault::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
            }
        }
        let bytes: Bytes = axum::body::to_bytes(request.into_body(), MAX_BODY)
            .await
            .map_err(|_| Fault::too_large(format!("The request body is larger than {MAX_BODY} bytes or was cut off.")))?;
        read_json(&bytes).map(Body).map_err(|mut f| {
            let form = serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
            f.message = if form { format!("JSON does not validate: {}", in_its_words(&f.message)) } else { format!("Malformed JSON: {}", f.message) };
            f
        })
    }
}

/// The minor version with which a body of this route came: an older request finds no such route, whatever it sends.
fn introduced(method: &Method, path: &str) -> u16 {
    if path.ends_with("/aggregates") {
        1
    } else if path.contains("/resource_classes") {
        2
    } else if path.contains("/traits") {
        6
    } else if *method == Method::POST && path.ends_with("/allocations") {
        13
    } else {
        0
    }
}

/// The two commonest mistakes, as the original's clients know them.
fn in_its_words(message: &str) -> String {
    let quoted = |after: &str| message.split_once(after).and_then(|(_, rest)| rest.split('`').next());
    if let Some(name) = quoted("missing field `") {
        return format!("'{name}' is a required property. {message}");
    }
    match quoted("unknown field `") {
        Some(name) => format!("Additional properties are not allowed ('{name}' was unexpected). {message}"),
        None => message.to_owned(),
    }
}

/// A value that breaks a rule of the schema, named as JSON Schema names it.
pub(super) fn schema(rule: &str, what: impl std::fmt::Display) -> Fault {
    Fault::bad_request(format!("JSON does not validate: {what}. Failed validating '{rule}' in schema"))
}

/// Holds the length of a text against 1 to `most` characters.
pub(super) fn length(name: &str, text: &str, most: usize) -> Result<(), Fault> {
    match text.chars().count() {
        0 => Err(schema("minLength", format!("{name}: '' is too short"))),
        n if n > most => Err(schema("maxLength", format!("{name} is too long: {n} characters, {most} at the most"))),
        _ => Ok(()),
    }
}

/// Holds a number against a range.
pub(super) fn range(name: &str, n: i64, least: i64, most: i64) -> Result<i64, Fault> {
    if n < least {
        Err(schema("minimum", format!("{n} is less than the minimum of {least}: {name}")))
    } else if n > most {
        Err(schema("maximum", format!("{n} is greater than the maximum of {most}: {name}")))
    } else {
        Ok(n)
    }
}
