//! Guessing: what it costs the address that guesses, and the account that is guessed at.

use crate::harness::{Cloud, cheap};
use identity::{Hashing, Options};
use serde_json::{Value, json};
use std::time::Duration;
use store::{SqliteMode, Store};

async fn cloud(options: Options) -> Cloud {
    Cloud::with(Store::open_memory(SqliteMode::Inline).unwrap(), options).await
}

#[tokio::test(start_paused = true)]
async fn an_account_is_closed_after_failures_and_opens_by_itself() {
    let c = cloud(Options { lockout_failure_attempts: 3, lockout_duration: 600, ..cheap() }).await;
    let right = || c.login("demo", "demo", Value::Null);
    for _ in 0..2 {
        c.login("demo", "wrong", Value::Null).await.is(401);
    }
    // The right one in between makes good what was wrong before.
    right().await.is(201);
    let mut said = String::new();
    for _ in 0..3 {
        said = c.login("demo", "wrong", Value::Null).await.is(401).message().to_owned();
    }
    let closed = right().await.is(401);
    assert_eq!(closed.message(), said, "nobody learns that it is closed");
    // Others are not, and attempts meanwhile do not keep it closed for longer.
    c.login("admin", "secret", Value::Null).await.is(201);
    tokio::time::advance(Duration::from_secs(599)).await;
    right().await.is(401);
    tokio::time::advance(Duration::from_secs(2)).await;
    right().await.is(201);
    // It begins anew.
    c.login("demo", "wrong", Value::Null).await.is(401);
    right().await.is(201);
}

#[tokio::test(start_paused = true)]
async fn a_new_password_opens_an_account_and_changing_it_is_a_guess_too() {
    let c = cloud(Options { lockout_failure_attempts: 2, ..cheap() }).await;
    let (admin, id) = (c.admin().await, c.user("demo").await);
    for _ in 0..2 {
        let body = json!({"user": {"original_password": "wrong", "password": "mine"}});
        c.post(&format!("/v3/users/{id}/password"), "", body).await.is(401);
    }
    c.login("demo", "demo", Value::Null).await.is(401);
    c.patch(&format!("/v3/users/{id}"), &admin, json!({"user": {"password": "new"}})).await.is(200);
    c.login("demo", "new", Value::Null).await.is(201);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_guesses_is_told_when_to_come_again_and_no_other_is() {
    let c = cloud(Options { failed_logins: 4, ..cheap() }).await;
    c.login_from("10.0.0.1", "demo", "demo").await.is(201);
    for user in ["demo", "nobody", "admin", "demo"] {
        c.login_from("10.0.0.1", user, "wrong").await.is(401);
    }
    let answer = c.login_from("10.0.0.1", "admin", "secret").await.is(429);
    assert_eq!(answer.headers["retry-after"], "15");
    assert!(answer.message().contains("15 seconds"), "{}", answer.body);
    // Who logged in a moment ago goes on, even there; and others elsewhere.
    c.login_from("10.0.0.1", "demo", "demo").await.is(201);
    c.login_from("10.0.0.2", "admin", "secret").await.is(201);
    tokio::time::advance(Duration::from_secs(15)).await;
    c.login_from("10.0.0.1", "admin", "secret").await.is(201);
}

#[tokio::test]
async fn guesses_at_once_do_not_pass_together() {
    let hashing = Hashing { parallel: 1, ..cheap().hashing };
    let c = cloud(Options { failed_logins: 8, hashing, ..cheap() }).await;
    let all = futures_util::future::join_all((0..64).map(|_| c.login_from("10.0.0.1", "demo", "wrong"))).await;
    let count = |status: u16| all.iter().filter(|a| a.status == status).count();
    assert_eq!((count(401), count(429)), (8, 56));
}
