//! `kilonova why SERVER`: what happened to it and the reasons, newest last.

use crate::{Error, Output, Style};
use client::Cloud;
use serde_json::json;

pub(crate) async fn run(out: &Output, cloud: &Cloud, name: &str) -> Result<(), Error> {
    let server = cloud.find_server(name).await?;
    let mut actions = Vec::new();
    for a in cloud.actions(server.id).await?.into_iter().rev() {
        actions.push(cloud.action(server.id, &a.request_id).await.unwrap_or(a));
    }
    if out.is_json() {
        out.json(&json!({
            "server": {"id": server.id, "name": server.name, "status": server.status, "task_state": server.task_state,
                "host": server.host, "fault": server.fault.as_ref().map(|f| json!({"message": f.message, "details": f.details}))},
            "actions": actions.iter().map(|a| json!({"action": a.action, "start": a.start_time, "request_id": a.request_id,
                "message": a.message, "events": a.events.iter().map(|e| json!({"event": e.event, "result": e.result,
                "host": e.host, "details": e.details})).collect::<Vec<_>>()})).collect::<Vec<_>>(),
        }));
        return Ok(());
    }
    let style = match server.status.as_str() {
        "ACTIVE" => Style::Good,
        "ERROR" => Style::Bad,
        _ => Style::Warn,
    };
    let place = server.host.as_deref().map_or("on no host".to_owned(), |h| format!("on host {h}"));
    let task = server.task_state.as_deref().map(|t| format!(", {t}")).unwrap_or_default();
    out.line(format_args!("{} ({}) is {}{task}, {place}", server.name, server.id, out.paint(style, &server.status)));
    if let Some(f) = &server.fault {
        out.line(format_args!("  because: {}", f.message));
        if let Some(d) = f.details.as_deref().filter(|d| !d.is_empty()) {
            out.line(format_args!("  details: {d}"));
        }
    }
    for a in &actions {
        out.line(format_args!("{}  {:<12} {}", a.start_time, a.action, a.request_id));
        if let Some(m) = &a.message {
            out.line(format_args!("    {}", out.paint(Style::Bad, m)));
        }
        for e in &a.events {
            let result = e.result.as_deref().unwrap_or("running");
            let style = if result == "Error" { Style::Bad } else { Style::Plain };
            let host = e.host.as_deref().map(|h| format!(" on {h}")).unwrap_or_default();
            out.line(format_args!("    {} {}{host}", e.event, out.paint(style, result)));
            if let Some(d) = e.details.as_deref().filter(|d| !d.is_empty()) {
                out.line(format_args!("      {d}"));
            }
        }
    }
    Ok(())
}
