//! `…/diagnostics`: what a hypervisor counts of a guest; free in form until 2.47, standard from 2.48 on.

use crate::Api;
use crate::ask::Ask;
use crate::fault::refused;
use crate::query::known;
use crate::servers::get::{Policy, server};
use axum::Json;
use axum::extract::{Path, State};
use driver_api::DiagnosticsReport;
use model::policy::Rule;
use serde_json::{Map, Value, json};
use web::{Fault, Query};

/// The handler.
/// # Errors
/// 404, 409, 501.
pub async fn show(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let s = server(&api, &ask, &id, Policy(Rule::Admin, "os_compute_api:os-server-diagnostics")).await?;
    let report = api.conductor().diagnostics(&s).await.map_err(refused)?;
    Ok(Json(if ask.at_least(48) { standard(&report) } else { free(&report) }))
}

fn standard(r: &DiagnosticsReport) -> Value {
    let cpus: Vec<Value> = r
        .cpu_time_ns
        .iter()
        .enumerate()
        .map(|(id, time)| json!({ "id": id, "time": time, "utilisation": null }))
        .collect();
    let disks: Vec<Value> = r
        .disks
        .iter()
        .map(|d| {
            json!({
                "read_bytes": d.read_bytes, "read_requests": d.read_requests, "write_bytes": d.write_bytes,
                "write_requests": d.write_requests, "errors_count": null,
            })
        })
        .collect();
    let nics: Vec<Value> = r
        .nics
        .iter()
        .map(|n| {
            json!({
                "mac_address": n.mac, "rx_octets": n.rx_bytes, "rx_errors": n.rx_errors, "rx_drop": n.rx_drop,
                "rx_packets": n.rx_packets, "rx_rate": null, "tx_octets": n.tx_bytes, "tx_errors": n.tx_errors,
                "tx_drop": n.tx_drop, "tx_packets": n.tx_packets, "tx_rate": null,
            })
        })
        .collect();
    json!({
        "state": r.state, "driver": r.driver, "hypervisor": r.hypervisor, "hypervisor_os": r.hypervisor_os,
        "uptime": r.uptime, "config_drive": r.config_drive, "num_cpus": cpus.len(), "num_nics": nics.len(),
        "num_disks": disks.len(), "cpu_details": cpus, "disk_details": disks, "nic_details": nics,
        "memory_details": { "maximum": r.memory_max_mib, "used": r.memory_used_mib },
    })
}

/// The names that the original's libvirt driver gives; memory in KiB.
fn free(r: &DiagnosticsReport) -> Value {
    let mut out = Map::new();
    for (i, time) in r.cpu_time_ns.iter().enumerate() {
        out.insert(format!("cpu{i}_time"), (*time).into());
    }
    for d in &r.disks {
        out.insert(format!("{}_read", d.device), d.read_bytes.into());
        out.insert(format!("{}_read_req", d.device), d.read_requests.into());
        out.insert(format!("{}_write", d.device), d.write_bytes.into());
        out.insert(format!("{}_write_req", d.device), d.write_requests.into());
        out.insert(format!("{}_errors", d.device), (-1).into());
    }
    for (i, n) in r.nics.iter().enumerate() {
        let counters = [
            ("rx", n.rx_bytes), ("rx_packets", n.rx_packets), ("rx_drop", n.rx_drop), ("rx_errors", n.rx_errors),
            ("tx", n.tx_bytes), ("tx_packets", n.tx_packets), ("tx_drop", n.tx_drop), ("tx_errors", n.tx_errors),
        ];
        out.extend(counters.map(|(name, value)| (format!("vnet{i}_{name}"), value.into())));
    }
    out.insert("memory".into(), (r.memory_max_mib * 1024).into());
    out.extend(r.memory_used_mib.map(|m| ("memory-actual".to_owned(), (m * 1024).into())));
    Value::Object(out)
}
