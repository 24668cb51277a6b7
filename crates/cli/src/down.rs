//! `kilonova down`: every server of every project is deleted and awaited, so that nothing of the cloud is left on its hosts.
//!
//! The cloud itself goes on until its process is told to end.

use crate::{Error, Output};
use client::Cloud;
use serde_json::json;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Time after which a server that is still there is asked to go again: an earlier attempt may have failed on its host.
const AGAIN: Duration = Duration::from_secs(10);

pub(crate) async fn run(out: &Output, cloud: &Cloud, timeout: u64) -> Result<(), Error> {
    let started = Instant::now();
    let deadline = started + Duration::from_secs(timeout);
    let mut seen: BTreeSet<Uuid> = BTreeSet::new();
    let mut asked = started;
    let mut refusal = None;
    loop {
        let left = cloud.servers(true).await?;
        if left.is_empty() {
            break;
        }
        let again = asked.elapsed() >= AGAIN;
        for s in &left {
            if seen.insert(s.id) || again {
                match cloud.delete_server(s.id).await {
                    Err(e) if e.is_unreachable() => return Err(e.into()),
                    Err(e) if !e.is_not_found() => refusal = Some(format!("{}: {e}", s.name)),
                    _ => {}
                }
            }
        }
        if again {
            asked = Instant::now();
        }
        if Instant::now() > deadline {
            out.progress_done();
            let names: Vec<String> = left.iter().take(5).map(|s| format!("{} ({}, {})", s.name, s.status, s.id)).collect();
            let because = refusal.map(|r| format!("; {r}")).unwrap_or_default();
            return Err(Error::Local(format!(
                "{} of {} servers are still there after {timeout} s: {}{because}",
                left.len(),
                seen.len(),
                names.join(", ")
            )));
        }
        out.progress(format_args!("deleting servers: {} of {} gone, {} s", seen.len() - left.len().min(seen.len()), seen.len(), started.elapsed().as_secs()));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    out.progress_done();
    if out.is_json() {
        out.json(&json!({"deleted": seen.len()}));
    } else {
        match seen.len() {
            0 => out.line("there are no servers"),
            1 => out.line("1 server deleted"),
            n => out.line(format_args!("{n} servers deleted")),
        }
    }
    Ok(())
}
