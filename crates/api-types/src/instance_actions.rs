//! Instance actions and their events: views.

use serde::Serialize;
use uuid::Uuid;

/// An action.
#[derive(Debug, Serialize)]
pub struct View<'a> {
    /// Word.
    pub action: &'a str,
    /// Server.
    pub instance_uuid: Uuid,
    /// Request.
    pub request_id: &'a str,
    /// Who.
    pub user_id: &'a str,
    /// Whose.
    pub project_id: &'a str,
    /// Began.
    pub start_time: String,
    /// `Error` or null.
    pub message: Option<&'a str>,
    /// Changed at (2.58).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Events, where they are shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<Event<'a>>>,
}

/// An event.
#[derive(Debug, Serialize)]
pub struct Event<'a> {
    /// Word.
    pub event: &'a str,
    /// Began.
    pub start_time: String,
    /// Ended.
    pub finish_time: Option<String>,
    /// `Success`, `Error` or null.
    pub result: Option<&'a str>,
    /// For administrators; always null here, since there is no Python below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traceback: Option<Option<&'a str>>,
    /// Host (2.62, administrators).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Option<&'a str>>,
    /// Host and project, hashed (2.62).
    #[serde(rename = "hostId", skip_serializing_if = "Option::is_none")]
    pub host_id: Option<String>,
    /// What went wrong (2.84, administrators).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Option<&'a str>>,
}
