//! What is secret is in no log, at no level, whether things go well or not.

use api_conformance::{Logs, Shape, TestCluster};
use axum::http::Method;
use base64::Engine;
use driver_api::ErrorKind;
use driver_fake::{FaultRule, Operation, Options, When};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn secrets_are_never_logged() {
    let logs = Logs::keep();
    let faults = vec![
        FaultRule::nth(Operation::Spawn, 3, When::AfterEffect, ErrorKind::Internal),
        FaultRule::nth(Operation::Power, 1, When::BeforeEffect, ErrorKind::Internal),
    ];
    let c = TestCluster::start(Shape::of([Options { faults, ..Options::default() }])).await;
    let who = c.member("alice", "wonderland").await;
    let image = c.image().await;
    let user_data = "#cloud-config\npassword: hunter2-of-the-guest";
    let encoded = base64::engine::general_purpose::STANDARD.encode(user_data);
    let mut body = c.body("secretive").await;
    body["server"]["networks"] = "auto".into();
    body["server"]["user_data"] = encoded.clone().into();
    body["server"]["adminPass"] = "adminpass-one".into();
    body["server"]["config_drive"] = true.into();
    let made = who.post("/compute/v2.1/servers", body.clone()).await.expect(202);
    let id = made["server"]["id"].as_str().unwrap().to_owned();
    c.idle().await;
    assert_eq!(who.status(&id).await, "ACTIVE");
    // Things that fail, with the secrets in hand.
    who.act(&id, json!({"os-stop": null})).await.expect(202);
    c.idle().await;
    let rebuild = json!({"rebuild": {"imageRef": image, "adminPass": "adminpass-two", "user_data": encoded}});
    who.at("2.57").act(&id, rebuild).await.expect(202);
    c.idle().await;
    body["server"]["adminPass"] = "adminpass-three".into();
    who.post("/compute/v2.1/servers", body.clone()).await.expect(202);
    c.idle().await;
    body["server"]["adminPass"] = "adminpass-four".into();
    body["server"]["no_such_field"] = "adminpass-four".into();
    who.post("/compute/v2.1/servers", body).await.refused(400, "no_such_field");
    let mut broken = Vec::from(b"{\"server\": {\"adminPass\": \"adminpass-five\", " as &[u8]);
    broken.extend_from_slice(encoded.as_bytes());
    who.raw(Method::POST, "/compute/v2.1/servers", Some("application/json"), broken, &[]).await.refused(400, "Malformed");
    // Logins that fail and succeed, application credentials, consoles.
    let wrong = json!({"auth": {"identity": {"methods": ["password"], "password": {"user":
        {"name": "alice", "domain": {"id": "default"}, "password": "mistyped-secret"}}}}});
    c.anonymous().post("/identity/v3/auth/tokens", wrong).await.refused(401, "");
    let path = format!("/identity/v3/users/{}/application_credentials", who.user_id);
    let body = json!({"application_credential": {"name": "robot", "secret": "secret-of-the-robot"}});
    let made = who.post(&path, body).await.expect(201);
    let robot = json!({"auth": {"identity": {"methods": ["application_credential"], "application_credential":
        {"id": made["application_credential"]["id"], "secret": "secret-of-the-robot"}}}});
    let answer = c.anonymous().post("/identity/v3/auth/tokens", robot).await;
    let robot_token = answer.headers["x-subject-token"].to_str().unwrap().to_owned();
    answer.expect(201);
    let asked = json!({"remote_console": {"protocol": "vnc", "type": "novnc"}});
    let console = who.post(&format!("/compute/v2.1/servers/{id}/remote-consoles"), asked).await.expect(200);
    let url = console["remote_console"]["url"].as_str().unwrap().to_owned();
    let console_token = url.rsplit("token").next().unwrap().trim_start_matches(['=', '%', '3', 'D', 'd']).to_owned();
    let keypair = who.at("2.91").post("/compute/v2.1/os-keypairs", json!({"keypair": {"name": "made"}})).await;
    let private: Option<String> = keypair.json["keypair"]["private_key"].as_str().map(|k| k.lines().nth(1).unwrap_or("-----").to_owned());
    let (admin_token, token) = (c.admin().token, who.token.clone());
    c.gone(&who, &id).await;
    c.end().await;

    let text = logs.text();
    assert!(text.contains("flow failed"), "nothing is captured");
    let mut secrets = vec![
        "correct horse battery", "password of alice", "mistyped-secret", "secret-of-the-robot", "hunter2-of-the-guest",
        "adminpass-one", "adminpass-two", "adminpass-three", "adminpass-four", "adminpass-five",
        encoded.as_str(), admin_token.as_str(), token.as_str(), robot_token.as_str(), console_token.as_str(),
    ];
    secrets.extend(private.as_deref());
    for secret in secrets {
        assert!(secret.len() >= 5, "{url} has no token");
        if let Some(line) = text.lines().find(|l| l.contains(secret)) {
            panic!("{secret:?} is logged: {line}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_password_is_shown_once_and_never_again() {
    let c = TestCluster::one().await;
    let who = c.member("alice", "wonderland").await;
    let mut body = c.body("once").await;
    body["server"]["adminPass"] = "only-in-this-answer".into();
    let made = who.post("/compute/v2.1/servers", body).await.expect(202);
    assert_eq!(made["server"]["adminPass"], "only-in-this-answer");
    c.idle().await;
    let id = made["server"]["id"].as_str().unwrap();
    for caller in [who.at("2.100"), c.admin().at("2.100")] {
        for path in [format!("servers/{id}"), "servers/detail".into(), format!("servers/{id}/os-instance-actions")] {
            let answer = caller.get(&format!("/compute/v2.1/{path}")).await;
            assert!(!answer.text().contains("only-in-this-answer") && answer.status == 200, "{path}: {}", answer.text());
        }
    }
    assert_ne!(who.server(id).await["name"], Value::Null);
    c.end().await;
}
