//! The Placement API through its router.
#![allow(clippy::unwrap_used)]

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::middleware::from_fn_with_state;
use http_body_util::BodyExt;
use model::{Clock, Context, Env, Random, Scope};
use placement::{Placement, RequestSpec};
use serde_json::{Value, json};
use std::sync::Arc;
use store::{SqliteMode, Store};
use tower::ServiceExt;
use uuid::Uuid;
use web::{AuthState, Authenticate, TokenFault, authenticate_layer};

struct Words;

impl Authenticate for Words {
    fn authenticate(&self, token: &str, _: &str) -> Result<Context, TokenFault> {
        let roles: &[&str] = if token == "admin" { &["admin", "member", "reader"] } else { &["member", "reader"] };
        let (id, name, domain_id) = (token.to_owned(), token.to_owned(), "default".to_owned());
        Ok(Context {
            user_id: token.into(),
            user_name: token.into(),
            user_domain_id: "default".into(),
            scope: Scope::Project { id, name, domain_id },
            roles: roles.iter().map(|r| (*r).to_owned()).collect(),
            request_id: "req-1".into(),
            global_request_id: None,
        })
    }
}

struct Cloud {
    placement: Placement,
    router: Router,
}

fn cloud() -> Cloud {
    let env = Env { clock: Clock::system(), random: Random::seeded(3) };
    let placement = Placement::new(Store::open_memory(SqliteMode::Inline).unwrap(), env);
    let auth = authenticate_layer(Arc::new(Words), Random::seeded(1));
    let router = placement::http::router(placement.clone()).layer(from_fn_with_state(auth, AuthState::run));
    Cloud { placement, router }
}

impl Cloud {
    async fn at(&self, version: &str, who: &str, method: &str, path: &str, body: Value) -> (StatusCode, HeaderMap, Value) {
        let mut r = Request::builder().method(method).uri(path).header("x-auth-token", who);
        if !version.is_empty() {
            r = r.header("openstack-api-version", format!("placement {version}"));
        }
        let body = if body.is_null() {
            Body::empty()
        } else {
            r = r.header("content-type", "application/json");
            Body::from(body.to_string())
        };
        let response = self.router.clone().oneshot(r.body(body).unwrap()).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
    }
    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let (status, _, body) = self.at("1.39", "admin", method, path, body).await;
        (status.as_u16(), body)
    }
    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }
    /// A provider with 4 CPUs and 1024 MiB.
    async fn host(&self, name: &str) -> String {
        let (status, made) = self.call("POST", "/resource_providers", json!({"name": name})).await;
        assert_eq!(status, 200, "{made}");
        let id = made["uuid"].as_str().unwrap().to_owned();
        let all = json!({"resource_provider_generation": 0, "inventories": {
            "VCPU": {"total": 2, "allocation_ratio": 2.0}, "MEMORY_MB": {"total": 1024}}});
        let (status, body) = self.call("PUT", &format!("/resource_providers/{id}/inventories"), all).await;
        assert_eq!((status, body["resource_provider_generation"].as_i64()), (200, Some(1)), "{body}");
        id
    }
}

fn held(provider: &str, cpus: i64, generation: Value) -> Value {
    json!({"allocations": {provider: {"resources": {"VCPU": cpus}}}, "project_id": "p1", "user_id": "u1",
           "consumer_generation": generation, "consumer_type": "INSTANCE"})
}

#[tokio::test]
async fn versions_are_negotiated_and_tenants_kept_out() {
    let c = cloud();
    assert!(placement::http::route_infos().len() > 30);
    let (status, headers, body) = c.at("", "p1", "GET", "/", Value::Null).await;
    assert_eq!((status.as_u16(), body["versions"][0]["max_version"].as_str()), (200, Some("1.39")));
    assert_eq!(headers["openstack-api-version"], "placement 1.0");
    let (status, _, body) = c.at("1.40", "admin", "GET", "/resource_providers", Value::Null).await;
    assert_eq!((status.as_u16(), body["errors"][0]["max_version"].as_str()), (406, Some("1.39")));
    assert_eq!(c.at("one", "admin", "GET", "/resource_providers", Value::Null).await.0, 400);
    assert_eq!(c.at("1.39", "p1", "GET", "/resource_providers", Value::Null).await.0, 403);
    assert_eq!(c.at("1.39", "p1", "GET", "/usages?project_id=p1", Value::Null).await.0, 200);
    assert_eq!(c.at("1.39", "p1", "GET", "/usages?project_id=p2", Value::Null).await.0, 403);
    assert_eq!(c.at("1.5", "admin", "GET", "/traits", Value::Null).await.0, 404, "traits came with 1.6");
    assert_eq!(c.call("POST", "/reshaper", json!({})).await.0, 501);
    assert_eq!(c.call("GET", "/allocation_candidates?resources1=VCPU:1", Value::Null).await.0, 501);
}

#[tokio::test]
async fn providers_and_their_trees() {
    let c = cloud();
    let root = c.host("root").await;
    assert_eq!(c.call("POST", "/resource_providers", json!({"name": "root"})).await.0, 409);
    let child = json!({"name": "child", "parent_provider_uuid": root});
    let child = c.call("POST", "/resource_providers", child).await.1["uuid"].as_str().unwrap().to_owned();
    let shown = c.get(&format!("/resource_providers/{child}")).await;
    assert_eq!(shown["root_provider_uuid"], json!(root));
    let tree = c.get(&format!("/resource_providers?in_tree={child}")).await;
    assert_eq!(tree["resource_providers"].as_array().unwrap().len(), 2);
    let loops = json!({"name": "root", "parent_provider_uuid": child});
    assert_eq!(c.call("PUT", &format!("/resource_providers/{root}"), loops).await.0, 400);
    let (status, body) = c.call("DELETE", &format!("/resource_providers/{root}"), Value::Null).await;
    assert_eq!((status, body["errors"][0]["code"].as_str()), (409, Some("placement.resource_provider.cannot_delete_parent")));
    let free = json!({"name": "child", "parent_provider_uuid": null});
    assert_eq!(c.call("PUT", &format!("/resource_providers/{child}"), free).await.0, 200);
    assert_eq!(c.call("DELETE", &format!("/resource_providers/{child}"), Value::Null).await.0, 204);
    assert_eq!(c.get("/resource_providers").await["resource_providers"].as_array().unwrap().len(), 1);
    for bad in ["?name2=x", "?uuid=x", "?resources=VCPU", "?resources=VCPU:0", "?resources=COWS:1", "?required=NOPE", "?member_of=x"] {
        assert_eq!(c.call("GET", &format!("/resource_providers{bad}"), Value::Null).await.0, 400, "{bad}");
    }
    for bad in [json!({}), json!({"name": ""}), json!({"name": "x", "uuid": "y"}), json!({"name": "x", "more": 1}), json!([])] {
        assert_eq!(c.call("POST", "/resource_providers", bad.clone()).await.0, 400, "{bad}");
    }
}

#[tokio::test]
async fn writers_must_have_seen_the_generation() {
    let c = cloud();
    let id = c.host("h1").await;
    let path = format!("/resource_providers/{id}/inventories");
    let stale = json!({"resource_provider_generation": 0, "inventories": {}});
    let (status, body) = c.call("PUT", &path, stale).await;
    assert_eq!((status, body["errors"][0]["code"].as_str()), (409, Some("placement.concurrent_update")));
    for (class, inventory) in [
        ("VCPU", json!({"total": 0})),
        ("VCPU", json!({"total": 1, "reserved": 2})),
        ("VCPU", json!({"total": 1, "allocation_ratio": -1.0})),
        ("VCPU", json!({"total": 2_147_483_648i64})),
        ("COWS", json!({"total": 1})),
    ] {
        let body = json!({"resource_provider_generation": 1, "inventories": {class: inventory}});
        assert_eq!(c.call("PUT", &path, body.clone()).await.0, 400, "{body}");
    }
    assert_eq!(c.get(&path).await["inventories"].as_object().unwrap().len(), 2, "nothing half-done");
    let traits = format!("/resource_providers/{id}/traits");
    let body = json!({"resource_provider_generation": 1, "traits": ["HW_CPU_X86_AVX2"]});
    assert_eq!(c.call("PUT", &traits, body.clone()).await.1["resource_provider_generation"], 2);
    assert_eq!(c.call("PUT", &traits, body).await.0, 409);
    let unknown = json!({"resource_provider_generation": 2, "traits": ["CUSTOM_NEW"]});
    assert_eq!(c.call("PUT", &traits, unknown.clone()).await.0, 400);
    assert_eq!(c.call("PUT", "/traits/CUSTOM_NEW", Value::Null).await.0, 201);
    assert_eq!(c.call("PUT", "/traits/custom_bad", Value::Null).await.0, 400);
    assert_eq!(c.call("PUT", &traits, unknown).await.0, 200);
    assert_eq!(c.call("DELETE", "/traits/CUSTOM_NEW", Value::Null).await.0, 409);
    let found = c.get("/resource_providers?required=CUSTOM_NEW,!HW_CPU_X86_AVX2").await;
    assert_eq!(found["resource_providers"].as_array().unwrap().len(), 1);
    let aggregate = Uuid::from_u128(9);
    let body = json!({"resource_provider_generation": 3, "aggregates": [aggregate]});
    assert_eq!(c.call("PUT", &format!("/resource_providers/{id}/aggregates"), body).await.0, 200);
    let found = c.get(&format!("/resource_providers?member_of=in:{aggregate},{}", Uuid::from_u128(8))).await;
    assert_eq!(found["resource_providers"].as_array().unwrap().len(), 1);
    assert_eq!(c.get(&format!("/resource_providers?member_of=!{aggregate}")).await["resource_providers"], json!([]));
}

#[tokio::test]
async fn allocations_never_exceed_what_is_there() {
    let c = cloud();
    let (a, b) = (c.host("a").await, c.host("b").await);
    let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let path = |id: Uuid| format!("/allocations/{id}");
    assert_eq!(c.call("PUT", &path(one), held(&a, 3, Value::Null)).await.0, 204);
    let (status, body) = c.call("PUT", &path(two), held(&a, 2, Value::Null)).await;
    assert_eq!(status, 409, "{body}");
    assert_eq!(c.get(&path(two)).await, json!({"allocations": {}}), "nothing of it stays");
    let (status, body) = c.call("PUT", &path(one), held(&b, 3, Value::Null)).await;
    assert_eq!((status, body["errors"][0]["code"].as_str()), (409, Some("placement.concurrent_update")), "it is not new");
    let seen = c.get(&path(one)).await;
    assert_eq!((seen["consumer_generation"].as_i64(), seen["consumer_type"].as_str()), (Some(1), Some("INSTANCE")));
    let usages = c.get(&format!("/resource_providers/{a}/usages")).await;
    assert_eq!(usages["usages"], json!({"VCPU": 3, "MEMORY_MB": 0}));
    assert_eq!(c.get("/usages?project_id=p1").await["usages"]["INSTANCE"], json!({"consumer_count": 1, "VCPU": 3}));
    // What is used stays: neither inventory nor provider go.
    let (status, body) = c.call("DELETE", &format!("/resource_providers/{a}/inventories/VCPU"), Value::Null).await;
    assert_eq!((status, body["errors"][0]["code"].as_str()), (409, Some("placement.inventory.inuse")));
    assert_eq!(c.call("DELETE", &format!("/resource_providers/{a}"), Value::Null).await.0, 409);
    // A move of both at once: each takes the other's place.
    assert_eq!(c.call("PUT", &path(two), held(&b, 4, Value::Null)).await.0, 204);
    let swap = json!({one.to_string(): held(&b, 4, json!(1)), two.to_string(): held(&a, 4, json!(1))});
    assert_eq!(c.call("POST", "/allocations", swap).await.0, 204);
    assert_eq!(c.get(&format!("/resource_providers/{b}/allocations")).await["allocations"][one.to_string()]["resources"]["VCPU"], 4);
    for bad in [held(&a, 0, json!(2)), held("x", 1, json!(2)), held(&Uuid::from_u128(77).to_string(), 1, json!(2)), json!({})] {
        assert_eq!(c.call("PUT", &path(one), bad.clone()).await.0, 400, "{bad}");
    }
    assert_eq!(c.call("DELETE", &path(one), Value::Null).await.0, 204);
    assert_eq!(c.call("DELETE", &path(one), Value::Null).await.0, 404);
}

#[tokio::test]
async fn candidates_come_from_memory_that_follows_every_change() {
    let c = cloud();
    let (a, b) = (c.host("a").await, c.host("b").await);
    let path = "/allocation_candidates?resources=VCPU:2,MEMORY_MB:512";
    let all = c.get(path).await;
    assert_eq!(all["allocation_requests"].as_array().unwrap().len(), 2);
    assert_eq!(all["provider_summaries"][&a]["resources"]["VCPU"], json!({"capacity": 4, "used": 0}));
    assert_eq!(c.get(&format!("{path}&limit=1")).await["allocation_requests"].as_array().unwrap().len(), 1);
    assert_eq!(c.call("PUT", &format!("/allocations/{}", Uuid::from_u128(1)), held(&a, 3, Value::Null)).await.0, 204);
    let left = c.get(path).await;
    assert_eq!(left["allocation_requests"][0]["mappings"], json!({"": [b]}));
    assert_eq!(left["allocation_requests"].as_array().unwrap().len(), 1);
    for bad in ["", "?resources=", "?resources=COWS:1", "?resources=VCPU:1&limit=0", "?resources=VCPU:1&name=x"] {
        assert_eq!(c.call("GET", &format!("/allocation_candidates{bad}"), Value::Null).await.0, 400, "{bad}");
    }
    let (_, _, old) = c.at("1.10", "admin", "GET", path, Value::Null).await;
    assert_eq!(old["allocation_requests"][0]["allocations"][0]["resource_provider"]["uuid"], json!(b));
    // Providers that no host registered are no place for servers.
    let spec = RequestSpec::new([("VCPU".to_owned(), 1)].into());
    assert_eq!(c.placement.rank(&spec).considered, 0);
}
