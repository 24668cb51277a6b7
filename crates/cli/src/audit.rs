//! `kilonova audit`: the cloud compares itself with itself; the exit code says whether anything was found.

use crate::{Error, Output, Style};
use client::{Cloud, Method};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Report {
    findings: Vec<Finding>,
}

#[derive(Debug, Deserialize)]
struct Finding {
    kind: String,
    subject: String,
    message: String,
}

pub(crate) async fn run(out: &Output, cloud: &Cloud) -> Result<(), Error> {
    let text = cloud.call(Method::GET, "kilonova", "/audit", None).await?;
    let report: Report = serde_json::from_str(&text).map_err(|e| Error::Local(format!("the audit's answer cannot be read: {e}")))?;
    if out.is_json() {
        out.line(text);
    } else if report.findings.is_empty() {
        out.line(out.paint(Style::Good, "nothing found"));
    } else {
        for f in &report.findings {
            out.line(format_args!("{}  {}  {}", out.paint(Style::Bad, &f.kind), f.subject, f.message));
        }
    }
    match report.findings.len() {
        0 => Ok(()),
        n => Err(Error::Findings(n)),
    }
}
