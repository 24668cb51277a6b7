//! After a restart: what was acknowledged is true, nothing is on its way, the audit finds nothing, and the daemons have
//! what the API lists.

use crate::load::{Known, Ledger};
use crate::process::Process;
use client::{Cloud, Method};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longest until nothing is on its way: two leases of a flow; after a restart alone it is moments.
const BOUND: Duration = Duration::from_secs(120);

pub async fn get(cloud: &Cloud, service: &str, path: &str, told: &str, process: &Process) -> Value {
    let text = cloud.call(Method::GET, service, path, None).await;
    let text = text.unwrap_or_else(|e| panic!("{told}: {service} {path}: {e}\n{}", process.log()));
    serde_json::from_str(&text).unwrap()
}

async fn servers(cloud: &Cloud, told: &str, process: &Process) -> BTreeMap<String, Value> {
    let list = get(cloud, "compute", "/servers/detail?all_tenants=1&limit=1000", told, process).await;
    list["servers"].as_array().unwrap().iter().map(|s| (s["id"].as_str().unwrap().to_owned(), s.clone())).collect()
}

fn moving(s: &Value) -> bool {
    !s["OS-EXT-STS:task_state"].is_null() || !["ACTIVE", "SHUTOFF", "ERROR"].contains(&s["status"].as_str().unwrap())
}

/// Waits until both hosts are up and nothing is on its way, and compares with the ledger and the daemons; how long it
/// took, and how many servers were found in an action at first.
pub async fn settled(cloud: &Cloud, ledger: &Mutex<Ledger>, told: &str, process: &Process) -> (Duration, usize) {
    let begun = Instant::now();
    let mut at_first = None;
    let rows = loop {
        let rows = servers(cloud, told, process).await;
        let busy: Vec<&Value> = rows.values().filter(|s| moving(s)).collect();
        at_first.get_or_insert(busy.len());
        let services = get(cloud, "compute", "/os-services", told, process).await;
        let up = services["services"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|s| s["state"] == "up" && s["binary"] == "nova-compute");
        if busy.is_empty() && up.count() == process.hosts.len() {
            break rows;
        }
        assert!(begun.elapsed() < BOUND, "{told}: still on their way: {busy:?} {services}\n{}", process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let took = begun.elapsed();
    compare(&mut ledger.lock().unwrap(), &rows, told, process);
    clean(cloud, told, process).await;
    guests(&rows, told, process);
    (took, at_first.unwrap_or_default())
}

fn compare(l: &mut Ledger, rows: &BTreeMap<String, Value>, told: &str, process: &Process) {
    let mut wrong = std::mem::take(&mut l.strange);
    for (id, known) in &mut l.servers {
        match rows.get(id) {
            Some(_) if known.deleted => wrong.push(format!("{id}: its deletion was acknowledged and it is there")),
            Some(row) => {
                let status = row["status"].as_str().unwrap();
                match known.may_be.iter().find(|s| **s == status) {
                    // The truth is known again.
                    Some(now) => known.may_be = vec![*now],
                    None => wrong.push(format!("{id} is {status}, acknowledged was one of {:?}: {row}", known.may_be)),
                }
                known.deleting = false;
            }
            None if !known.deleted && !known.deleting => {
                wrong.push(format!("{id} was acknowledged and is lost: {known:?}"))
            }
            None => known.deleted = true,
        }
    }
    l.servers.retain(|_, known| !known.deleted);
    // What was in flight may have happened: then it is a server like any other.
    for (id, row) in rows {
        if !l.servers.contains_key(id) {
            if row["status"] != "ACTIVE" {
                wrong.push(format!("{id} was in flight at the kill and is {}: {row}", row["status"]));
            }
            let client = row["name"].as_str().and_then(|n| n.split("-c").nth(1)?.parse().ok());
            let known = Known { may_be: vec!["ACTIVE"], client: client.unwrap_or_default(), ..Known::default() };
            l.servers.insert(id.clone(), known);
        }
    }
    assert!(wrong.is_empty(), "{told}:\n{}\n{}", wrong.join("\n"), process.log());
}

/// The daemons' guests are the API's servers, each on its host and in its state.
fn guests(rows: &BTreeMap<String, Value>, told: &str, process: &Process) {
    let said: BTreeSet<(String, String, &str)> = rows
        .iter()
        .map(|(id, row)| {
            let host = row["OS-EXT-SRV-ATTR:host"].as_str().unwrap_or_default().to_owned();
            (id.clone(), host, if row["status"] == "ACTIVE" { "running" } else { "shut off" })
        })
        .collect();
    let found = process.domains();
    let found: BTreeSet<(String, String, &str)> =
        found.iter().map(|(id, host, state)| (id.clone(), (*host).to_owned(), state.as_str())).collect();
    assert_eq!(said, found, "{told}: the API lists on the left what the daemons have on the right\n{}", process.log());
}

async fn clean(cloud: &Cloud, told: &str, process: &Process) {
    let report = get(cloud, "kilonova", "/audit", told, process).await;
    assert_eq!(report["findings"], json!([]), "{told}: the audit finds something\n{}", process.log());
}

/// Deletes everything and waits until it is gone.
pub async fn emptied(cloud: &Cloud, told: &str, process: &Process) {
    for id in servers(cloud, told, process).await.keys() {
        let deleted = cloud.call(Method::DELETE, "compute", &format!("/servers/{id}"), None).await;
        deleted.unwrap_or_else(|e| panic!("{told}: {id} cannot be deleted: {e}\n{}", process.log()));
    }
    let begun = Instant::now();
    loop {
        let left = servers(cloud, told, process).await;
        if left.is_empty() {
            break;
        }
        assert!(begun.elapsed() < BOUND, "{told}: not gone: {left:?}\n{}", process.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    clean(cloud, told, process).await;
    for what in ["instances", "cores", "ram"] {
        let path = format!("/os-quota-sets/{}/detail", cloud.project_id);
        let quota = get(cloud, "compute", &path, told, process).await;
        assert_eq!(quota["quota_set"][what]["in_use"], 0, "{told}: {what}: {quota}");
    }
    let ports = get(cloud, "network", "/ports", told, process).await;
    // A network keeps the port of its own DHCP service.
    let guests = |p: &&Value| !p["device_owner"].as_str().unwrap_or_default().starts_with("network:");
    let left: Vec<&Value> = ports["ports"].as_array().unwrap().iter().filter(guests).collect();
    assert!(left.is_empty(), "{told}: ports remain: {left:?}");
}
