//! `kilonova status`: hosts, capacity and servers at a glance.

use crate::{Error, Output, Style};
use client::Cloud;
use serde_json::json;
use std::collections::BTreeMap;

pub(crate) async fn run(out: &Output, cloud: &Cloud) -> Result<(), Error> {
    let (services, hypervisors, servers) = (cloud.services().await?, cloud.hypervisors().await?, cloud.servers(true).await?);
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for s in &servers {
        *states.entry(&s.status).or_default() += 1;
    }
    if out.is_json() {
        out.json(&json!({
            "hosts": services.iter().filter(|s| s.binary == "nova-compute").map(|s| json!({
                "host": s.host, "state": s.state, "status": s.status, "reason": s.disabled_reason})).collect::<Vec<_>>(),
            "hypervisors": hypervisors.iter().map(|h| json!({
                "name": h.hypervisor_hostname, "type": h.hypervisor_type, "state": h.state})).collect::<Vec<_>>(),
            "servers": states,
        }));
        return Ok(());
    }
    let mark = |state: &str| out.paint(if state == "up" { Style::Good } else { Style::Bad }, state);
    let rows = hypervisors
        .iter()
        .map(|h| {
            let host = services.iter().find(|s| s.host == h.hypervisor_hostname);
            let reason = host.and_then(|s| s.disabled_reason.clone()).unwrap_or_default();
            vec![h.hypervisor_hostname.clone(), h.hypervisor_type.clone(), mark(&h.state), h.status.clone(), reason]
        })
        .collect();
    out.table(&["host", "type", "state", "status", "reason"], rows);
    out.line("");
    if servers.is_empty() {
        out.line("no servers yet: kilonova launch IMAGE");
    }
    let rows = servers
        .iter()
        .take(50)
        .map(|s| {
            let addresses: Vec<String> =
                s.addresses.iter().map(|(n, a)| format!("{n}={}", a.iter().map(|a| a.addr.as_str()).collect::<Vec<_>>().join(","))).collect();
            let style = match s.status.as_str() {
                "ACTIVE" => Style::Good,
                "ERROR" => Style::Bad,
                _ => Style::Warn,
            };
            vec![s.name.clone(), out.paint(style, &s.status), addresses.join(" "), s.host.clone().unwrap_or_default(), s.id.to_string()]
        })
        .collect::<Vec<_>>();
    if !rows.is_empty() {
        out.table(&["server", "status", "addresses", "host", "id"], rows);
    }
    if servers.len() > 50 {
        out.line(format_args!("… and {} more", servers.len() - 50));
    }
    Ok(())
}
