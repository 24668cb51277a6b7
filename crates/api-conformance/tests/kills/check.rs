//! After a restart: what was acknowledged is true, nothing is on its way any more, the audit finds nothing.

use crate::load::Ledger;
use crate::process::Process;
use client::{Cloud, Method};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Longest until nothing is on its way: two leases of a flow would be 120 s; after a restart alone it is moments.
const BOUND: Duration = Duration::from_secs(60);

async fn get(cloud: &Cloud, service: &str, path: &str, told: &str, process: &Process) -> Value {
    let text = cloud.call(Method::GET, service, path, None).await;
    let text = text.unwrap_or_else(|e| panic!("{told}: {service} {path}: {e}\n{}", process.log()));
    serde_json::from_str(&text).unwrap()
}

/// All of a paged list.
async fn servers(cloud: &Cloud, told: &str, process: &Process) -> BTreeMap<String, Value> {
    let list = get(cloud, "compute", "/servers/detail?all_tenants=1&limit=1000", told, process).await;
    let rows = list["servers"].as_array().unwrap();
    assert!(rows.len() < 1000, "{told}: more servers than one page");
    rows.iter().map(|s| (s["id"].as_str().unwrap().to_owned(), s.clone())).collect()
}

fn moving(s: &Value) -> bool {
    !s["OS-EXT-STS:task_state"].is_null() || !["ACTIVE", "SHUTOFF", "ERROR"].contains(&s["status"].as_str().unwrap())
}

/// Waits until nothing is on its way and compares with the ledger; how long it took, and how many servers were found
/// in an action at first.
pub async fn settled(cloud: &Cloud, ledger: &Mutex<Ledger>, told: &str, process: &Process) -> (Duration, u64) {
    let begun = Instant::now();
    let mut at_first = None;
    let rows = loop {
        let rows = servers(cloud, told, process).await;
        let busy: Vec<&Value> = rows.values().filter(|s| moving(s)).collect();
        at_first.get_or_insert(busy.len() as u64);
        if busy.is_empty() {
            break rows;
        }
        assert!(begun.elapsed() < BOUND, "{told}: still on their way: {busy:?}\n{}", process.log());
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    let took = begun.elapsed();
    if ledger.lock().unwrap().base_image.is_none() {
        let id = base_image(cloud, told, process).await;
        ledger.lock().unwrap().base_image = Some(id);
    }
    compare(&mut ledger.lock().unwrap(), &rows, told, process);
    images(cloud, ledger, told, process).await;
    clean(cloud, told, process).await;
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
            None if !known.deleted && !known.deleting => wrong.push(format!("{id} was acknowledged and is lost: {known:?}")),
            None => known.deleted = true,
        }
    }
    // What was in flight may have happened: then it is a server like any other, and nobody's.
    for (id, row) in rows {
        if !l.servers.contains_key(id) {
            let status = row["status"].as_str().unwrap();
            if status != "ACTIVE" {
                wrong.push(format!("{id} was in flight at the kill and is {status}: {row}"));
            }
            let client = row["name"].as_str().and_then(|n| n.split("-c").nth(1)?.split('-').next()?.parse().ok());
            let known = crate::load::Known { may_be: vec!["ACTIVE"], client: client.unwrap_or(0), ..Default::default() };
            l.servers.insert(id.clone(), known);
        }
    }
    assert!(wrong.is_empty(), "{told}:\n{}\n{}", wrong.join("\n"), process.log());
}

/// An acknowledged snapshot is active, unless its server was deleted under it.
async fn images(cloud: &Cloud, ledger: &Mutex<Ledger>, told: &str, process: &Process) {
    let list = get(cloud, "image", "/images?limit=1000", told, process).await;
    let rows: BTreeMap<String, Value> =
        list["images"].as_array().unwrap().iter().map(|i| (i["id"].as_str().unwrap().to_owned(), i.clone())).collect();
    let l = ledger.lock().unwrap();
    for (id, row) in &rows {
        assert_eq!(row["status"], "active", "{told}: image {id} is on its way for ever: {row}\n{}", process.log());
    }
    for (id, server) in &l.images {
        let gone = l.servers.get(server).is_none_or(|s| s.deleted);
        assert!(gone || rows.contains_key(id), "{told}: the snapshot {id} of {server} was acknowledged and is lost\n{}", process.log());
    }
}

async fn clean(cloud: &Cloud, told: &str, process: &Process) {
    let report = get(cloud, "kilonova", "/audit", told, process).await;
    assert_eq!(report["findings"], json!([]), "{told}: the audit finds something\n{}", process.log());
}

async fn base_image(cloud: &Cloud, told: &str, process: &Process) -> String {
    // A row and bytes by hand: the client's own upload wants a file.
    let body = json!({"name": "disk", "disk_format": "raw", "container_format": "bare", "visibility": "public"});
    let made = cloud.call(Method::POST, "image", "/images", Some(&body)).await.unwrap_or_else(|e| panic!("{told}: {e}"));
    let made: Value = serde_json::from_str(&made).unwrap();
    let id = made["id"].as_str().unwrap().to_owned();
    let base = cloud.url("image").unwrap().trim_end_matches("/v2").to_owned();
    let url = format!("{base}/v2/images/{id}/file");
    let sent = reqwest::Client::builder().no_proxy().build().unwrap();
    let sent = sent.put(&url).header("x-auth-token", cloud.token()).header("content-type", "application/octet-stream");
    let answer = sent.body(vec![0_u8; 4096]).send().await.unwrap_or_else(|e| panic!("{told}: {e}\n{}", process.log()));
    assert_eq!(answer.status().as_u16(), 204, "{told}");
    id
}

/// Deletes everything and waits until it is gone.
pub async fn emptied(cloud: &Cloud, ledger: &Mutex<Ledger>, told: &str, process: &Process) {
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
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let list = get(cloud, "image", "/images?limit=1000", told, process).await;
    for image in list["images"].as_array().unwrap() {
        let path = format!("/images/{}", image["id"].as_str().unwrap());
        cloud.call(Method::DELETE, "image", &path, None).await.unwrap_or_else(|e| panic!("{told}: {path}: {e}"));
    }
    clean(cloud, told, process).await;
    for what in ["instances", "cores", "ram"] {
        let path = format!("/os-quota-sets/{}/detail", cloud.project_id);
        let quota = get(cloud, "compute", &path, told, process).await;
        assert_eq!(quota["quota_set"][what]["in_use"], 0, "{told}: {what}: {quota}");
    }
    let ports = get(cloud, "network", "/ports", told, process).await;
    // The address service's own port belongs to its network, which stays.
    let left: Vec<&Value> = ports["ports"].as_array().unwrap().iter().filter(|p| p["device_owner"] != "network:dhcp").collect();
    assert!(left.is_empty(), "{told}: ports remain: {left:?}");
    ledger.lock().unwrap().servers.clear();
}
