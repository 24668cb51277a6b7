//! `kilonova doctor`: what this machine can run, what it cannot, and the command that mends it.

use crate::{Error, Output, Style};
use serde::Serialize;
use serde_json::json;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Finding {
    /// As it should be.
    Good,
    /// Something is not to be had; the rest works.
    Limited,
    /// It keeps a cloud from starting.
    Broken,
}

/// One thing looked at.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// How it is.
    pub finding: Finding,
    /// In words.
    pub reason: String,
    /// What to type.
    pub fix: Option<String>,
}

pub(crate) fn run(out: &Output, checks: Vec<Check>) -> Result<(), Error> {
    let broken = checks.iter().filter(|c| c.finding == Finding::Broken).count();
    if out.is_json() {
        out.json(&json!({ "checks": checks }));
    } else {
        for c in &checks {
            let (style, mark) = match c.finding {
                Finding::Good => (Style::Good, "ok  "),
                Finding::Limited => (Style::Warn, "no  "),
                Finding::Broken => (Style::Bad, "FAIL"),
            };
            out.line(format_args!("{} {:<12} {}", out.paint(style, mark), c.what, c.reason));
            if let Some(fix) = &c.fix {
                out.line(format_args!("     {:<12} -> {fix}", ""));
            }
        }
    }
    if broken == 0 { Ok(()) } else { Err(Error::Findings(broken)) }
}
