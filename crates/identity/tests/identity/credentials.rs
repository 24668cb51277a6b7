//! Application credentials: a login of its own, never more than its maker.

use crate::harness::{Answer, Cloud, by_token, project};
use serde_json::{Value, json};
use std::time::Duration;
use web::Authenticate;

async fn make(cloud: &Cloud, token: &str, user: &str, body: Value) -> Answer {
    let path = format!("/v3/users/{user}/application_credentials");
    cloud.post(&path, token, json!({"application_credential": body})).await
}

fn login(id: &str, secret: &str) -> Value {
    json!({"auth": {"identity": {
        "methods": ["application_credential"], "application_credential": {"id": id, "secret": secret},
    }}})
}

#[tokio::test]
async fn logs_in_with_its_roles_and_no_more() {
    let cloud = Cloud::new().await;
    let (admin, user) = (cloud.admin().await, cloud.user("admin").await);
    let made = make(&cloud, &admin, &user, json!({"name": "ci", "roles": [{"name": "member"}]})).await.is(201);
    let (id, secret) = (made.text("/application_credential/id"), made.text("/application_credential/secret"));
    assert_eq!(secret.len(), 86);
    let answer = cloud.auth(login(&id, &secret)).await.is(201);
    assert_eq!(answer.body["token"]["application_credential"], json!({"id": id, "name": "ci", "restricted": true}));
    assert_eq!(answer.text("/token/project/name"), "admin");
    let token = answer.token();
    let roles: Vec<String> = cloud.identity.authenticate(&token, "req").unwrap().roles.into_iter().collect();
    assert_eq!(roles, ["member", "reader"]);
    cloud.get("/v3/users", &token).await.is(403);
    // By name, which needs its user.
    let by_name = |secret: &str| {
        let named = json!({"name": "ci", "user": {"id": user}, "secret": secret});
        json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential": named}}})
    };
    cloud.auth(by_name(&secret)).await.is(201);
    cloud.auth(by_name("wrong")).await.is(401);
    cloud.auth(login(&id, "wrong")).await.is(401);
    cloud.auth(login("absent", &secret)).await.is(401);
    // Neither another scope, nor more roles by way of the token.
    let mut scoped = login(&id, &secret);
    scoped["auth"]["scope"] = project("demo");
    cloud.auth(scoped).await.is(401);
    cloud.auth(by_token(&token, json!("unscoped"))).await.is(401);
    let again = cloud.auth(by_token(&token, project("admin"))).await.is(201).token();
    assert_eq!(cloud.identity.authenticate(&again, "req").unwrap().roles.len(), 2);
    // A restricted one makes and deletes no others.
    make(&cloud, &token, &user, json!({"name": "more"})).await.is(403);
    cloud.delete(&format!("/v3/users/{user}/application_credentials/{id}"), &token).await.is(403);
    cloud.delete(&format!("/v3/users/{user}/application_credentials/{id}"), &admin).await.is(204);
    assert!(!cloud.accepts(&token).await);
    cloud.auth(login(&id, &secret)).await.is(401);
}

#[tokio::test]
async fn an_unrestricted_one_may_make_others() {
    let cloud = Cloud::new().await;
    let (demo, user) = (cloud.demo().await, cloud.user("demo").await);
    let made = make(&cloud, &demo, &user, json!({"name": "a", "unrestricted": true, "secret": "s"})).await.is(201);
    let token = cloud.auth(login(&made.text("/application_credential/id"), "s")).await.is(201).token();
    make(&cloud, &token, &user, json!({"name": "b"})).await.is(201);
}

#[tokio::test]
async fn never_more_than_its_maker_has_now() {
    let cloud = Cloud::new().await;
    let (admin, demo, user) = (cloud.admin().await, cloud.demo().await, cloud.user("demo").await);
    let answer = make(&cloud, &demo, &user, json!({"name": "x", "roles": [{"name": "admin"}]})).await.is(400);
    assert!(answer.message().contains("unassigned role"));
    make(&cloud, &demo, &user, json!({"name": "x", "roles": [{}]})).await.is(400);
    let made = make(&cloud, &demo, &user, json!({"name": "x", "secret": "s"})).await.is(201);
    let id = made.text("/application_credential/id");
    let token = cloud.auth(login(&id, "s")).await.is(201).token();
    let member = cloud.role("member").await;
    cloud.delete(&format!("/v3/projects/{}/users/{user}/roles/{member}", cloud.project("demo")), &admin).await.is(204);
    assert!(!cloud.accepts(&token).await);
    cloud.auth(login(&id, "s")).await.is(401);
}

#[tokio::test(start_paused = true)]
async fn ends_when_it_says() {
    let cloud = Cloud::new().await;
    let (demo, user) = (cloud.demo().await, cloud.user("demo").await);
    make(&cloud, &demo, &user, json!({"name": "x", "expires_at": "2020-01-01T00:00:00"})).await.is(400);
    make(&cloud, &demo, &user, json!({"name": "x", "expires_at": "soon"})).await.is(400);
    let body = json!({"name": "x", "secret": "s", "expires_at": "2026-11-22T14:36:50"});
    let made = make(&cloud, &demo, &user, body).await.is(201);
    assert_eq!(made.text("/application_credential/expires_at"), "2026-11-22T14:36:50.000000");
    let id = made.text("/application_credential/id");
    let answer = cloud.auth(login(&id, "s")).await.is(201);
    assert_eq!(answer.text("/token/expires_at"), "2026-11-22T14:36:50.000000Z");
    tokio::time::advance(Duration::from_secs(600)).await;
    assert!(!cloud.accepts(&answer.token()).await);
    cloud.auth(login(&id, "s")).await.is(401);
}

#[tokio::test]
async fn belongs_to_its_user_alone() {
    let cloud = Cloud::new().await;
    let (admin, demo) = (cloud.admin().await, cloud.demo().await);
    let (admin_id, demo_id) = (cloud.user("admin").await, cloud.user("demo").await);
    let mine = make(&cloud, &admin, &admin_id, json!({"name": "x"})).await.is(201).text("/application_credential/id");
    make(&cloud, &admin, &admin_id, json!({"name": "x"})).await.is(409);
    // Not for others, not even by an administrator.
    make(&cloud, &admin, &demo_id, json!({"name": "y"})).await.is(403);
    make(&cloud, &demo, &admin_id, json!({"name": "y"})).await.is(403);
    cloud.get(&format!("/v3/users/{admin_id}/application_credentials"), &demo).await.is(403);
    cloud.get(&format!("/v3/users/{admin_id}/application_credentials/{mine}"), &demo).await.is(403);
    // A foreign id below one's own path is not found.
    cloud.get(&format!("/v3/users/{demo_id}/application_credentials/{mine}"), &demo).await.is(404);
    cloud.delete(&format!("/v3/users/{demo_id}/application_credentials/{mine}"), &demo).await.is(404);
    cloud.get(&format!("/v3/users/{admin_id}/application_credentials/{mine}"), &admin).await.is(200);
    let unscoped = cloud.token("demo", "demo", json!("unscoped")).await;
    make(&cloud, &unscoped, &demo_id, json!({"name": "y"})).await.is(400);
    let rules =
        json!({"name": "y", "access_rules": [{"path": "/v2.1/servers", "method": "GET", "service": "compute"}]});
    make(&cloud, &demo, &demo_id, rules).await.is(501);
}
