//! Links, as every resource carries them.

use serde::Serialize;

/// One link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// `self`, `bookmark`, `next`, `describedby`, …
    pub rel: &'static str,
    /// Address.
    pub href: String,
    /// Media type, where there is one.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
}

impl Link {
    /// A link.
    pub fn new(rel: &'static str, href: String) -> Link {
        Link { rel, href, kind: None }
    }
}
