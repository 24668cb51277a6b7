//! Figures that no client sees alone: ranking and claiming among many hosts, and the check of a token. In this process,
//! on the calling thread, with the very code that is served; medians, so that a neighbour's burst does not count.

use crate::machine::{at, millis};
use axum::body::Body;
use axum::http::Request;
use axum::middleware::from_fn_with_state;
use driver_api::{Node, Timestamp};
use identity::{Hashing, Identity};
use model::placement::{DISK_GB, MEMORY_MB, Resources, VCPU};
use model::service::Service;
use model::{Env, Random, Secret};
use placement::{Claimant, Placement, RequestSpec};
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{SqliteMode, Store};
use tower::ServiceExt;
use web::Authenticate;

fn env() -> Env {
    Env { random: Random::seeded(7), ..Env::system() }
}

fn text(e: impl std::fmt::Display) -> String {
    e.to_string()
}

/// Nodes of one simulated host: registering hosts one by one is not what is measured here.
const NODES: usize = 50;

/// Registers so many nodes, as the conductor does when hosts come up.
async fn register(placement: &Placement, env: &Env, nodes: usize) -> Result<(), String> {
    for host in 0..nodes.div_ceil(NODES) {
        let count = NODES.min(nodes - host * NODES);
        let name = format!("host-{host:05}");
        let service = Service {
            id: env.uuid(),
            number: 0,
            host: name.clone(),
            driver: "fake".into(),
            disabled: false,
            disabled_reason: None,
            forced_down: false,
            facets: Vec::new(),
            traits: vec!["COMPUTE_NODE".into(), "COMPUTE_IMAGE_TYPE_RAW".into(), "COMPUTE_IMAGE_TYPE_QCOW2".into()],
            nodes: (0..count).map(|n| (env.uuid(), node(format!("{name}-{n}")))).collect(),
            created_at: Timestamp(1),
            updated_at: Timestamp(1),
        };
        placement.register(&service).await.map_err(text)?;
        placement.set_up(&name, true);
    }
    Ok(())
}

fn node(name: String) -> Node {
    Node {
        name,
        hypervisor_type: "fake".into(),
        hypervisor_version: 1,
        host_ip: None,
        vcpus: 64,
        memory_mib: 262_144,
        disk_gib: 2048,
        cpu_ratio: 4.0,
        memory_ratio: 1.0,
        disk_ratio: 1.0,
        reserved_vcpus: 0,
        reserved_memory_mib: 0,
        reserved_disk_gib: 0,
        custom_inventory: std::collections::BTreeMap::new(),
        traits: Vec::new(),
        cpu_info: serde_json::Value::Null,
        uptime_seconds: None,
    }
}

/// Median of ranking plus claiming one server among `hosts` hosts, us: the part of a build before its commit.
/// # Errors
/// The database's.
pub async fn schedule(hosts: usize, rounds: usize) -> Result<(f64, f64), String> {
    let env = env();
    let store = Store::open_memory(SqliteMode::Inline).map_err(text)?;
    let placement = Placement::new(store.clone(), env.clone());
    register(&placement, &env, hosts).await?;
    let mut spec = RequestSpec::new(Resources::from([(VCPU.to_owned(), 1), (MEMORY_MB.to_owned(), 128), (DISK_GB.to_owned(), 1)]));
    // What a flavor and an image usually ask for beside amounts.
    spec.image_format = Some("qcow2".into());
    spec.required_traits.insert("COMPUTE_NODE".into());
    let (mut ranks, mut both) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let started = Instant::now();
        let ranked = placement.select(&spec).await.map_err(text)?;
        let ranking = started.elapsed();
        let best = ranked.candidates.first().ok_or("no host was found")?.provider;
        let who = Claimant { consumer: env.uuid(), project_id: "p".into(), user_id: "u".into() };
        let (resources, now) = (spec.resources.clone(), env.now());
        let claimed = store.write(move |tx| {
            let started = Instant::now();
            let done = placement::claim(tx, now, &who, best, &resources)?;
            Ok((done, started.elapsed()))
        });
        let (done, claiming) = claimed.await.map_err(text)?;
        if !done {
            return Err("a free host refused a claim".into());
        }
        placement.note_claimed(best, &spec.resources);
        ranks.push(ranking);
        both.push(ranking + claiming);
    }
    Ok((at(&millis(&ranks), 0.5) * 1e3, at(&millis(&both), 0.5) * 1e3))
}

/// Median of checking one token, us.
/// # Errors
/// Nobody can log in.
pub async fn token(rounds: usize) -> Result<f64, String> {
    let store = Store::open_memory(SqliteMode::Inline).map_err(text)?;
    let options = identity::Options {
        inline: true,
        hashing: Hashing { memory_kib: 64, passes: 1, ..Hashing::default() },
        ..identity::Options::default()
    };
    let identity = Identity::new(store, env(), options).await.map_err(text)?;
    identity.bootstrap(&Secret::new("secret".to_owned())).await.map_err(text)?;
    let auth = web::authenticate_layer(Arc::new(identity.clone()), Random::seeded(1));
    let router = identity::router(identity.clone()).layer(from_fn_with_state(auth, web::AuthState::run));
    let body = serde_json::json!({"auth": {
        "identity": {"methods": ["password"], "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "secret"}}},
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}}}});
    let request = Request::post("/v3/auth/tokens").header("content-type", "application/json").body(Body::from(body.to_string()));
    let Ok(answer) = router.oneshot(request.map_err(text)?).await;
    let token = answer.headers().get("x-subject-token").and_then(|v| v.to_str().ok()).ok_or("no token came")?.to_owned();
    let mut times: Vec<Duration> = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let started = Instant::now();
        identity.authenticate(&token, "req-1").map_err(text)?;
        times.push(started.elapsed());
    }
    Ok(at(&millis(&times), 0.5) * 1e3)
}
