//! Compute services: bodies and views.

use crate::Microversion;
use crate::check::{self, At, Fields, Result};
use serde::Serialize;
use serde_json::Value;

/// `PUT /os-services/{action}` until 2.52.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Old {
    /// Host.
    pub host: String,
    /// Binary.
    pub binary: String,
    /// Why.
    pub disabled_reason: Option<String>,
    /// 2.11.
    pub forced_down: Option<bool>,
}

/// `PUT /os-services/{id}` from 2.53 on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct New {
    /// `enabled`?
    pub enabled: Option<bool>,
    /// Why.
    pub disabled_reason: Option<String>,
    /// Forced down.
    pub forced_down: Option<bool>,
}

fn short(at: At<'_>) -> Result<String> {
    at.bounded(1, 255).map(str::to_owned)
}

impl Old {
    /// Reads the body.
    /// # Errors
    /// Nova's sentence.
    pub fn read(body: &Value, mv: Microversion) -> Result<Old> {
        let mut f = Fields::root(body)?;
        let old = Old {
            host: f.required("host", check::fqdn)?,
            binary: f.required("binary", short)?,
            disabled_reason: f.optional("disabled_reason", short)?,
            forced_down: f.since(mv.at_least(11), "forced_down", check::boolean)?,
        };
        f.finish()?;
        Ok(old)
    }
}

impl New {
    /// Reads the body.
    /// # Errors
    /// Nova's sentence.
    pub fn read(body: &Value) -> Result<New> {
        let mut f = Fields::root(body)?;
        let new = New {
            enabled: f.optional("status", |at| at.one_of(&["enabled", "disabled"]).map(|w| w == "enabled"))?,
            disabled_reason: f.optional("disabled_reason", short)?,
            forced_down: f.optional("forced_down", check::boolean)?,
        };
        f.finish()?;
        Ok(new)
    }
}

/// An identity: a number before 2.53, a UUID after.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum ServiceId {
    /// Before.
    Number(i64),
    /// After.
    Uuid(uuid::Uuid),
}

/// A service.
#[derive(Debug, Serialize)]
pub struct View {
    /// Identity.
    pub id: ServiceId,
    /// `nova-compute`, …
    pub binary: &'static str,
    /// Host.
    pub host: String,
    /// Zone.
    pub zone: String,
    /// `enabled` or `disabled`.
    pub status: &'static str,
    /// `up` or `down`.
    pub state: &'static str,
    /// Last heard of.
    pub updated_at: Option<String>,
    /// Why disabled.
    pub disabled_reason: Option<String>,
    /// 2.11.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_down: Option<bool>,
}
