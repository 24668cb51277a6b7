//! Query strings: repeated keys kept, limits bounded.

use crate::Fault;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// The query string as pairs in order; a key may come again, as OpenStack's filters do.
#[derive(Debug, Clone, Default)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// The last value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }
    /// Every value of `key`.
    pub fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == key).map(|(_, v)| v.as_str())
    }
}

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Query, Fault> {
        axum::extract::Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map(|q| Query(q.0))
            .map_err(|e| Fault::bad_request(format!("The query string cannot be read: {e}.")))
    }
}

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Rows at the most.
    pub limit: usize,
    /// The last row of the page before.
    pub marker: Option<String>,
}

impl Page {
    /// Reads `limit` and `marker`; limits above `max` mean `max`, as all services do.
    /// # Errors
    /// 400 if `limit` is no number or negative.
    pub fn from_query(query: &Query, max: usize) -> Result<Page, Fault> {
        let limit = match query.get("limit") {
            None | Some("") => max,
            Some(text) => {
                let n: i64 = text.parse().map_err(|_| Fault::bad_request("limit param must be an integer."))?;
                if n < 0 {
                    return Err(Fault::bad_request("limit param must not be negative."));
                }
                usize::try_from(n).unwrap_or(max).min(max)
            }
        };
        Ok(Page { limit, marker: query.get("marker").filter(|m| !m.is_empty()).map(str::to_owned) })
    }
}
