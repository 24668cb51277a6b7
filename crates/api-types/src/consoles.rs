//! Consoles: bodies and views.

use crate::Microversion;
use crate::check::{self, Result};
use serde::Serialize;
use serde_json::Value;

/// A console asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// `vnc`, `serial`, `spice`, `mks`, `rdp`.
    pub protocol: String,
    /// `novnc`, `serial`, …
    pub kind: String,
}

/// `POST /servers/{id}/remote-consoles` (2.6).
/// # Errors
/// Nova's sentence.
pub fn create(body: &Value, mv: Microversion) -> Result<Wanted> {
    check::only(body, "remote_console", |at| {
        let mut f = at.object()?;
        let mut protocols = vec!["vnc", "spice", "rdp", "serial"];
        let mut kinds = vec!["novnc", "xvpvnc", "spice-html5", "rdp-html5", "serial"];
        if mv.at_least(8) {
            protocols.push("mks");
            kinds.push("webmks");
        }
        if mv.at_least(99) {
            kinds.push("spice-direct");
        }
        let wanted = Wanted {
            protocol: f.required("protocol", |at| at.one_of(&protocols).map(str::to_owned))?,
            kind: f.required("type", |at| at.one_of(&kinds).map(str::to_owned))?,
        };
        f.finish()?;
        Ok(wanted)
    })
}

/// `{"os-getVNCConsole": {"type": "novnc"}}` and its kin (until 2.5): the type.
/// # Errors
/// Nova's sentence.
pub fn old(body: &Value, action: &'static str) -> Result<String> {
    let kinds: &[&str] = match action {
        "os-getVNCConsole" => &["novnc", "xvpvnc"],
        "os-getSPICEConsole" => &["spice-html5"],
        _ => &["serial"],
    };
    check::only(body, action, |at| {
        let mut f = at.object()?;
        let kind = f.required("type", |at| at.one_of(kinds).map(str::to_owned))?;
        f.finish()?;
        Ok(kind)
    })
}

/// An open door to a console.
#[derive(Debug, Serialize)]
pub struct View {
    /// Protocol (2.6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Kind.
    #[serde(rename = "type")]
    pub kind: String,
    /// Where; carries the token, so it is never logged.
    pub url: String,
}
