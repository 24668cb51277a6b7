//! Domains, projects, users, groups, catalogue: making, reading, changing, removing; names are taken once.

use crate::harness::{Cloud, project};
use serde_json::{Value, json};

#[tokio::test]
async fn users() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let made = cloud
        .post(
            "/v3/users",
            &admin,
            json!({"user": {"name": "ann", "password": "p", "email": "a@b", "options": {"lock_password": true}}}),
        )
        .await
        .is(201);
    let (id, user) = (made.text("/user/id"), made.body["user"].clone());
    assert_eq!(id.len(), 32);
    assert_eq!(
        (&user["email"], &user["domain_id"], &user["enabled"]),
        (&json!("a@b"), &json!("default"), &json!(true))
    );
    assert_eq!(user["links"]["self"], json!(format!("http://cloud:8774/identity/v3/users/{id}")));
    assert_eq!((user.get("password"), user.get("default_project_id")), (None, None));
    let again = cloud.post("/v3/users", &admin, json!({"user": {"name": "ann"}})).await.is(409);
    assert!(again.message().contains("Duplicate entry found with name ann at domain ID default"));
    let path = format!("/v3/users/{id}");
    let changed = json!({"user": {"name": "anna", "email": null, "town": "X", "options": {"lock_password": null}}});
    let changed = cloud.patch(&path, &admin, changed).await.is(200).body["user"].clone();
    assert_eq!((&changed["name"], &changed["email"], &changed["town"]), (&json!("anna"), &Value::Null, &json!("X")));
    assert_eq!(changed["options"], json!({}));
    assert_eq!(cloud.get(&path, &admin).await.is(200).body["user"], changed);
    for (query, names) in [
        ("?name=anna", vec!["anna"]),
        ("?name=ann", vec![]),
        ("?name__startswith=an", vec!["anna"]),
        ("?name__icontains=DM", vec!["admin"]),
        ("?enabled=false", vec![]),
        ("?domain_id=default", vec!["admin", "anna", "demo"]),
        ("?domain_id=other", vec![]),
        ("?unknown=1", vec!["admin", "anna", "demo"]),
    ] {
        assert_eq!(cloud.get(&format!("/v3/users{query}"), &admin).await.is(200).names("users"), names, "{query}");
    }
    cloud.patch(&path, &admin, json!({"user": {"domain_id": "other"}})).await.is(400);
    cloud.patch(&path, &admin, json!({"user": {"name": "demo"}})).await.is(409);
    cloud.patch(&path, &admin, json!({"user": {"default_project_id": "absent"}})).await.is(404);
    let demo = cloud.project("demo");
    cloud.patch(&path, &admin, json!({"user": {"default_project_id": demo}})).await.is(200);
    cloud.post("/v3/users", &admin, json!({"user": {"name": "x", "domain_id": "absent"}})).await.is(404);
    cloud.delete(&path, &admin).await.is(204);
    assert_eq!(cloud.get(&path, &admin).await.is(404).message(), format!("Could not find user: {id}."));
    cloud.delete(&path, &admin).await.is(404);
}

#[tokio::test]
async fn no_answer_holds_a_hash_or_a_secret() {
    let cloud = Cloud::new().await;
    let (admin, id) = (cloud.admin().await, cloud.user("admin").await);
    let path = format!("/v3/users/{id}/application_credentials");
    let made = cloud.post(&path, &admin, json!({"application_credential": {"name": "ci"}})).await.is(201);
    let secret = made.text("/application_credential/secret");
    let all = ["/v3/users", &path, "/v3/auth/tokens"];
    for path in all.into_iter().chain([format!("/v3/users/{id}").as_str()]) {
        let text = cloud.get(path, &admin).await.body.to_string();
        assert!(!text.contains("argon2") && !text.contains(&secret) && !text.contains("token_floor"), "{path}: {text}");
    }
}

#[tokio::test]
async fn projects_stand_in_a_tree() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let top = cloud.make("project", json!({"name": "top", "description": "d", "colour": "red"})).await;
    let mid = cloud.make("project", json!({"name": "mid", "parent_id": top})).await;
    let low = cloud.make("project", json!({"name": "low", "parent_id": mid, "domain_id": "default"})).await;
    let seen = cloud.get(&format!("/v3/projects/{top}"), &admin).await.is(200).body["project"].clone();
    assert_eq!(
        (&seen["parent_id"], &seen["domain_id"], &seen["is_domain"]),
        (&json!("default"), &json!("default"), &json!(false))
    );
    assert_eq!((&seen["colour"], &seen["tags"], &seen["options"]), (&json!("red"), &json!([]), &json!({})));
    let parents = cloud.get(&format!("/v3/projects/{low}?parents_as_ids"), &admin).await.is(200);
    assert_eq!(parents.body["project"]["parents"], json!({&mid: {&top: {"default": null}}}));
    let subtree = cloud.get(&format!("/v3/projects/{top}?subtree_as_ids"), &admin).await.is(200);
    assert_eq!(subtree.body["project"]["subtree"], json!({&mid: {&low: null}}));
    let list = cloud.get(&format!("/v3/projects/{top}?subtree_as_list"), &admin).await.is(200);
    assert_eq!(list.text("/project/subtree/0/project/name"), "mid");
    cloud.get(&format!("/v3/projects/{top}?subtree_as_list&subtree_as_ids"), &admin).await.is(400);
    assert_eq!(cloud.get(&format!("/v3/projects?parent_id={mid}"), &admin).await.is(200).names("projects"), ["low"]);
    let body = |v: Value| json!({"project": v});
    cloud.post("/v3/projects", &admin, body(json!({"name": "low"}))).await.is(409);
    cloud.post("/v3/projects", &admin, body(json!({"name": "x", "parent_id": "absent"}))).await.is(400);
    cloud.post("/v3/projects", &admin, body(json!({"name": "x", "domain_id": "absent"}))).await.is(400);
    cloud.patch(&format!("/v3/projects/{low}"), &admin, body(json!({"parent_id": top}))).await.is(403);
    cloud.patch(&format!("/v3/projects/{top}"), &admin, body(json!({"enabled": false}))).await.is(403);
    cloud.patch(&format!("/v3/projects/{low}"), &admin, body(json!({"enabled": false}))).await.is(200);
    cloud.post("/v3/projects", &admin, body(json!({"name": "x", "parent_id": low}))).await.is(403);
    cloud.delete(&format!("/v3/projects/{mid}"), &admin).await.is(403);
    for id in [&low, &mid, &top] {
        assert!(cloud.identity.project_exists(id));
        cloud.delete(&format!("/v3/projects/{id}"), &admin).await.is(204);
        assert!(!cloud.identity.project_exists(id));
    }
    // Six levels are too many.
    let mut parent = "default".to_owned();
    for level in 0..5 {
        parent = cloud.make("project", json!({"name": format!("l{level}"), "parent_id": parent})).await;
    }
    cloud.post("/v3/projects", &admin, body(json!({"name": "l5", "parent_id": parent}))).await.is(403);
}

#[tokio::test]
async fn a_deleted_project_leaves_nothing() {
    let cloud = Cloud::new().await;
    let (admin, demo, id) = (cloud.admin().await, cloud.demo().await, cloud.user("demo").await);
    let credentials = format!("/v3/users/{id}/application_credentials");
    cloud.post(&credentials, &demo, json!({"application_credential": {"name": "ci"}})).await.is(201);
    cloud.delete(&format!("/v3/projects/{}", cloud.project("demo")), &admin).await.is(204);
    assert!(!cloud.accepts(&demo).await);
    assert_eq!(cloud.get(&credentials, &admin).await.is(200).body["application_credentials"], json!([]));
    let assigned = cloud.get(&format!("/v3/role_assignments?user.id={id}"), &admin).await.is(200);
    assert_eq!(assigned.body["role_assignments"], json!([]));
    assert_eq!(
        cloud.get(&format!("/v3/users/{id}"), &admin).await.is(200).body["user"].get("default_project_id"),
        None
    );
}

#[tokio::test]
async fn tags() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let id = cloud.make("project", json!({"name": "p", "tags": ["red", "blue"]})).await;
    let path = format!("/v3/projects/{id}/tags");
    assert_eq!(cloud.get(&path, &admin).await.is(200).body["tags"], json!(["blue", "red"]));
    cloud.put(&format!("{path}/green"), &admin).await.is(201);
    cloud.get(&format!("{path}/green"), &admin).await.is(204);
    cloud.delete(&format!("{path}/red"), &admin).await.is(204);
    cloud.get(&format!("{path}/red"), &admin).await.is(404);
    cloud.delete(&format!("{path}/red"), &admin).await.is(404);
    for (query, found) in
        [("tags=blue,green", 1), ("tags=blue,red", 0), ("tags-any=blue,red", 1), ("not-tags-any=green", 2)]
    {
        let list = cloud.get(&format!("/v3/projects?{query}"), &admin).await.is(200);
        assert_eq!(list.body["projects"].as_array().unwrap().len(), found, "{query}");
    }
    cloud.call("PUT", &path, &admin, json!({"tags": ["a,b"]})).await.is(400);
    cloud.call("PUT", &path, &admin, json!({"tags": vec!["x"; 3]})).await.is(200);
    let many: Vec<String> = (0..81).map(|n| n.to_string()).collect();
    cloud.call("PUT", &path, &admin, json!({"tags": many})).await.is(400);
    cloud.delete(&path, &admin).await.is(204);
    assert_eq!(cloud.get(&path, &admin).await.is(200).body["tags"], json!([]));
}

#[tokio::test]
async fn domains() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let id = cloud.make("domain", json!({"name": "east", "description": "d"})).await;
    let path = format!("/v3/domains/{id}");
    assert_eq!(cloud.get("/v3/domains?name=Default", &admin).await.is(200).text("/domains/0/id"), "default");
    cloud.post("/v3/domains", &admin, json!({"domain": {"name": "east"}})).await.is(409);
    assert_eq!(
        cloud.patch(&path, &admin, json!({"domain": {"name": "west"}})).await.is(200).text("/domain/name"),
        "west"
    );
    // A domain is a project, too.
    assert_eq!(
        cloud.get(&format!("/v3/projects/{id}"), &admin).await.is(200).body["project"]["is_domain"],
        json!(true)
    );
    assert_eq!(cloud.get("/v3/projects?is_domain=true", &admin).await.is(200).names("projects"), ["Default", "west"]);
    let made =
        cloud.post("/v3/projects", &admin, json!({"project": {"name": "south", "is_domain": true}})).await.is(201);
    let south = made.text("/project/id");
    cloud.get(&format!("/v3/domains/{south}"), &admin).await.is(200);
    let off =
        cloud.patch(&format!("/v3/projects/{south}"), &admin, json!({"project": {"enabled": false}})).await.is(200);
    assert_eq!(off.body["project"]["is_domain"], json!(true));
    cloud.delete(&format!("/v3/projects/{south}"), &admin).await.is(204);
    cloud.get(&format!("/v3/domains/{south}"), &admin).await.is(404);
    // The same names in another domain are others.
    cloud.make("user", json!({"name": "demo", "domain_id": id, "password": "p"})).await;
    cloud.make("project", json!({"name": "demo", "domain_id": id})).await;
    cloud.delete("/v3/domains/default", &admin).await.is(403);
    cloud.patch("/v3/domains/default", &admin, json!({"domain": {"enabled": false}})).await.is(403);
    cloud.patch(&path, &admin, json!({"domain": {"options": {"immutable": true}}})).await.is(200);
    cloud.patch(&path, &admin, json!({"domain": {"enabled": false}})).await.is(403);
    cloud.patch(&path, &admin, json!({"domain": {"options": {"immutable": false}}})).await.is(200);
    cloud.patch(&path, &admin, json!({"domain": {"enabled": false}})).await.is(200);
    cloud.delete(&path, &admin).await.is(204);
    cloud.token("demo", "demo", project("demo")).await;
}

#[tokio::test]
async fn groups() {
    let cloud = Cloud::new().await;
    let (admin, demo) = (cloud.admin().await, cloud.user("demo").await);
    let id = cloud.make("group", json!({"name": "ops", "description": "d"})).await;
    let path = format!("/v3/groups/{id}");
    cloud.post("/v3/groups", &admin, json!({"group": {"name": "ops"}})).await.is(409);
    assert_eq!(cloud.patch(&path, &admin, json!({"group": {"name": "dev"}})).await.is(200).text("/group/name"), "dev");
    cloud.get(&format!("{path}/users/{demo}"), &admin).await.is(404);
    cloud.put(&format!("{path}/users/{demo}"), &admin).await.is(204);
    cloud.call("HEAD", &format!("{path}/users/{demo}"), &admin, Value::Null).await.is(204);
    cloud.put(&format!("{path}/users/absent"), &admin).await.is(404);
    assert_eq!(cloud.get(&format!("{path}/users"), &admin).await.is(200).names("users"), ["demo"]);
    let token = cloud.demo().await;
    assert_eq!(cloud.get(&format!("/v3/users/{demo}/groups"), &token).await.is(200).names("groups"), ["dev"]);
    cloud.delete(&format!("{path}/users/{demo}"), &admin).await.is(204);
    cloud.delete(&format!("{path}/users/{demo}"), &admin).await.is(404);
    cloud.put(&format!("{path}/users/{demo}"), &admin).await.is(204);
    cloud.delete(&path, &admin).await.is(204);
    assert_eq!(cloud.get(&format!("/v3/users/{demo}/groups"), &admin).await.is(200).body["groups"], json!([]));
}

#[tokio::test]
async fn the_catalogue_grows_by_services_from_elsewhere() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let built_in = cloud.get("/v3/services?type=compute", &admin).await.is(200).text("/services/0/id");
    cloud.delete(&format!("/v3/services/{built_in}"), &admin).await.is(403);
    let service = cloud.make("service", json!({"type": "volumev3", "name": "cinder"})).await;
    cloud.post("/v3/services", &admin, json!({"service": {"name": "x"}})).await.is(400);
    let region = cloud.make("region", json!({"id": "north"})).await;
    let endpoint = |region: &str, interface: &str| json!({"service_id": service, "interface": interface, "region_id": region, "url": "http://c/v3/$(project_id)s"});
    cloud.post("/v3/endpoints", &admin, json!({"endpoint": endpoint("absent", "public")})).await.is(400);
    cloud.post("/v3/endpoints", &admin, json!({"endpoint": endpoint("north", "outer")})).await.is(400);
    let id = cloud.make("endpoint", endpoint("north", "public")).await;
    let entry =
        |body: Value| body["token"]["catalog"].as_array().unwrap().iter().find(|s| s["type"] == "volumev3").cloned();
    let token = cloud.login("demo", "demo", project("demo")).await.is(201).body;
    let url = format!("http://c/v3/{}", cloud.project("demo"));
    assert_eq!(entry(token).unwrap()["endpoints"][0]["url"], json!(url));
    let system = cloud.login("admin", "secret", json!({"system": {"all": true}})).await.is(201).body;
    assert_eq!(entry(system).unwrap()["endpoints"], json!([]));
    cloud.patch(&format!("/v3/endpoints/{id}"), &admin, json!({"endpoint": {"enabled": false}})).await.is(200);
    assert_eq!(
        cloud.get(&format!("/v3/endpoints/{id}"), &admin).await.is(200).body["endpoint"]["enabled"],
        json!(false)
    );
    cloud.delete(&format!("/v3/regions/{region}"), &admin).await.is(403);
    let list = cloud.get(&format!("/v3/endpoints?service_id={service}"), &admin).await.is(200);
    assert_eq!(list.body["endpoints"].as_array().unwrap().len(), 1);
    cloud.delete(&format!("/v3/services/{service}"), &admin).await.is(204);
    cloud.get(&format!("/v3/endpoints/{id}"), &admin).await.is(404);
    cloud.post("/v3/regions", &admin, json!({"region": {"id": "north"}})).await.is(409);
    cloud.call("PUT", "/v3/regions/east", &admin, json!({"region": {"description": "d"}})).await.is(201);
    cloud.call("PUT", "/v3/regions/east", &admin, json!({"region": {"id": "west"}})).await.is(400);
    // By its old name a region is made together with the endpoint.
    let compute = json!({"service_id": built_in, "interface": "public", "region": "old", "url": "http://o"});
    cloud.make("endpoint", compute).await;
    cloud.get("/v3/regions/old", &admin).await.is(200);
    cloud.make("region", json!({"id": "pole", "parent_region_id": "north"})).await;
    cloud.patch("/v3/regions/north", &admin, json!({"region": {"parent_region_id": "pole"}})).await.is(400);
    cloud.delete("/v3/regions/north", &admin).await.is(403);
    let demo = cloud.demo().await;
    assert_eq!(cloud.get("/v3/regions?parent_region_id=north", &demo).await.is(200).text("/regions/0/id"), "pole");
}

#[tokio::test]
async fn lists_come_in_pages_where_asked_for() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    for n in 0..5 {
        cloud.make("role", json!({"name": format!("r{n}")})).await;
    }
    let (mut path, mut seen, mut pages) = ("/v3/roles?limit=4".to_owned(), Vec::new(), 0);
    loop {
        let page = cloud.get(&path, &admin).await.is(200);
        pages += 1;
        seen.extend(page.names("roles"));
        let Some(next) = page.body["links"]["next"].as_str() else { break };
        path = next.strip_prefix("http://cloud:8774/identity").unwrap().to_owned();
    }
    seen.sort();
    assert_eq!((pages, seen.len()), (3, 10));
    seen.dedup();
    assert_eq!(seen.len(), 10);
    cloud.get("/v3/roles?marker=absent", &admin).await.is(400);
    cloud.get("/v3/roles?limit=-1", &admin).await.is(400);
}
