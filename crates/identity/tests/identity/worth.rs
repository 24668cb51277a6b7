//! A token loses its worth the moment what it rests on changes, and does not get it back.

use crate::harness::{Cloud, by_token, project};
use identity::Identity;
use serde_json::{Value, json};
use web::{Authenticate, TokenFault};

#[tokio::test]
async fn disabling_a_user_voids_its_tokens_for_good() {
    let cloud = Cloud::new().await;
    let (admin, demo, id) = (cloud.admin().await, cloud.demo().await, cloud.user("demo").await);
    let path = format!("/v3/users/{id}");
    cloud.patch(&path, &admin, json!({"user": {"enabled": false}})).await.is(200);
    assert!(!cloud.accepts(&demo).await);
    cloud.login("demo", "demo", Value::Null).await.is(401);
    cloud.auth(by_token(&demo, Value::Null)).await.is(401);
    cloud.patch(&path, &admin, json!({"user": {"enabled": true}})).await.is(200);
    assert!(!cloud.accepts(&demo).await);
    assert!(cloud.accepts(&cloud.demo().await).await);
    cloud.delete(&path, &admin).await.is(204);
    cloud.login("demo", "demo", Value::Null).await.is(401);
    assert!(cloud.accepts(&admin).await);
}

#[tokio::test]
async fn a_new_password_voids_tokens_and_the_old_password() {
    let cloud = Cloud::new().await;
    let (admin, demo, id) = (cloud.admin().await, cloud.demo().await, cloud.user("demo").await);
    let path = format!("/v3/users/{id}/password");
    let body = |old: &str, new: &str| json!({"user": {"original_password": old, "password": new}});
    cloud.post(&path, "", body("wrong", "x")).await.is(401);
    assert!(cloud.accepts(&demo).await);
    cloud.post(&path, "", body("demo", "next")).await.is(204);
    assert!(!cloud.accepts(&demo).await);
    // It was right a moment ago and is remembered nowhere.
    cloud.login("demo", "demo", Value::Null).await.is(401);
    let next = cloud.token("demo", "next", project("demo")).await;
    cloud.patch(&format!("/v3/users/{id}"), &admin, json!({"user": {"password": "third"}})).await.is(200);
    assert!(!cloud.accepts(&next).await);
    cloud.login("demo", "next", Value::Null).await.is(401);
    cloud.token("demo", "third", project("demo")).await;
    cloud.post("/v3/users/0123/password", "", body("demo", "next")).await.is(401);
    cloud.identity.reset_password("demo", &model::Secret::new("fourth".into())).await.unwrap();
    cloud.login("demo", "third", Value::Null).await.is(401);
    cloud.token("demo", "fourth", project("demo")).await;
}

#[tokio::test]
async fn taking_roles_away_counts_at_once() {
    let cloud = Cloud::new().await;
    let (admin, id) = (cloud.admin().await, cloud.user("demo").await);
    let place = format!("projects/{}", cloud.project("demo"));
    cloud.grant(&place, &format!("users/{id}"), "manager").await;
    let demo = cloud.demo().await;
    let roles =
        |token: &str| cloud.identity.authenticate(token, "req").map(|c| c.roles.into_iter().collect::<Vec<_>>());
    assert_eq!(roles(&demo).unwrap(), ["manager", "member", "reader"]);
    let (manager, member) = (cloud.role("manager").await, cloud.role("member").await);
    cloud.delete(&format!("/v3/{place}/users/{id}/roles/{manager}"), &admin).await.is(204);
    assert_eq!(roles(&demo).unwrap(), ["member", "reader"]);
    cloud.delete(&format!("/v3/{place}/users/{id}/roles/{member}"), &admin).await.is(204);
    assert_eq!(roles(&demo), Err(TokenFault::Invalid));
}

#[tokio::test]
async fn disabled_projects_and_domains_are_no_scope() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let domain = cloud.make("domain", json!({"name": "east"})).await;
    let place = cloud.make("project", json!({"name": "mill", "domain_id": domain})).await;
    let ann = cloud.make("user", json!({"name": "ann", "domain_id": domain, "password": "p"})).await;
    cloud.grant(&format!("projects/{place}"), &format!("users/{ann}"), "member").await;
    let auth = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"id": ann, "password": "p"}}},
        "scope": {"project": {"id": place}},
    }});
    let flip = |what: &str, id: &str, on: bool| {
        let (path, body) = (format!("/v3/{what}s/{id}"), json!({what: {"enabled": on}}));
        let (cloud, admin) = (&cloud, &admin);
        async move { cloud.patch(&path, admin, body).await.is(200) }
    };
    for (what, id) in [("project", &place), ("domain", &domain)] {
        let token = cloud.auth(auth.clone()).await.is(201).token();
        flip(what, id, false).await;
        assert!(!cloud.accepts(&token).await, "{what}");
        cloud.auth(auth.clone()).await.is(401);
        flip(what, id, true).await;
        assert!(!cloud.accepts(&token).await, "{what}");
    }
    let token = cloud.auth(auth.clone()).await.is(201).token();
    cloud.delete(&format!("/v3/domains/{domain}"), &admin).await.is(403);
    flip("domain", &domain, false).await;
    cloud.delete(&format!("/v3/domains/{domain}"), &admin).await.is(204);
    assert!(!cloud.accepts(&token).await);
    cloud.get(&format!("/v3/users/{ann}"), &admin).await.is(404);
    cloud.get(&format!("/v3/projects/{place}"), &admin).await.is(404);
}

#[tokio::test]
async fn two_rotations_of_the_key_void_everything() {
    let cloud = Cloud::new().await;
    let token = cloud.admin().await;
    cloud.identity.rotate_keys().await.unwrap();
    assert!(cloud.accepts(&token).await);
    cloud.identity.rotate_keys().await.unwrap();
    assert!(!cloud.accepts(&token).await);
    assert!(cloud.accepts(&cloud.admin().await).await);
}

#[tokio::test]
async fn tokens_and_revocations_outlive_the_process() {
    let cloud = Cloud::new().await;
    let (kept, revoked) = (cloud.admin().await, cloud.admin().await);
    cloud.about("DELETE", &kept, &revoked).await.is(204);
    let env = crate::harness::env();
    let next = Identity::new(cloud.store.clone(), env, crate::harness::cheap()).await.unwrap();
    assert_eq!(next.authenticate(&kept, "req").unwrap().user_name, "admin");
    assert_eq!(next.authenticate(&revoked, "req"), Err(TokenFault::Invalid));
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused() {
    let (cloud, other) = (Cloud::new().await, Cloud::new().await);
    let token = other.admin().await;
    for forged in [token.as_str(), "", " ", "kn1.", "gAAAAABmOq", "admin", &"x".repeat(6000), "kn1.e30"] {
        let answer = cloud.get("/v3/users", forged).await.is(401);
        assert!(forged.len() < 4 || !answer.message().contains(forged));
    }
}
