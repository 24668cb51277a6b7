//! Who may do what: members see themselves, readers of the system read, managers of a domain manage it and cannot climb.

use crate::harness::{Cloud, project};
use identity::{NOT_BUILT, route_infos};
use model::policy::Rule;
use serde_json::{Value, json};

/// The path of a route with something in each placeholder.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { "absent" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_wants_a_token_and_admins_routes_an_admin() {
    let cloud = Cloud::new().await;
    let demo = cloud.demo().await;
    let mut admins = 0;
    for info in route_infos().into_iter().filter(|i| i.rule != Rule::Anyone) {
        let (method, path) = (info.method.as_str(), filled(info.path));
        cloud.call(method, &path, "", json!({})).await.is(401);
        if info.rule == Rule::Admin {
            admins += 1;
            cloud.call(method, &path, &demo, json!({})).await.is(403);
        }
    }
    assert!(admins > 10);
}

#[tokio::test]
async fn what_is_not_built_says_so() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    for (method, path) in NOT_BUILT {
        let answer = cloud.call(method, &filled(path), &admin, Value::Null).await.is(501);
        assert!(answer.message().contains(&format!("{method} {path}")), "{}", answer.message());
    }
    assert_eq!(cloud.get("/v3/nonsense", &admin).await.is(404).body["error"]["code"], json!(404));
    cloud.call("DELETE", "/v3/users", &admin, Value::Null).await.is(405);
}

#[tokio::test]
async fn a_member_sees_itself_and_its_project() {
    let cloud = Cloud::new().await;
    let (demo, me, other) = (cloud.demo().await, cloud.user("demo").await, cloud.user("admin").await);
    cloud.get(&format!("/v3/users/{me}"), &demo).await.is(200);
    cloud.get(&format!("/v3/users/{me}/projects"), &demo).await.is(200);
    cloud.get(&format!("/v3/projects/{}", cloud.project("demo")), &demo).await.is(200);
    cloud.get("/v3/domains/default", &demo).await.is(200);
    let role = cloud.role("admin").await;
    let mine = cloud.project("demo");
    let forbidden = [
        ("GET", "/v3/users".to_owned()),
        ("GET", format!("/v3/users/{other}")),
        // Whether it is there is not told either.
        ("GET", "/v3/users/absent".to_owned()),
        ("GET", format!("/v3/users/{other}/projects")),
        ("PATCH", format!("/v3/users/{me}")),
        ("DELETE", format!("/v3/users/{other}")),
        ("POST", "/v3/users".to_owned()),
        ("GET", "/v3/projects".to_owned()),
        ("GET", format!("/v3/projects/{}", cloud.project("admin"))),
        ("GET", "/v3/projects/absent".to_owned()),
        ("PATCH", format!("/v3/projects/{mine}")),
        ("DELETE", format!("/v3/projects/{mine}")),
        ("PUT", format!("/v3/projects/{mine}/tags/x")),
        ("GET", "/v3/domains".to_owned()),
        ("GET", "/v3/groups".to_owned()),
        ("GET", "/v3/roles".to_owned()),
        ("GET", "/v3/role_assignments".to_owned()),
        ("GET", "/v3/role_inferences".to_owned()),
        ("GET", "/v3/services".to_owned()),
        ("GET", "/v3/endpoints".to_owned()),
        ("PUT", format!("/v3/projects/{mine}/users/{me}/roles/{role}")),
        ("PUT", format!("/v3/system/users/{me}/roles/{role}")),
        ("GET", format!("/v3/projects/{mine}/users/{me}/roles")),
    ];
    for (method, path) in forbidden {
        let body = json!({"user": {"name": "x"}, "project": {"name": "x"}});
        let answer = cloud.call(method, &path, &demo, body).await;
        assert_eq!(answer.status.as_u16(), 403, "{method} {path}: {}", answer.body);
    }
}

#[tokio::test]
async fn a_reader_of_the_system_reads_all_and_changes_nothing() {
    let cloud = Cloud::new().await;
    let id = cloud.make("user", json!({"name": "eye", "password": "p"})).await;
    cloud.grant("system", &format!("users/{id}"), "reader").await;
    let eye = cloud.token("eye", "p", json!({"system": {"all": true}})).await;
    for path in [
        "users",
        "projects",
        "domains",
        "groups",
        "roles",
        "role_assignments",
        "services",
        "endpoints",
        "role_inferences",
    ] {
        cloud.get(&format!("/v3/{path}"), &eye).await.is(200);
    }
    cloud.about("GET", &eye, &cloud.admin().await).await.is(200);
    for key in ["user", "project", "group", "role", "domain", "service"] {
        cloud.post(&format!("/v3/{key}s"), &eye, json!({key: {"name": "x", "type": "x"}})).await.is(403);
    }
}

#[tokio::test]
async fn a_manager_of_a_domain_manages_it_and_cannot_climb() {
    let cloud = Cloud::new().await;
    let east = cloud.make("domain", json!({"name": "east"})).await;
    let boss = cloud.make("user", json!({"name": "boss", "domain_id": east, "password": "p"})).await;
    let root = cloud.make("user", json!({"name": "root", "domain_id": east, "password": "p"})).await;
    let roots = cloud.make("group", json!({"name": "roots", "domain_id": east})).await;
    cloud.grant(&format!("domains/{east}"), &format!("users/{boss}"), "manager").await;
    cloud.grant("system", &format!("users/{root}"), "admin").await;
    cloud.grant("system", &format!("groups/{roots}"), "admin").await;
    let auth = json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"id": boss, "password": "p"}}},
        "scope": {"domain": {"id": east}},
    }});
    let token = cloud.auth(auth).await.is(201).token();
    let make = |key: &'static str, body: Value| {
        let (cloud, token) = (&cloud, &token);
        async move { cloud.post(&format!("/v3/{key}s"), token, json!({key: body})).await }
    };
    // Its own domain.
    let ann = make("user", json!({"name": "ann"})).await.is(201);
    assert_eq!(ann.text("/user/domain_id"), east);
    let ann = ann.text("/user/id");
    let mill = make("project", json!({"name": "mill"})).await.is(201).text("/project/id");
    let member = cloud.role("member").await;
    cloud.put(&format!("/v3/projects/{mill}/users/{ann}/roles/{member}"), &token).await.is(204);
    assert_eq!(cloud.get("/v3/users", &token).await.is(200).names("users"), ["ann", "boss", "root"]);
    assert_eq!(cloud.get("/v3/projects", &token).await.is(200).names("projects"), ["mill"]);
    let seen = cloud.get("/v3/role_assignments", &token).await.is(200);
    assert_eq!(seen.body["role_assignments"].as_array().unwrap().len(), 2);
    // Nothing of others, and no way up.
    let (admin_role, demo) = (cloud.role("admin").await, cloud.user("demo").await);
    make("user", json!({"name": "x", "domain_id": "default"})).await.is(403);
    make("project", json!({"name": "x", "domain_id": "default"})).await.is(403);
    make("domain", json!({"name": "x"})).await.is(403);
    cloud.get(&format!("/v3/users/{demo}"), &token).await.is(403);
    for path in [
        format!("/v3/projects/{mill}/users/{boss}/roles/{admin_role}"),
        format!("/v3/domains/{east}/users/{boss}/roles/{admin_role}"),
        format!("/v3/projects/{mill}/users/{demo}/roles/{member}"),
        format!("/v3/projects/{}/users/{ann}/roles/{member}", cloud.project("demo")),
        format!("/v3/system/users/{boss}/roles/{member}"),
        format!("/v3/groups/{roots}/users/{boss}"),
    ] {
        cloud.put(&path, &token).await.is(403);
    }
    cloud.patch(&format!("/v3/users/{root}"), &token, json!({"user": {"password": "mine"}})).await.is(403);
    cloud.delete(&format!("/v3/users/{root}"), &token).await.is(403);
    cloud.patch(&format!("/v3/users/{ann}"), &token, json!({"user": {"password": "mine"}})).await.is(200);
    cloud.delete(&format!("/v3/users/{ann}"), &token).await.is(204);
}

#[tokio::test]
async fn admin_of_a_project_is_admin_as_in_the_original() {
    let cloud = Cloud::new().await;
    let demo = cloud.user("demo").await;
    cloud.grant(&format!("projects/{}", cloud.project("demo")), &format!("users/{demo}"), "admin").await;
    cloud.get("/v3/users", &cloud.demo().await).await.is(200);
    // But not without a scope.
    cloud.get("/v3/users", &cloud.token("demo", "demo", json!("unscoped")).await).await.is(403);
    cloud.token("demo", "demo", project("demo")).await;
}
