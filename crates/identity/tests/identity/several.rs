//! Several at once: clients on one controller, controllers on one database, clients that go away.

use crate::harness::{Cloud, cheap, env, project};
use futures_util::future::join_all;
use identity::Identity;
use model::Secret;
use serde_json::{Value, json};
use store::testing::engines;
use web::{Authenticate, TokenFault};

#[tokio::test]
async fn one_of_many_gets_the_name() {
    for engine in engines() {
        let cloud = Cloud::on(engine.store.clone()).await;
        let admin = cloud.admin().await;
        let made =
            join_all((0..20).map(|_| cloud.post("/v3/projects", &admin, json!({"project": {"name": "one"}})))).await;
        let mut codes: Vec<u16> = made.iter().map(|a| a.status.as_u16()).collect();
        codes.sort_unstable();
        assert_eq!(codes[0], 201, "{}", engine.name);
        assert!(codes[1..].iter().all(|c| *c == 409), "{}: {codes:?}", engine.name);
    }
}

#[tokio::test]
async fn two_controllers_agree_through_the_database() {
    for engine in engines() {
        let first = Cloud::on(engine.store.clone()).await;
        let second = Cloud::on(engine.store.clone()).await;
        let (admin, demo) = (first.admin().await, first.user("demo").await);
        // Keys and users are the same: what one issues the other takes.
        assert!(second.accepts(&admin).await, "{}", engine.name);
        let token = second.demo().await;
        first.patch(&format!("/v3/users/{demo}"), &admin, json!({"user": {"enabled": false}})).await.is(200);
        // The other learns of it when it looks, or when it next writes.
        assert!(second.identity.refresh().await.unwrap());
        assert!(!second.identity.refresh().await.unwrap());
        assert_eq!(second.identity.authenticate(&token, "req"), Err(TokenFault::Invalid), "{}", engine.name);
        first.make("user", json!({"name": "ann"})).await;
        let taken = second.post("/v3/users", &admin, json!({"user": {"name": "ann"}})).await;
        assert_eq!(taken.status.as_u16(), 409, "{}", engine.name);
        second.make("user", json!({"name": "bea"})).await;
        first.make("user", json!({"name": "cid"})).await;
        let all = first.get("/v3/users", &admin).await.is(200).names("users");
        assert_eq!(all, ["admin", "ann", "bea", "cid", "demo"], "{}", engine.name);
    }
}

#[tokio::test]
async fn both_write_at_once_and_nothing_is_lost() {
    for engine in engines() {
        let (first, second) = (Cloud::on(engine.store.clone()).await, Cloud::on(engine.store.clone()).await);
        let admin = first.admin().await;
        let make = |n: usize| {
            let cloud = if n.is_multiple_of(2) { &first } else { &second };
            cloud.post("/v3/roles", &admin, json!({"role": {"name": format!("r{n}")}}))
        };
        let made = join_all((0..16).map(make)).await;
        let done = made.iter().filter(|a| a.status.as_u16() == 201).count();
        // Whoever lost every race was told so; what was acknowledged is there, on both.
        assert!(made.iter().all(|a| [201, 503].contains(&a.status.as_u16())), "{}", engine.name);
        for cloud in [&first, &second] {
            cloud.identity.refresh().await.unwrap();
            let names = cloud.get("/v3/roles", &admin).await.is(200).names("roles");
            assert_eq!(names.len(), 5 + done, "{}", engine.name);
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_memory_as_the_disk() {
    for engine in engines() {
        let cloud = Cloud::on(engine.store.clone()).await;
        let admin = cloud.admin().await;
        for n in 0..5 {
            let body = json!({"role": {"name": format!("r{n}")}});
            let call = cloud.post("/v3/roles", &admin, body);
            tokio::select! {
                biased;
                () = yields(n) => {}
                _ = call => {}
            }
        }
        // The next change waits for those that go on.
        cloud.make("role", json!({"name": "last"})).await;
        assert!(!cloud.identity.refresh().await.unwrap(), "{}: memory is behind", engine.name);
        let names = cloud.get("/v3/roles", &admin).await.is(200).names("roles");
        let stored = engine.store.read(store::identity::load).await.unwrap().1;
        let stored = stored.iter().filter(|c| matches!(c, model::identity::Change::PutRole(_))).count();
        assert_eq!(names.len(), stored, "{}", engine.name);
    }
}

/// Gives way that often, then ends.
async fn yields(times: usize) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_second_start_changes_nothing() {
    for engine in engines() {
        let cloud = Cloud::on(engine.store.clone()).await;
        let (admin, id) = (cloud.admin().await, cloud.user("admin").await);
        cloud.patch(&format!("/v3/users/{id}"), &admin, json!({"user": {"password": "mine"}})).await.is(200);
        let commits = engine.store.commits();
        let again = Identity::new(engine.store.clone(), env(), cheap()).await.unwrap();
        let seed = again.bootstrap(&Secret::new("secret".into())).await.unwrap();
        assert_eq!((seed.user_id, engine.store.commits()), (id, commits), "{}", engine.name);
        cloud.token("admin", "mine", project("admin")).await;
        cloud.login("admin", "secret", Value::Null).await.is(401);
    }
}
