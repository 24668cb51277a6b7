//! What must be true when everything has come to rest: the audit finds nothing, nothing is on its way, the server is
//! in one of the states it may be in, and of everything that belongs to it there is exactly one or nothing.

use crate::scene::{End, Scene};
use api_conformance::{Client, TestCluster};
use driver_api::PowerState;
use model::server::{Server, VmState};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// How long things may take to come to rest after the last flow ended: reconcilers look once a minute.
const REST: Duration = Duration::from_secs(180);

/// Waits until `look` finds nothing to object to; else what it objects to in the end.
pub async fn settled(mut look: impl AsyncFnMut() -> Vec<String>) -> Vec<String> {
    let begun = tokio::time::Instant::now();
    let mut pause = Duration::from_secs(1);
    loop {
        let wrong = look().await;
        if wrong.is_empty() || begun.elapsed() > REST {
            return wrong;
        }
        tokio::time::sleep(pause).await;
        pause *= 2;
    }
}

/// Waits until no flow is unfinished.
pub async fn idle(c: &TestCluster) {
    c.idle().await;
}

async fn row(c: &TestCluster, id: &str) -> Option<Server> {
    let id = Uuid::try_parse(id).ok()?;
    c.store().read(move |tx| store::servers::get(tx, id)).await.ok()
}

/// Guests of this id on every machine, with their hosts.
fn guests(c: &TestCluster, id: &str) -> Vec<(String, PowerState)> {
    let shape = c.world().shape();
    let on = |h: &api_conformance::Host| {
        let here = h.machine.remains().into_iter().filter(|g| g.id.to_string() == id).map(|g| g.power);
        here.map(|p| (h.name.clone(), p)).collect::<Vec<_>>()
    };
    shape.hosts.iter().flat_map(on).collect()
}

fn runs(state: VmState) -> Option<PowerState> {
    match state {
        VmState::Active => Some(PowerState::Running),
        VmState::Stopped => Some(PowerState::Shutdown),
        VmState::Paused => Some(PowerState::Paused),
        VmState::Suspended => Some(PowerState::Suspended),
        _ => None,
    }
}

/// What everything says about itself, whatever was done.
async fn everything(c: &TestCluster) -> Vec<String> {
    let mut wrong: Vec<String> = c.audit().await.iter().map(|f| format!("audit: {f}")).collect();
    wrong.extend(c.conductor().invariants().await.unwrap());
    wrong
}

async fn copies(who: &Client) -> Vec<Value> {
    who.get("/image/v2/images?name=copy").await.expect(200)["images"].as_array().cloned().unwrap_or_default()
}

/// Objections to the state after `scene`, whose action may have ended in one of `ends`.
pub async fn objections(c: &TestCluster, who: &Client, scene: &Scene, id: &str, ends: &[End]) -> Vec<String> {
    let mut wrong = everything(c).await;
    let server = row(c, id).await.filter(|s| s.vm_state != VmState::Deleted);
    let state = server.as_ref().map(|s| s.vm_state);
    let fits: Vec<End> = ends.iter().copied().filter(|end| scene.state(*end) == state).collect();
    if fits.is_empty() {
        let fault = server.as_ref().and_then(|s| s.body.fault.as_ref()).map(|f| f.message.clone());
        wrong.push(format!("the server is {state:?} (fault {fault:?}), none of {ends:?}"));
    }
    let guests = guests(c, id);
    match &server {
        None if !guests.is_empty() => wrong.push(format!("the server is gone and there are guests: {guests:?}")),
        None => {}
        Some(s) => of_server(s, &guests, &mut wrong),
    }
    if server.as_ref().is_some_and(|s| s.vm_state == VmState::Error) {
        let shown = who.server(id).await;
        if shown["fault"]["message"].as_str().is_none_or(str::is_empty) {
            wrong.push(format!("in error and does not say why: {}", shown["fault"]));
        }
    }
    let images = copies(who).await;
    let done = state.is_some() && scene.action == model::Action::Snapshot && fits.contains(&End::Done);
    let active = images.iter().filter(|i| i["status"] == "active").count();
    if images.len() > usize::from(done) || active != images.len() {
        wrong.push(format!("images of a snapshot: {}", Value::Array(images)));
    }
    wrong
}

fn of_server(s: &Server, guests: &[(String, PowerState)], wrong: &mut Vec<String>) {
    if guests.len() > 1 {
        wrong.push(format!("more than one guest: {guests:?}"));
    }
    match (&s.host, guests.first()) {
        (Some(host), Some((on, _))) if host != on => wrong.push(format!("recorded on {host}, runs on {on}")),
        (None, Some((on, _))) => wrong.push(format!("recorded on no host, runs on {on}")),
        // A deletion that failed after it took the guest away: the next one ends it.
        (Some(_), None) if s.vm_state == VmState::Error => {}
        (Some(host), None) => wrong.push(format!("recorded on {host}, runs nowhere")),
        _ => {}
    }
    let seen = guests.first().map_or(PowerState::NoState, |g| g.1);
    if s.power_state != seen {
        wrong.push(format!("recorded as {:?}, seen as {seen:?}", s.power_state));
    }
    // A state that says how the guest runs is either true or the record says both (power beside state).
    if let Some(should) = runs(s.vm_state)
        && should != seen
        && matches!((s.vm_state, seen), (_, PowerState::NoState | PowerState::Crashed) | (VmState::Active, PowerState::Shutdown) | (VmState::Stopped, PowerState::Running))
    {
        wrong.push(format!("{:?} and the guest is {seen:?}", s.vm_state));
    }
}

/// Objections after everything was deleted: nothing of it is left anywhere.
pub async fn remains(c: &TestCluster, who: &Client) -> Vec<String> {
    let mut wrong = everything(c).await;
    let used = who.used().await;
    if used != [0, 0, 0] {
        wrong.push(format!("quota: {used:?} still counted"));
    }
    let ports = who.get("/network/v2.0/ports").await.expect(200);
    if ports["ports"].as_array().is_none_or(|p| !p.is_empty()) {
        wrong.push(format!("ports: {ports}"));
    }
    for host in c.world().shape().hosts {
        let left = host.machine.remains();
        if !left.is_empty() {
            wrong.push(format!("guests on {}: {:?}", host.name, left.iter().map(|g| g.id).collect::<Vec<_>>()));
        }
    }
    let images = copies(who).await;
    if !images.is_empty() {
        wrong.push(format!("images: {}", Value::Array(images)));
    }
    let held = c.store().read(|tx| {
        let mut held = Vec::new();
        for p in store::placement::providers::all(tx)? {
            held.extend(store::placement::allocations::of_provider(tx, p.id)?.into_iter().map(|a| a.consumer));
        }
        Ok(held)
    });
    let held = held.await.unwrap();
    if !held.is_empty() {
        wrong.push(format!("allocations of {held:?}"));
    }
    wrong
}

/// Deletes the scene's server and images if they are there, and objects to whatever is left.
pub async fn cleared(c: &TestCluster, who: &Client, id: &str) -> Vec<String> {
    if !id.is_empty() {
        // One of a pair may have locked it, and its owner may not delete it then.
        who.act(id, serde_json::json!({"unlock": null})).await;
        let answer = who.delete(&format!("/compute/v2.1/servers/{id}")).await;
        if !matches!(answer.status, 204 | 404) {
            return vec![format!("the deletion is refused: {} {}", answer.status, answer.text())];
        }
    }
    for image in copies(who).await {
        let path = format!("/image/v2/images/{}", image["id"].as_str().unwrap_or_default());
        who.delete(&path).await.expect(204);
    }
    idle(c).await;
    settled(async || remains(c, who).await).await
}
