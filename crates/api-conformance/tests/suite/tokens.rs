//! No token, a forged one, an expired one, a revoked one: 401 on every route that is not public, and nothing else.

use api_conformance::{Client, Shape, TestCluster};
use axum::http::Method;
use model::policy::Rule;
use serde_json::{Value, json};
use std::time::Duration;

/// The routes that anybody may call. One more is a decision, so it is written down here too.
const OPEN: &[&str] = &[
    "identity GET /",
    "identity GET /v3",
    "identity GET /v3/",
    "identity POST /v3/auth/tokens",
    "identity POST /v3/users/{user}/password",
    "image GET /",
    "image GET /versions",
    "network GET /",
    "placement GET /",
];

/// Every route, its parameters filled with something.
fn paths() -> Vec<(Method, String)> {
    let mut out = Vec::new();
    for (service, infos) in server::documents::services() {
        let prefix = if service == "compute" { "/compute/v2.1".to_owned() } else { format!("/{service}") };
        for info in infos.iter().filter(|r| r.rule != Rule::Anyone) {
            let filled: Vec<&str> = info
                .path
                .split('/')
                .map(|s| match s {
                    "{resource}" => "networks",
                    s if s.starts_with('{') => "70a599e0-31e7-49b7-b260-868f441e862b",
                    s => s,
                })
                .collect();
            out.push((info.method.clone(), format!("{prefix}{}", filled.join("/"))));
        }
    }
    out
}

async fn nowhere(who: &Client, part: &str) {
    for (method, path) in paths() {
        let answer = who.send(method.clone(), &path, None).await;
        assert_eq!(answer.status, 401, "{method} {path}: {}", answer.text());
        if method != Method::HEAD {
            assert!(answer.message().contains(part), "{method} {path}: {}", answer.message());
        }
        assert!(answer.headers.contains_key("www-authenticate"), "{method} {path}");
        assert!(who.token.is_empty() || !answer.text().contains(&who.token), "{method} {path} repeats the token");
    }
}

#[test]
fn the_public_routes_are_these() {
    let mut open: Vec<String> = Vec::new();
    for (service, infos) in server::documents::services() {
        open.extend(infos.iter().filter(|r| r.rule == Rule::Anyone).map(|r| format!("{service} {} {}", r.method, r.path)));
    }
    open.sort();
    assert_eq!(open, OPEN);
}

#[tokio::test(start_paused = true)]
async fn no_token_opens_nothing() {
    let c = TestCluster::one().await;
    nowhere(&c.anonymous(), "requires authentication").await;
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_forged_token_opens_nothing() {
    let c = TestCluster::one().await;
    let good = c.admin().token;
    let flipped = |at: usize| {
        let mut bytes = good.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        String::from_utf8(bytes).unwrap()
    };
    nowhere(&c.anonymous().with_token(&flipped(good.len() / 2)), "not valid").await;
    // Every place of it counts, and so does its length.
    for at in 0..good.len() {
        let answer = c.anonymous().with_token(&flipped(at)).get("/compute/v2.1/servers").await;
        assert_eq!(answer.status, 401, "the byte at {at} does not count");
    }
    for cut in [1, good.len() / 2, good.len() - 1] {
        c.anonymous().with_token(&good[..cut]).get("/compute/v2.1/servers").await.refused(401, "");
    }
    let long = format!("{good}{}", "A".repeat(20_000));
    for bad in [format!("{good}A"), format!("{good}=").replace('-', "+"), "null".into(), "'--".into(), long, c.admin().user_id] {
        let answer = c.anonymous().with_token(&bad).get("/compute/v2.1/servers").await;
        assert_eq!(answer.status, 401, "{} bytes", bad.len());
    }
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_opens_nothing() {
    let c = TestCluster::start(Shape { token_seconds: 600, ..Shape::default() }).await;
    let old = c.admin();
    old.get("/compute/v2.1/servers").await.expect(200);
    tokio::time::sleep(Duration::from_secs(599)).await;
    old.get("/compute/v2.1/servers").await.expect(200);
    tokio::time::sleep(Duration::from_secs(2)).await;
    nowhere(&old, "expired").await;
    let fresh = c.anonymous().login("admin", "correct horse battery", "admin").await;
    // An expired token cannot be made a fresh one.
    let again = json!({"auth": {"identity": {"methods": ["token"], "token": {"id": old.token}}}});
    c.anonymous().post("/identity/v3/auth/tokens", again).await.refused(401, "");
    let findings = fresh.get("/kilonova/audit").await.expect(200);
    assert_eq!(findings["findings"], json!([]));
    let mut c = c;
    c.leave().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_revoked_disabled_or_deleted_opens_nothing() {
    let c = TestCluster::one().await;
    let admin = c.admin();
    let servers = "/compute/v2.1/servers";
    let revoked = c.member("revoked", "p").await;
    revoked.get(servers).await.expect(200);
    let header = [("x-subject-token", revoked.token.as_str())];
    let answer = revoked.raw(Method::DELETE, "/identity/v3/auth/tokens", None, Vec::new(), &header).await;
    assert_eq!(answer.status, 204, "{}", answer.text());
    revoked.get(servers).await.refused(401, "");
    for (name, change) in [
        ("disabled", json!({"user": {"enabled": false}})),
        ("renewed", json!({"user": {"password": "another password"}})),
    ] {
        let who = c.member(name, "p").await;
        // A token is as old as its second; what happens in the same second may not be told apart.
        tokio::time::sleep(Duration::from_secs(2)).await;
        admin.send(Method::PATCH, &format!("/identity/v3/users/{}", who.user_id), Some(change)).await.expect(200);
        who.get(servers).await.refused(401, "");
    }
    let gone = c.member("gone", "p").await;
    admin.delete(&format!("/identity/v3/users/{}", gone.user_id)).await.expect(204);
    gone.get(servers).await.refused(401, "");
    let closed = c.member("closed", "closing").await;
    let path = format!("/identity/v3/projects/{}", closed.project_id);
    admin.send(Method::PATCH, &path, Some(json!({"project": {"enabled": false}}))).await.expect(200);
    closed.get(servers).await.refused(401, "");
    c.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_login_never_says_what_was_wrong_with_it() {
    let c = TestCluster::one().await;
    c.member("alice", "wonderland").await;
    let login = async |user: &str, password: &str, project: &str| {
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}}},
            "scope": {"project": {"name": project, "domain": {"id": "default"}}}}});
        c.anonymous().post("/identity/v3/auth/tokens", body).await
    };
    assert_eq!(login("alice", "password of alice", "wonderland").await.status, 201);
    let mut answers: Vec<Value> = Vec::new();
    for (user, password, project) in [
        ("alice", "wrong", "wonderland"),
        ("nobody", "password of alice", "wonderland"),
        ("alice", "", "wonderland"),
        ("alice", "password of alice", "admin"),
        ("alice", "password of alice", "nowhere"),
    ] {
        let answer = login(user, password, project).await;
        assert_eq!(answer.status, 401, "{user} {project}: {}", answer.text());
        answers.push(answer.json);
    }
    assert!(answers.windows(2).all(|w| w[0] == w[1]), "{answers:#?}");
    c.end().await;
}
