//! Everybody else: lists show them, their actions work, new ones are made, and the audit names the damaged one.

use crate::Outcome;
use crate::cast::{self, Cast};
use crate::fields::Damage;
use api_conformance::{Client, TestCluster};
use serde_json::Value;
use std::collections::BTreeSet;

/// Lives once on the damaged data.
pub async fn look(mut cluster: TestCluster, cast: &Cast, d: &Damage) -> Result<Outcome, String> {
    cluster.machine("h2").set_reachable(true);
    let admin = cluster.admin();
    let outcome = match served(&cluster, &admin, cast).await {
        Ok(()) => named(&admin, d).await,
        Err(e) => Err(e),
    };
    cluster.leave().await;
    outcome
}

/// Everything that every caller needs, and every witness.
pub async fn served(cluster: &TestCluster, admin: &Client, cast: &Cast) -> Result<(), String> {
    let body = serde_json::json!({"auth": {"identity": {"methods": ["password"], "password": {"user":
        {"name": "witness", "domain": {"id": "default"}, "password": "password of witness"}}},
        "scope": {"project": {"name": "witnesses", "domain": {"id": "default"}}}}});
    let answer = cluster.anonymous().post("/identity/v3/auth/tokens", body).await;
    if answer.status != 201 {
        return Err(format!("the witness cannot log in: {} {}", answer.status, answer.text()));
    }
    let token = answer.headers.get("x-subject-token").and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let mut member = cluster.anonymous().with_token(&token);
    member.project_id.clone_from(&cast.project);
    for (path, ids) in &cast.member_sees {
        shows(&member, path, ids).await?;
    }
    for (path, ids) in &cast.admin_sees {
        shows(admin, path, ids).await?;
    }
    // An action, a making and an unmaking.
    acted(cluster, &member, &cast.server, serde_json::json!({"os-stop": null}), "SHUTOFF").await?;
    acted(cluster, &member, &cast.server, serde_json::json!({"os-start": null}), "ACTIVE").await?;
    let made = member.post("/compute/v2.1/servers", cast::body(cast, "another")).await;
    if made.status != 202 {
        return Err(format!("a server is not accepted: {} {}", made.status, made.text()));
    }
    let id = made.json["server"]["id"].as_str().unwrap_or_default().to_owned();
    until(&member, &id, "ACTIVE").await?;
    let path = format!("/compute/v2.1/servers/{id}");
    let gone = member.delete(&path).await;
    if gone.status != 204 {
        return Err(format!("the new server is not deleted: {} {}", gone.status, gone.text()));
    }
    for _ in 0..2000 {
        if member.get(&path).await.status == 404 {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Err("the new server is not gone".into())
}

async fn shows(who: &Client, path: &str, ids: &[String]) -> Result<(), String> {
    let answer = who.get(path).await;
    if answer.status != 200 {
        return Err(format!("{path}: {} {}", answer.status, answer.text()));
    }
    let text = answer.text();
    match ids.iter().find(|id| !text.contains(id.as_str())) {
        Some(id) => Err(format!("{path} does not show {id}")),
        None => Ok(()),
    }
}

async fn acted(_: &TestCluster, who: &Client, id: &str, body: Value, status: &str) -> Result<(), String> {
    let answer = who.act(id, body).await;
    if answer.status != 202 {
        return Err(format!("{}: {} {}", answer.asked, answer.status, answer.text()));
    }
    until(who, id, status).await
}

async fn until(who: &Client, id: &str, status: &str) -> Result<(), String> {
    let mut last = Value::Null;
    for _ in 0..2000 {
        let answer = who.get(&format!("/compute/v2.1/servers/{id}")).await;
        if answer.status != 200 {
            return Err(format!("server {id}: {} {}", answer.status, answer.text()));
        }
        last = answer.json["server"].clone();
        if last["status"] == status && last["OS-EXT-STS:task_state"].is_null() {
            return Ok(());
        }
        if last["status"] == "ERROR" {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Err(format!("server {id} is not {status}: {last}"))
}

/// Whether the audit names the row, finds something, or nothing.
async fn named(admin: &Client, d: &Damage) -> Result<Outcome, String> {
    let answer = admin.get("/kilonova/audit").await;
    if answer.status != 200 {
        return Err(format!("the audit: {} {}", answer.status, answer.text()));
    }
    let findings = answer.json["findings"].as_array().cloned().unwrap_or_default();
    let word = |f: &Value, key: &str| f[key].as_str().unwrap_or_default().to_owned();
    let in_table = |f: &&Value| f["kind"] == "damage" && word(f, "subject").split(' ').next() == Some(d.table.as_str());
    let whole = |f: &&Value| d.id.is_empty() || d.id.split(' ').all(|part| word(f, "subject").contains(part));
    // A damaged key is shown in its own way; else it must be the row.
    let key = ["NULL", "bytes", "-1", "xxx", "9223372036854775807"].contains(&d.id.as_str());
    if findings.iter().filter(in_table).any(|f| key || whole(&f)) {
        return Ok(Outcome::Named);
    }
    let id = |f: &&Value| !d.id.is_empty() && (word(f, "subject") == d.id || word(f, "message").contains(&d.id));
    if findings.iter().any(|f| id(&f)) {
        return Ok(Outcome::Named);
    }
    let kinds: BTreeSet<String> = findings.iter().map(|f| word(f, "kind")).collect();
    Ok(if kinds.is_empty() { Outcome::Silent } else { Outcome::Found(kinds) })
}
