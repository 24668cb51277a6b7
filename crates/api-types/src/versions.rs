//! Version documents.

use crate::Link;
use serde::Serialize;

/// A media type of a version.
#[derive(Debug, Clone, Serialize)]
pub struct MediaType {
    /// `application/json`.
    pub base: &'static str,
    /// The vendor type.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// One version.
#[derive(Debug, Clone, Serialize)]
pub struct Version {
    /// `v2.1`.
    pub id: &'static str,
    /// `CURRENT`.
    pub status: &'static str,
    /// Newest microversion; absent in the choices of a 300.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Oldest microversion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<String>,
    /// When it was defined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<&'static str>,
    /// Links.
    pub links: Vec<Link>,
    /// Media types; absent in the list.
    #[serde(rename = "media-types", skip_serializing_if = "Option::is_none")]
    pub media_types: Option<Vec<MediaType>>,
}
