//! `kilonova audit`: the cloud compares itself with itself; the exit code says whether anything was found, and whether it
//! could look everywhere.

use crate::{Error, Output, Style};
use client::{Cloud, Method};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Report {
    mended: Vec<Finding>,
    left: Vec<Finding>,
    findings: Vec<Finding>,
    unseen: Vec<Unseen>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    kind: String,
    subject: String,
    message: String,
    how: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Unseen {
    what: String,
    reason: String,
}

pub(crate) async fn run(out: &Output, cloud: &Cloud, repair: bool) -> Result<(), Error> {
    let (method, path) = if repair { (Method::POST, "/audit/repair") } else { (Method::GET, "/audit") };
    let text = cloud.call(method, "kilonova", path, None).await.map_err(|e| Error::Unseen(e.to_string()))?;
    let report: Report =
        serde_json::from_str(&text).map_err(|e| Error::Unseen(format!("the audit's answer cannot be read: {e}")))?;
    if out.is_json() {
        out.line(text);
    } else {
        tell(out, &report);
    }
    match (report.findings.len(), report.unseen.first()) {
        (0, None) => Ok(()),
        (0, Some(u)) => Err(Error::Unseen(format!("{}: {}", u.what, u.reason))),
        (n, _) => Err(Error::Findings(n)),
    }
}

fn tell(out: &Output, report: &Report) {
    for (word, style, list) in [("mended", Style::Good, &report.mended), ("left", Style::Warn, &report.left)] {
        for f in list {
            let how = f.how.as_deref().unwrap_or_default();
            out.line(format_args!("{}  {}  {}  {}: {how}", out.paint(style, word), f.kind, f.subject, f.message));
        }
    }
    for f in &report.findings {
        // What was left is told above, with its reason.
        if !report.left.iter().any(|l| (&l.kind, &l.subject, &l.message) == (&f.kind, &f.subject, &f.message)) {
            out.line(format_args!("{}  {}  {}", out.paint(Style::Bad, &f.kind), f.subject, f.message));
        }
    }
    for u in &report.unseen {
        out.line(format_args!("{}  {}  {}", out.paint(Style::Warn, "not seen"), u.what, u.reason));
    }
    if report.findings.is_empty() && report.unseen.is_empty() {
        out.line(out.paint(Style::Good, "nothing found"));
    }
}
