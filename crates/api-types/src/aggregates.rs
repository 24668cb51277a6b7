//! Host aggregates: bodies and views.

use crate::check::{self, At, Result};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// `POST` and `PUT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// Name.
    pub name: Option<String>,
    /// Zone; the inner `None` is null.
    pub zone: Option<Option<String>>,
}

fn zone(at: At<'_>) -> Result<Option<String>> {
    if at.is_null() { Ok(None) } else { check::zone_name(at).map(Some) }
}

/// `POST /os-aggregates`.
/// # Errors
/// Nova's sentence.
pub fn create(body: &Value) -> Result<(String, Option<String>)> {
    check::only(body, "aggregate", |at| {
        let mut f = at.object()?;
        let name = f.required("name", check::name)?;
        let zone = f.optional("availability_zone", zone)?.flatten();
        f.finish()?;
        Ok((name, zone))
    })
}

/// `PUT /os-aggregates/{id}`: at least one of the two. Blanks around the name are taken off, as in Nova.
/// # Errors
/// Nova's sentence.
pub fn update(body: &Value) -> Result<Body> {
    check::only(body, "aggregate", |at| {
        let mut f = at.object()?;
        let name = f.optional("name", |at| {
            let text = at.bounded(1, 255)?;
            if text.trim().is_empty() {
                return Err(at.refuse("it must have at least one non space character"));
            }
            Ok(text.trim().to_owned())
        })?;
        let zone = f.optional("availability_zone", zone)?;
        f.finish()?;
        if name.is_none() && zone.is_none() {
            return Err(at.refuse("{} is not valid under any of the given schemas"));
        }
        Ok(Body { name, zone })
    })
}

/// `{"add_host": {"host": …}}`, also for `remove_host`.
/// # Errors
/// Nova's sentence.
pub fn host(body: &Value, action: &'static str) -> Result<String> {
    check::only(body, action, |at| {
        let mut f = at.object()?;
        let host = f.required("host", check::fqdn)?;
        f.finish()?;
        Ok(host)
    })
}

/// `{"set_metadata": {"metadata": {…}}}`; null removes a key.
/// # Errors
/// Nova's sentence.
pub fn metadata(body: &Value) -> Result<BTreeMap<String, Option<String>>> {
    check::only(body, "set_metadata", |at| {
        let mut f = at.object()?;
        let metadata = f.required("metadata", check::metadata_with_null)?;
        f.finish()?;
        Ok(metadata)
    })
}

/// An aggregate.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    /// Number.
    pub id: i64,
    /// Identity (2.41).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uuid: Option<uuid::Uuid>,
    /// Name.
    pub name: &'a str,
    /// Zone.
    pub availability_zone: Option<&'a str>,
    /// Hosts; not in the answer of POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<&'a [String]>,
    /// Metadata; not in the answer of POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<&'a BTreeMap<String, String>>,
    /// Made at.
    pub created_at: String,
    /// Changed at.
    pub updated_at: Option<String>,
    /// Always false.
    pub deleted: bool,
    /// Always null.
    pub deleted_at: Option<String>,
}
