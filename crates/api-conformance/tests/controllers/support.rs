//! What these tests share: many requests at once, and counts straight from the tables.

use api_conformance::{Answer, Client};
use futures_util::future::join_all;
use serde_json::Value;
use std::collections::BTreeMap;
use store::Store;

/// Sends `count` requests at once, the callers in turn, and waits for all answers.
pub async fn storm(callers: &[Client], count: usize, body: &Value) -> Vec<Answer> {
    let asked = (0..count).map(|n| {
        let (who, body) = (callers[n % callers.len()].clone(), body.clone());
        tokio::spawn(async move { who.post("/compute/v2.1/servers", body).await })
    });
    join_all(asked).await.into_iter().map(|a| a.unwrap()).collect()
}

/// Rows of a table that meet a condition, deleted servers and finished flows included.
pub async fn rows(store: &Store, table: &str, condition: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) AS n FROM {table} WHERE {condition}");
    store.read(move |tx| tx.query_one(&sql, &[])?.unwrap().get("n")).await.unwrap()
}

/// How many living servers each host has by the records.
pub async fn by_host(store: &Store) -> BTreeMap<String, i64> {
    let sql = "SELECT host, COUNT(*) AS n FROM servers WHERE host IS NOT NULL AND deleted_at IS NULL GROUP BY host";
    let read = store.read(move |tx| tx.query(sql, &[])?.iter().map(|r| Ok((r.get("host")?, r.get("n")?))).collect());
    read.await.unwrap()
}

/// Ids of the servers that a list shows.
pub async fn ids(who: &Client, filter: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    loop {
        let marker = out.last().map(|m| format!("&marker={m}")).unwrap_or_default();
        let list = who.get(&format!("/compute/v2.1/servers?limit=500{filter}{marker}")).await.expect(200);
        let page = list["servers"].as_array().unwrap();
        if page.is_empty() {
            return out;
        }
        out.extend(page.iter().map(|s| s["id"].as_str().unwrap().to_owned()));
    }
}

/// Deletes servers, the callers in turn, all at once.
pub async fn delete_all(callers: &[Client], ids: &[String]) {
    let asked = ids.iter().enumerate().map(|(n, id)| {
        let (who, path) = (callers[n % callers.len()].clone(), format!("/compute/v2.1/servers/{id}"));
        tokio::spawn(async move { who.delete(&path).await.expect(204) })
    });
    join_all(asked).await.into_iter().for_each(|a| drop(a.unwrap()));
}
