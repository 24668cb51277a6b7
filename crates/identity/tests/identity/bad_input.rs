//! What cannot be understood is refused with the field's name, and leaves nothing behind.

use crate::harness::Cloud;
use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

#[tokio::test]
async fn logins_that_make_no_sense() {
    let cloud = Cloud::new().await;
    let identity = |v: Value| json!({"auth": {"identity": v}});
    let user = |v: Value| identity(json!({"methods": ["password"], "password": {"user": v}}));
    let scope = |v: Value| {
        let mut body = user(json!({"name": "admin", "domain": {"id": "default"}, "password": "secret"}));
        body["auth"]["scope"] = v;
        body
    };
    let bad = [
        (json!({}), "auth"),
        (json!([]), ""),
        (json!({"auth": {}}), "identity"),
        (json!({"auth": "x"}), "auth"),
        (identity(json!({})), "methods"),
        (identity(json!({"methods": []})), "methods"),
        (identity(json!({"methods": "password"})), "methods"),
        (identity(json!({"methods": ["password"]})), "Expecting to find password in identity"),
        (identity(json!({"methods": ["token"]})), "token"),
        (user(json!({"name": "admin"})), "password"),
        (user(json!("secret")), "password.user"),
        (identity(json!({"methods": ["password"], "password": "secret"})), "identity.password"),
        (identity(json!({"methods": ["token"], "token": "secret"})), "identity.token"),
        (user(json!({"name": "admin", "password": "secret"})), "Expecting to find domain in user"),
        (user(json!({"password": "secret"})), "id or name"),
        (user(json!({"id": 5, "password": "secret"})), "password"),
        (scope(json!({"project": {"name": "admin"}})), "Expecting to find domain in project"),
        (scope(json!({"project": {}})), "id or name"),
        (scope(json!({"project": {"id": "x"}, "domain": {"id": "default"}})), "scope"),
        (scope(json!({"system": {"all": false}})), "system"),
        (scope(json!({})), "scope"),
        (scope(json!(7)), "scope"),
    ];
    for (body, part) in bad {
        let answer = cloud.auth(body.clone()).await;
        assert_eq!(answer.status.as_u16(), 400, "{body} {}", answer.body);
        assert!(answer.message().contains(part), "{body}: {}", answer.message());
        assert!(!answer.message().contains("secret"), "{}", answer.message());
    }
    cloud.auth(identity(json!({"methods": ["oauth1"]}))).await.is(401);
    cloud.auth(scope(json!({"OS-TRUST:trust": {"id": "x"}}))).await.is(501);
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    for (text, status) in [("{", 400), ("", 400), ("null", 400), ("{\"user\": {}} x", 400), ("\u{7f}", 400)] {
        let request = Request::builder().method("POST").uri("/identity/v3/users").header("x-auth-token", &admin);
        cloud.send(request.body(Body::from(text)).unwrap()).await.is(status);
    }
    let request = Request::post("/identity/v3/users").header("x-auth-token", &admin).header("content-type", "text/xml");
    cloud.send(request.body(Body::from("<user/>")).unwrap()).await.is(415);
    let long = json!({"user": {"name": "x", "description": "d".repeat(200_000)}});
    cloud.post("/v3/users", &admin, long).await.is(413);
}

#[tokio::test]
async fn fields_that_break_their_rules() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let (before, commits) = (cloud.get("/v3/users", &admin).await.body, cloud.store.commits());
    let long = |n: usize| "x".repeat(n);
    let bad = [
        ("user", json!({}), "'name' is a required property"),
        ("user", json!({"name": ""}), "'name'"),
        ("user", json!({"name": "  "}), "should be non-empty"),
        ("user", json!({"name": long(256)}), "too long"),
        ("user", json!({"name": "a\u{0}b"}), "'name'"),
        ("user", json!({"name": 5}), "5 is not of type 'string'"),
        ("user", json!({"name": null}), "'name'"),
        ("user", json!({"name": "x", "enabled": "yes"}), "'enabled'"),
        ("user", json!({"name": "x", "password": 12345}), "'password'"),
        ("user", json!({"name": "x", "password": long(4097)}), "'password'"),
        ("user", json!({"name": "x", "password": ""}), "'password'"),
        ("user", json!({"name": "x", "domain_id": "a b"}), "'domain_id'"),
        ("user", json!({"name": "x", "options": []}), "'options'"),
        ("user", json!({"name": "x", "note": long(17_000)}), "16384"),
        ("project", json!({"name": long(65)}), "too long"),
        ("project", json!({"name": "x", "tags": "a"}), "'tags'"),
        ("project", json!({"name": "x", "tags": [1]}), "'tags'"),
        ("project", json!({"name": "x", "description": 1}), "'description'"),
        ("project", json!({"name": "x", "parent_id": 1}), "'parent_id'"),
        ("domain", json!({"name": long(65)}), "too long"),
        ("group", json!({"description": "x"}), "'name'"),
        ("role", json!({"name": long(256)}), "too long"),
        ("role", json!({"name": "x", "options": {"immutable": "yes"}}), "options/immutable"),
        ("service", json!({"type": ""}), "'type'"),
        ("endpoint", json!({"interface": "public", "url": "http://x"}), "'service_id'"),
        ("region", json!({"parent_region_id": 3}), "'parent_region_id'"),
    ];
    for (key, body, part) in bad {
        let answer = cloud.post(&format!("/v3/{key}s"), &admin, json!({key: body})).await;
        assert_eq!(answer.status.as_u16(), 400, "{key} {body} {}", answer.body);
        assert!(answer.message().contains(part), "{key} {body}: {}", answer.message());
        assert!(!answer.message().contains("12345"), "a password is repeated: {}", answer.message());
    }
    for body in [json!({}), json!({"users": {}}), json!({"user": []}), json!({"user": null}), json!([1])] {
        cloud.post("/v3/users", &admin, body).await.is(400);
    }
    assert_eq!(cloud.get("/v3/users", &admin).await.body["users"], before["users"]);
    assert_eq!(cloud.store.commits(), commits);
}

#[tokio::test]
async fn hosts_that_are_none_do_not_reach_links() {
    let cloud = Cloud::new().await;
    for host in ["evil\"><x", "a b", "a/b", "user@host", &"h".repeat(300)] {
        let request = Request::get("/identity").header("host", host).body(Body::empty()).unwrap();
        let answer = cloud.send(request).await.is(300);
        assert_eq!(answer.text("/versions/values/0/links/0/href"), "http://localhost/identity/v3/");
    }
}
