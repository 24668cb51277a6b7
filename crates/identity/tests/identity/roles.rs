//! Roles, what they imply, and where they are held: direct, by group, by inheritance.

use crate::harness::{Cloud, project};
use serde_json::{Value, json};
use web::Authenticate;

fn held(cloud: &Cloud, token: &str) -> Vec<String> {
    cloud.identity.authenticate(token, "req").unwrap().roles.into_iter().collect()
}

#[tokio::test]
async fn roles_and_rules() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let (a, b) = (cloud.make("role", json!({"name": "Audit"})).await, cloud.make("role", json!({"name": "b"})).await);
    cloud.post("/v3/roles", &admin, json!({"role": {"name": "b"}})).await.is(409);
    cloud.patch(&format!("/v3/roles/{b}"), &admin, json!({"role": {"name": "bee", "description": "d"}})).await.is(200);
    let rule = format!("/v3/roles/{a}/implies/{b}");
    cloud.get(&rule, &admin).await.is(404);
    let made = cloud.put(&rule, &admin).await.is(201);
    assert_eq!(made.text("/role_inference/implies/name"), "bee");
    cloud.call("HEAD", &rule, &admin, Value::Null).await.is(204);
    // A circle is allowed, as in the original, and comes to an end.
    cloud.put(&format!("/v3/roles/{b}/implies/{a}"), &admin).await.is(201);
    let top = cloud.role("admin").await;
    cloud.put(&format!("/v3/roles/{a}/implies/{top}"), &admin).await.is(403);
    cloud.delete(&format!("/v3/roles/{top}"), &admin).await.is(403);
    let all = cloud.get("/v3/role_inferences", &admin).await.is(200);
    assert_eq!(all.body["role_inferences"].as_array().unwrap().len(), 5);
    assert_eq!(
        cloud.get(&format!("/v3/roles/{a}/implies"), &admin).await.is(200).text("/role_inference/implies/0/id"),
        b
    );
    let demo = cloud.user("demo").await;
    cloud.put(&format!("/v3/projects/{}/users/{demo}/roles/{a}", cloud.project("demo")), &admin).await.is(204);
    assert_eq!(held(&cloud, &cloud.demo().await), ["audit", "bee", "member", "reader"]);
    cloud.delete(&rule, &admin).await.is(204);
    cloud.delete(&rule, &admin).await.is(404);
    let token = cloud.demo().await;
    assert_eq!(held(&cloud, &token), ["audit", "member", "reader"]);
    cloud.delete(&format!("/v3/roles/{a}"), &admin).await.is(204);
    assert_eq!(held(&cloud, &token), ["member", "reader"]);
}

#[tokio::test]
async fn a_domains_own_role_only_implies() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let (own, reader) =
        (cloud.make("role", json!({"name": "own", "domain_id": "default"})).await, cloud.role("reader").await);
    assert_eq!(cloud.get("/v3/roles?domain_id=default", &admin).await.is(200).names("roles"), ["own"]);
    assert!(!cloud.get("/v3/roles", &admin).await.is(200).names("roles").contains(&"own".to_owned()));
    cloud.put(&format!("/v3/roles/{own}/implies/{reader}"), &admin).await.is(201);
    cloud.put(&format!("/v3/roles/{reader}/implies/{own}"), &admin).await.is(403);
    let ann = cloud.make("user", json!({"name": "ann", "password": "p"})).await;
    cloud.put(&format!("/v3/projects/{}/users/{ann}/roles/{own}", cloud.project("demo")), &admin).await.is(204);
    assert_eq!(held(&cloud, &cloud.token("ann", "p", project("demo")).await), ["reader"]);
    let other = cloud.make("domain", json!({"name": "other"})).await;
    cloud.put(&format!("/v3/domains/{other}/users/{ann}/roles/{own}"), &admin).await.is(403);
}

#[tokio::test]
async fn grants_on_every_kind_of_place() {
    let cloud = Cloud::new().await;
    let (admin, demo, reader) = (cloud.admin().await, cloud.user("demo").await, cloud.role("reader").await);
    let group = cloud.make("group", json!({"name": "g"})).await;
    let p = cloud.project("admin");
    let places = [
        (format!("/v3/projects/{p}"), ""),
        ("/v3/domains/default".to_owned(), ""),
        ("/v3/system".to_owned(), ""),
        (format!("/v3/OS-INHERIT/projects/{p}"), "/inherited_to_projects"),
        ("/v3/OS-INHERIT/domains/default".to_owned(), "/inherited_to_projects"),
    ];
    for (place, end) in &places {
        for actor in [format!("users/{demo}"), format!("groups/{group}")] {
            let (all, one) = (format!("{place}/{actor}/roles{end}"), format!("{place}/{actor}/roles/{reader}{end}"));
            cloud.get(&one, &admin).await.is(404);
            cloud.put(&one, &admin).await.is(204);
            let before = cloud.store.commits();
            cloud.put(&one, &admin).await.is(204);
            assert_eq!(cloud.store.commits(), before);
            cloud.call("HEAD", &one, &admin, Value::Null).await.is(204);
            assert_eq!(cloud.get(&all, &admin).await.is(200).names("roles"), ["reader"], "{all}");
            cloud.delete(&one, &admin).await.is(204);
            let gone = cloud.delete(&one, &admin).await.is(404);
            assert!(gone.message().starts_with("Could not find role assignment"), "{}", gone.message());
            cloud.put(&one.replace(&reader, "absent"), &admin).await.is(404);
            let nobody = one.replace(&demo, "absent").replace(&group, "absent");
            cloud.put(&nobody, &admin).await.is(404);
        }
    }
    cloud.put(&format!("/v3/projects/absent/users/{demo}/roles/{reader}"), &admin).await.is(404);
}

#[tokio::test]
async fn groups_and_inheritance_give_roles() {
    let cloud = Cloud::new().await;
    let admin = cloud.admin().await;
    let ann = cloud.make("user", json!({"name": "ann", "password": "p"})).await;
    let group = cloud.make("group", json!({"name": "g"})).await;
    let top = cloud.make("project", json!({"name": "top"})).await;
    cloud.make("project", json!({"name": "low", "parent_id": top})).await;
    cloud.grant("projects", &format!("{top}/groups/{group}"), "reader").await;
    cloud.login("ann", "p", project("top")).await.is(401);
    cloud.put(&format!("/v3/groups/{group}/users/{ann}"), &admin).await.is(204);
    assert_eq!(held(&cloud, &cloud.token("ann", "p", project("top")).await), ["reader"]);
    // Not below, until inherited; and inherited not at the place itself.
    cloud.login("ann", "p", project("low")).await.is(401);
    let member = cloud.role("member").await;
    cloud
        .put(&format!("/v3/OS-INHERIT/projects/{top}/users/{ann}/roles/{member}/inherited_to_projects"), &admin)
        .await
        .is(204);
    assert_eq!(held(&cloud, &cloud.token("ann", "p", project("low")).await), ["member", "reader"]);
    assert_eq!(held(&cloud, &cloud.token("ann", "p", project("top")).await), ["reader"]);
    assert_eq!(cloud.get(&format!("/v3/users/{ann}/projects"), &admin).await.is(200).names("projects"), ["low", "top"]);
    let domain = format!("/v3/OS-INHERIT/domains/default/users/{ann}/roles/{member}/inherited_to_projects");
    cloud.put(&domain, &admin).await.is(204);
    assert_eq!(held(&cloud, &cloud.token("ann", "p", project("admin")).await), ["member", "reader"]);
    let token = cloud.token("ann", "p", project("top")).await;
    cloud.delete(&format!("/v3/groups/{group}/users/{ann}"), &admin).await.is(204);
    cloud.delete(&domain, &admin).await.is(204);
    assert!(!cloud.accepts(&token).await);
}

#[tokio::test]
async fn listing_assignments() {
    let cloud = Cloud::new().await;
    let (admin, demo) = (cloud.admin().await, cloud.user("demo").await);
    let group = cloud.make("group", json!({"name": "g"})).await;
    cloud.put(&format!("/v3/groups/{group}/users/{demo}"), &admin).await.is(204);
    cloud.grant("domains/default", &format!("groups/{group}"), "service").await;
    let list = |query: String| {
        let (cloud, admin) = (&cloud, &admin);
        async move {
            let answer = cloud.get(&format!("/v3/role_assignments?{query}"), admin).await.is(200);
            answer.body["role_assignments"].as_array().unwrap().clone()
        }
    };
    let mine = list(format!("user.id={demo}&include_names=true")).await;
    assert_eq!(mine.len(), 1);
    assert_eq!(mine[0]["scope"]["project"]["name"], "demo");
    assert_eq!(mine[0]["user"]["domain"], json!({"id": "default", "name": "Default"}));
    assert_eq!(mine[0]["role"]["name"], "member");
    let link = mine[0]["links"]["assignment"].as_str().unwrap();
    cloud.get(link.strip_prefix("http://cloud:8774/identity").unwrap(), &admin).await.is(204);
    let effective = list(format!("user.id={demo}&effective")).await;
    assert_eq!(effective.len(), 3, "{effective:?}");
    assert!(effective.iter().any(|a| a["links"].get("prior_role").is_some()));
    assert!(effective.iter().any(|a| a["links"].get("membership").is_some()));
    assert_eq!(list("scope.system=all".into()).await.len(), 1);
    assert_eq!(list(format!("group.id={group}")).await.len(), 1);
    assert_eq!(list("scope.domain.id=default".into()).await.len(), 2);
    assert_eq!(list(format!("role.id={}", cloud.role("member").await)).await.len(), 1);
    assert_eq!(list(format!("scope.project.id={}&include_subtree=true", cloud.project("demo"))).await.len(), 1);
    assert_eq!(list("scope.OS-INHERIT:inherited_to=projects".into()).await.len(), 0);
    for query in
        ["user.id=a&group.id=b", "effective&group.id=b", "scope.system=all&scope.domain.id=x", "include_subtree"]
    {
        cloud.get(&format!("/v3/role_assignments?{query}"), &admin).await.is(400);
    }
}
