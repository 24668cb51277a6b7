//! What every handler knows of its request: who asks, in which microversion, and under which address.

use crate::negotiate::Spoken;
use api_types::{Link, Microversion};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::sync::Arc;
use web::{Caller, Fault};

/// Prefixes of links, as the client reached us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// `http://host:port`.
    pub origin: String,
    /// With version, and the project where the client named it: `http://host/compute/v2.1`.
    pub own: String,
    /// The same without version.
    pub bookmark: String,
}

impl Base {
    /// A thing's own link.
    pub fn own(&self, path: impl std::fmt::Display) -> String {
        format!("{}/{path}", self.own)
    }
    /// The two links of a thing.
    pub fn links<'a>(&'a self, collection: &'a str, id: &'a dyn api_types::server_view::Id) -> api_types::server_view::Links<'a> {
        api_types::server_view::Links { own: &self.own, bookmark: &self.bookmark, collection, id }
    }
    /// The link to the next page: the same question, after `marker`.
    pub fn next(&self, collection: &str, query: &web::Query, marker: &str) -> Vec<Link> {
        let mut pairs: Vec<(&str, &str)> =
            query.0.iter().filter(|(k, _)| k != "marker").map(|(k, v)| (k.as_str(), v.as_str())).collect();
        pairs.push(("marker", marker));
        pairs.sort_unstable();
        let text: Vec<String> = pairs.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
        vec![Link::new("next", format!("{}/{collection}?{}", self.own, text.join("&")))]
    }
}

/// Percent-encodes what may not stand in a query.
fn escape(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) {
            out.push(char::from(b));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{b:02X}");
        }
    }
    out
}

/// The request as handlers take it.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Who.
    pub caller: Caller,
    /// In which microversion.
    pub mv: Microversion,
    /// Under which address.
    pub base: Arc<Base>,
}

impl Ask {
    /// At least `2.minor`.
    pub fn at_least(&self, minor: u16) -> bool {
        self.mv.at_least(minor)
    }
    /// Administrator?
    pub fn is_admin(&self) -> bool {
        self.caller.is_admin()
    }
}

impl<S: Sync> FromRequestParts<S> for Ask {
    type Rejection = Fault;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Ask, Fault> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let spoken = parts
            .extensions
            .get::<Spoken>()
            .cloned()
            .ok_or_else(|| Fault::internal("a handler runs without negotiation"))?;
        Ok(Ask { caller, mv: spoken.mv, base: spoken.base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_keeps_the_question() {
        let base = Base { origin: "http://h".into(), own: "http://h/v2.1".into(), bookmark: "http://h".into() };
        let query = web::Query(vec![
            ("limit".into(), "2".into()),
            ("name".into(), "a b&c".into()),
            ("marker".into(), "old".into()),
        ]);
        let next = base.next("servers/detail", &query, "new");
        assert_eq!(next[0].href, "http://h/v2.1/servers/detail?limit=2&marker=new&name=a%20b%26c");
    }
}
