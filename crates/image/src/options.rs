//! What an operator may set.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Options of the image service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Directory of the images' bytes; belongs to this service alone.
    pub dir: PathBuf,
    /// Path under which the server mounts this service.
    pub public_prefix: String,
    /// Scheme and authority for links (`https://cloud.example:8774`); if absent, what the client used.
    pub public_origin: Option<String>,
    /// Largest image, bytes (Glance's `image_size_cap`).
    pub max_size: u64,
    /// Largest disk inside an image, bytes.
    pub max_virtual_size: u64,
    /// Bytes that one project may hold (Glance's `user_storage_quota`); absent is unlimited.
    pub project_bytes: Option<u64>,
    /// Properties an image may have (`image_property_quota`).
    pub max_properties: usize,
    /// Tags an image may have (`image_tag_quota`).
    pub max_tags: usize,
    /// Members an image may have (`image_member_quota`).
    pub max_members: u64,
    /// Rows of a page where the client names no limit (`limit_param_default`).
    pub default_page: usize,
    /// Rows of a page at the most (`api_limit_max`).
    pub max_page: usize,
    /// An upload that sends nothing for this long is given up, seconds.
    pub idle_timeout: u64,
    /// File work on the calling thread: for simulations, whose order of events must not depend on a second thread.
    #[serde(skip)]
    pub inline: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            dir: PathBuf::from("image"),
            public_prefix: "/image".into(),
            public_origin: None,
            max_size: 1 << 40,
            max_virtual_size: 1 << 50,
            project_bytes: None,
            max_properties: 128,
            max_tags: 128,
            max_members: 128,
            default_page: 25,
            max_page: 1000,
            idle_timeout: 300,
            inline: false,
        }
    }
}
