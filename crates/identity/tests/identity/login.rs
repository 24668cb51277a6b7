//! What a login gives, and that it writes nothing.

use crate::harness::{Cloud, by_password, by_token, project};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn a_project_scoped_token_says_all_that_clients_read() {
    let cloud = Cloud::new().await;
    let answer = cloud.login("admin", "secret", project("admin")).await.is(201);
    let token = &answer.body["token"];
    assert_eq!(token["methods"], json!(["password"]));
    assert_eq!(token["user"]["name"], "admin");
    assert_eq!(token["user"]["domain"], json!({"id": "default", "name": "Default"}));
    assert_eq!(token["user"]["password_expires_at"], Value::Null);
    assert_eq!(token["project"]["id"], json!(cloud.project("admin")));
    assert_eq!(token["project"]["domain"]["id"], "default");
    let mut roles: Vec<&str> = token["roles"].as_array().unwrap().iter().map(|r| r["name"].as_str().unwrap()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["admin", "manager", "member", "reader"]);
    assert_eq!(token["issued_at"], "2026-11-22T14:26:50.000000Z");
    assert_eq!(token["expires_at"], "2026-11-22T15:26:50.000000Z");
    assert_eq!(token["audit_ids"].as_array().unwrap().len(), 1);
    // The catalogue follows the address the client used.
    let catalog = token["catalog"].as_array().unwrap();
    let types: Vec<&str> = catalog.iter().map(|s| s["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["compute", "identity", "image", "network", "placement"]);
    assert_eq!(catalog[0]["endpoints"][0]["url"], "http://cloud:8774/compute/v2.1");
    assert_eq!(catalog[0]["endpoints"].as_array().unwrap().len(), 3);
    assert_eq!(catalog[0]["endpoints"][0]["region"], "RegionOne");
    let short = cloud.post("/v3/auth/tokens?nocatalog", "", by_password("admin", "secret", project("admin"))).await;
    assert_eq!(short.is(201).body["token"]["catalog"], Value::Null);
}

#[tokio::test]
async fn every_scope_and_every_way_to_name_it() {
    let cloud = Cloud::new().await;
    let scoped = |scope: Value| cloud.login("admin", "secret", scope);
    let id = cloud.project("admin");
    assert_eq!(scoped(json!({"project": {"id": id}})).await.is(201).text("/token/project/name"), "admin");
    assert_eq!(scoped(json!({"domain": {"name": "Default"}})).await.is(201).text("/token/domain/id"), "default");
    let system = scoped(json!({"system": {"all": true}})).await.is(201);
    assert_eq!(system.body["token"]["system"], json!({"all": true}));
    for unscoped in [json!("unscoped"), json!({"unscoped": {}})] {
        let token = scoped(unscoped).await.is(201).body["token"].clone();
        assert_eq!((&token["project"], &token["roles"], &token["catalog"]), (&Value::Null, &Value::Null, &Value::Null));
    }
    // Without a scope: the user's default project, and nothing where that is gone.
    assert_eq!(scoped(Value::Null).await.is(201).text("/token/project/name"), "admin");
    let admin = cloud.admin().await;
    cloud.make("user", json!({"name": "free", "password": "p"})).await;
    assert_eq!(cloud.login("free", "p", Value::Null).await.is(201).body["token"]["project"], Value::Null);
    let demo = cloud.project("demo");
    cloud.patch(&format!("/v3/projects/{demo}"), &admin, json!({"project": {"enabled": false}})).await.is(200);
    assert_eq!(cloud.login("demo", "demo", Value::Null).await.is(201).body["token"]["project"], Value::Null);
    // By id instead of name.
    let user = json!({"id": cloud.user("admin").await, "password": "secret"});
    let auth = json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
    cloud.auth(auth).await.is(201);
}

#[tokio::test]
async fn what_is_wrong_is_never_told() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    for (name, enabled) in [("gone", false), ("idle", true)] {
        cloud.make("user", json!({"name": name, "password": "p", "enabled": enabled})).await;
    }
    let off = cloud.make("project", json!({"name": "off", "enabled": false})).await;
    let demo = cloud.user("demo").await;
    cloud.grant(&format!("projects/{off}"), &format!("users/{demo}"), "member").await;
    let domain = json!({"project": {"name": "demo", "domain": {"name": "nowhere"}}});
    let refused = [
        by_password("admin", "wrong", project("admin")),
        by_password("nobody", "secret", project("admin")),
        by_password("gone", "p", Value::Null),
        by_password("idle", "p", project("demo")),
        by_password("demo", "demo", project("nothing")),
        by_password("demo", "demo", project("off")),
        by_password("demo", "demo", domain),
        by_password("demo", "demo", json!({"project": {"id": "0".repeat(32)}})),
        by_password("demo", "demo", json!({"domain": {"id": "default"}})),
        by_password("demo", "demo", json!({"system": {"all": true}})),
        by_password("admin", &"x".repeat(100_000), project("admin")),
        by_token("kn1.nonsense", Value::Null),
    ];
    let mut texts: Vec<String> = Vec::new();
    for body in refused {
        let answer = cloud.auth(body).await.is(401);
        assert!(answer.headers.contains_key("www-authenticate"));
        texts.push(answer.message().to_owned());
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
    assert!(texts[0].starts_with("The request you have made requires authentication"));
    cloud.get("/v3/users", &admin).await.is(200);
}

#[tokio::test]
async fn logins_and_checks_write_nothing() {
    let cloud = Cloud::new().await;
    let before = cloud.store.commits();
    let token = cloud.admin().await;
    let again = cloud.auth(by_token(&token, project("admin"))).await.is(201).token();
    cloud.about("GET", &token, &again).await.is(200);
    cloud.login("admin", "no", Value::Null).await.is(401);
    assert_eq!(cloud.store.commits(), before);
}

#[tokio::test(start_paused = true)]
async fn a_token_from_a_token_dies_with_it() {
    let cloud = Cloud::new().await;
    let first = cloud.login("admin", "secret", json!("unscoped")).await.is(201);
    tokio::time::advance(std::time::Duration::from_secs(600)).await;
    let second = cloud.auth(by_token(&first.token(), project("admin"))).await.is(201);
    assert_eq!(second.text("/token/expires_at"), first.text("/token/expires_at"));
    assert_eq!(second.body["token"]["methods"], json!(["password", "token"]));
    assert_eq!(second.text("/token/audit_ids/1"), first.text("/token/audit_ids/0"));
    let third = cloud.auth(by_token(&second.token(), json!("unscoped"))).await.is(201);
    assert_eq!(third.text("/token/audit_ids/1"), first.text("/token/audit_ids/0"));
    // Revoking one that was derived leaves the rest; revoking the first takes all.
    cloud.about("DELETE", &second.token(), &second.token()).await.is(204);
    assert!(!cloud.accepts(&second.token()).await);
    assert!(cloud.accepts(&third.token()).await && cloud.accepts(&first.token()).await);
    cloud.about("DELETE", &third.token(), &first.token()).await.is(204);
    assert!(!cloud.accepts(&third.token()).await && !cloud.accepts(&first.token()).await);
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_and_says_so() {
    let cloud = Cloud::new().await;
    let token = cloud.admin().await;
    tokio::time::advance(std::time::Duration::from_secs(3599)).await;
    assert!(cloud.accepts(&token).await);
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    let answer = cloud.get("/v3/auth/projects", &token).await.is(401);
    assert!(answer.message().contains("expired"), "{}", answer.message());
    let fresh = cloud.admin().await;
    assert!(cloud.about("GET", &fresh, &token).await.is(404).message().contains("expired"));
    // Revocations of tokens that ended are forgotten with the next one.
    cloud.about("DELETE", &fresh, &fresh).await.is(204);
    tokio::time::advance(std::time::Duration::from_secs(3601)).await;
    let last = cloud.admin().await;
    cloud.about("DELETE", &last, &last).await.is(204);
    assert_eq!(cloud.store.read(store::identity::revoked_count).await.unwrap(), 1);
}

#[tokio::test]
async fn checking_a_token() {
    let cloud = Cloud::new().await;
    let (admin, demo) = (cloud.admin().await, cloud.demo().await);
    let seen = cloud.about("GET", &admin, &demo).await.is(200);
    assert_eq!(seen.text("/token/user/name"), "demo");
    assert_eq!(seen.token(), demo);
    cloud.about("HEAD", &demo, &demo).await.is(200);
    cloud.about("GET", &demo, &admin).await.is(403);
    cloud.about("DELETE", &demo, &admin).await.is(403);
    cloud.about("GET", &admin, "kn1.forged").await.is(404);
    cloud.get("/v3/auth/tokens", &admin).await.is(404);
    cloud
        .grant(
            &format!("projects/{}", cloud.project("demo")),
            &format!("users/{}", cloud.user("demo").await),
            "service",
        )
        .await;
    cloud.about("GET", &cloud.demo().await, &admin).await.is(200);
}

#[tokio::test]
async fn what_one_may_be_let_into() {
    let cloud = Cloud::new().await;
    let (admin, demo) = (cloud.admin().await, cloud.demo().await);
    assert_eq!(cloud.get("/v3/auth/projects", &demo).await.is(200).names("projects"), ["demo"]);
    assert_eq!(cloud.get("/v3/auth/domains", &admin).await.is(200).names("domains"), ["Default"]);
    assert_eq!(cloud.get("/v3/auth/system", &admin).await.is(200).body["system"], json!([{"all": true}]));
    assert_eq!(cloud.get("/v3/auth/system", &demo).await.is(200).body["system"], json!([]));
    assert_eq!(cloud.get("/v3/auth/catalog", &demo).await.is(200).body["catalog"].as_array().unwrap().len(), 5);
    let unscoped = cloud.token("demo", "demo", json!("unscoped")).await;
    cloud.get("/v3/auth/catalog", &unscoped).await.is(403);
    assert_eq!(cloud.get("/v3/auth/projects", &unscoped).await.is(200).names("projects"), ["demo"]);
}

#[tokio::test]
async fn version_documents() {
    let cloud = Cloud::new().await;
    for root in ["", "/", "/?a=b"] {
        cloud.get(root, "").await.is(300);
    }
    let all = cloud.get("", "").await.is(300);
    assert_eq!(all.text("/versions/values/0/links/0/href"), "http://cloud:8774/identity/v3/");
    for path in ["/v3", "/v3/"] {
        assert_eq!(cloud.get(path, "").await.is(200).text("/version/id"), "v3.14");
    }
}
