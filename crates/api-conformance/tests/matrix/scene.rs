//! Scenes: each action from each state that admits it, as the table says, with the way there and the request.

use crate::plan::{Gate, Plan};
use api_conformance::{Answer, Client, Database, Shape, TestCluster, World};
use conductor::Step;
use driver_api::{Error, ErrorKind};
use driver_fake::Options;
use flow::Mode;
use model::Action;
use model::actions::{ACTIONS, After, OnError};
use model::server::VmState;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One action from one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scene {
    /// What is asked.
    pub action: Action,
    /// Of a server in this state; `None` where the request makes the server.
    pub from: Option<VmState>,
    /// A second host is there.
    pub spare: bool,
}

/// Actions that run as flows; what has no `task_state` is done when it is stored.
pub fn flows() -> impl Iterator<Item = Action> {
    ACTIONS.iter().filter(|row| row.task_state.is_some()).map(|row| row.action)
}

/// States in which a server can be left alone: what some action leads to, or its failure.
fn resting() -> BTreeSet<VmState> {
    let mut states: BTreeSet<VmState> = BTreeSet::from([VmState::Error]);
    states.extend(ACTIONS.iter().filter_map(|row| match row.then {
        After::Set(VmState::Deleted) | After::Keep | After::Old => None,
        After::Set(state) => Some(state),
    }));
    states
}

/// Every scene, from the table.
pub fn scenes() -> Vec<Scene> {
    let resting = resting();
    let mut out = Vec::new();
    for action in flows() {
        if action == Action::Build {
            out.extend([false, true].map(|spare| Scene { action, from: None, spare }));
            continue;
        }
        let from = action.row().from.iter().filter(|state| resting.contains(state));
        out.extend(from.map(|state| Scene { action, from: Some(*state), spare: false }));
    }
    out
}

/// A world for scenes, with the hands in its machinery.
pub struct Stage {
    pub world: Arc<World>,
    pub plan: Arc<Plan>,
    pub gate: Arc<Gate>,
}

impl Stage {
    pub fn new(hosts: usize, options: Options) -> Stage {
        let shape = Shape {
            database: Database::Inline,
            keep: true,
            in_memory: true,
            token_seconds: 10 * 365 * 24 * 3600,
            ..Shape::of(vec![options; hosts])
        };
        let (world, plan, gate) = (World::new(shape), Arc::<Plan>::default(), Arc::<Gate>::default());
        world.set_probe(plan.clone());
        world.set_door(gate.clone());
        Stage { world, plan, gate }
    }
    pub fn of(scene: &Scene) -> Stage {
        Stage::new(1 + usize::from(scene.spare), Options::default())
    }
}

/// The user of every scene.
pub async fn user(c: &TestCluster) -> Client {
    c.member("alice", "wonderland").await
}

fn planned(kind: ErrorKind) -> Error {
    Error::new(kind, "it failed as planned")
}

/// An error as a step would have it.
pub fn error(kind: ErrorKind) -> Error {
    planned(kind)
}

/// The request of an action; every action has one.
pub async fn request(c: &TestCluster, who: &Client, action: Action, id: &str) -> Answer {
    let body = match action {
        Action::Build => return who.post("/compute/v2.1/servers", build_body(c).await).await,
        Action::Delete => return who.delete(&format!("/compute/v2.1/servers/{id}")).await,
        Action::Start => json!({"os-start": null}),
        Action::Stop => json!({"os-stop": null}),
        Action::RebootSoft => json!({"reboot": {"type": "SOFT"}}),
        Action::RebootHard => json!({"reboot": {"type": "HARD"}}),
        Action::Pause => json!({"pause": null}),
        Action::Unpause => json!({"unpause": null}),
        Action::Suspend => json!({"suspend": null}),
        Action::Resume => json!({"resume": null}),
        Action::Snapshot => json!({"createImage": {"name": "copy"}}),
        Action::Rebuild => json!({"rebuild": {"imageRef": c.image().await}}),
        Action::Lock => json!({"lock": null}),
        Action::Unlock => json!({"unlock": null}),
    };
    who.act(id, body).await
}

async fn build_body(c: &TestCluster) -> serde_json::Value {
    let mut body = c.body("scene").await;
    body["server"]["networks"] = "auto".into();
    body
}

/// Whether the request was taken.
pub fn accepted(answer: &Answer) -> bool {
    matches!(answer.status, 200 | 202 | 204)
}

/// A server in `state`.
pub async fn server_in(c: &TestCluster, who: &Client, plan: &Plan, state: VmState) -> String {
    let id = c.boot(who, "scene").await;
    let way = match state {
        VmState::Active => None,
        VmState::Stopped => Some(Action::Stop),
        VmState::Paused => Some(Action::Pause),
        VmState::Suspended => Some(Action::Suspend),
        VmState::Error => {
            plan.fault(Step::Rebuild, Mode::FailBefore, planned(ErrorKind::Internal));
            Some(Action::Rebuild)
        }
        other => panic!("an action leads to {other:?}, and this suite knows no way there"),
    };
    if let Some(action) = way {
        request(c, who, action, &id).await;
        c.idle().await;
    }
    let there = who.server(&id).await["OS-EXT-STS:vm_state"].as_str().unwrap().to_owned();
    assert_eq!(there, state.as_str(), "on the way to the scene");
    plan.clear();
    id
}

/// How an action may have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it should.
    Done,
    /// It was never accepted.
    Never,
    /// It failed.
    Failed,
}

impl Scene {
    /// The state that `end` leaves; `None`: no such server.
    pub fn state(&self, end: End) -> Option<VmState> {
        let row = self.action.row();
        let before = self.from;
        match end {
            End::Never => before,
            End::Failed if row.on_error == OnError::Keep => before,
            End::Failed => Some(VmState::Error),
            End::Done => match row.then {
                After::Set(VmState::Deleted) => None,
                // A rebuild of what was off is off again.
                After::Set(_) if self.action == Action::Rebuild && before == Some(VmState::Stopped) => before,
                After::Set(state) => Some(state),
                After::Keep => before,
                After::Old => Some(VmState::Active),
            },
        }
    }
}
