//! Who is no longer entitled does nothing: a controller whose flow is another's commits nothing, in whatever scene it
//! is, and its commands are refused where the new owner was heard.

use crate::scene::{self, End, Scene, Stage, scenes};
use crate::steps::Naming;
use crate::truth;
use api_conformance::{Client, TestCluster};
use driver_api::{ErrorKind, Timestamp};
use driver_fake::{FaultRule, Operation, Options, When};
use flow::Moment;
use model::flow::FlowRow;
use model::server::Server;
use std::time::Duration;

/// Takes every unfinished flow over, as a controller would that saw its lease lapse.
async fn steal(c: &TestCluster) -> Vec<FlowRow> {
    let until = c.env().clock.steady().plus(Duration::from_secs(30));
    let taken = c.store().write(move |tx| store::flows::take_over(tx, "another", Timestamp(i64::MAX), until, 10)).await;
    taken.unwrap()
}

/// The records that a controller could write.
async fn records(c: &TestCluster, flow: &FlowRow) -> (FlowRow, Server, Vec<String>) {
    let (flow, server) = (flow.id, flow.server_id);
    c.store()
        .read(move |tx| {
            let mut beside = Vec::new();
            for p in store::placement::providers::all(tx)? {
                for a in store::placement::allocations::of_provider(tx, p.id)? {
                    beside.push(format!("{} {} {} {}", p.id, a.consumer, a.class, a.used));
                }
            }
            for p in store::network::ports::list(tx, &store::network::ports::Filter::default())? {
                beside.push(format!("{p:?}"));
            }
            Ok((store::flows::get(tx, flow)?, store::servers::get(tx, server)?, beside))
        })
        .await
        .unwrap()
}

/// A start takes what others own for an earlier life's; from then on they are others.
async fn started(c: &TestCluster) {
    c.image().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
}

async fn begin(c: &TestCluster, who: &Client, stage: &Stage, scene: &Scene) -> String {
    started(c).await;
    let id = match scene.from {
        Some(state) => scene::server_in(c, who, &stage.plan, state).await,
        None => String::new(),
    };
    let (reached, until) = stage.plan.hold(Moment::AfterAction);
    let answer = scene::request(c, who, scene.action, &id).await;
    assert!(scene::accepted(&answer), "{scene:?}: {}", answer.text());
    let made = answer.json["server"]["id"].as_str().map(str::to_owned);
    c.until("the host has done it", async || reached.is_cancelled()).await;
    let taken = steal(c).await;
    assert_eq!(taken.len(), 1, "{scene:?}");
    let before = records(c, &taken[0]).await;
    until.cancel();
    // The one that lost its lease goes on now, and its wishes come to nothing.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(records(c, &taken[0]).await, before, "{scene:?}: who lost its lease wrote something");
    made.unwrap_or(id)
}

/// Runs the scene to its end after the theft: the thief's lease lapses, and the flow is taken up again.
async fn mended(c: TestCluster, stage: &Stage, scene: &Scene) -> Vec<String> {
    let who = scene::user(&c).await;
    let id = begin(&c, &who, stage, scene).await;
    truth::idle(&c).await;
    stage.plan.clear();
    let mut wrong = truth::settled(async || truth::objections(&c, &who, scene, &id, &[End::Done]).await).await;
    wrong.extend(truth::cleared(&c, &who, &id).await);
    c.end().await;
    wrong
}

#[test]
fn a_controller_whose_flow_is_anothers_commits_nothing() {
    let mut wrong = Vec::new();
    for scene in scenes() {
        let _name = Naming(format!("{scene:?}"));
        let stage = Stage::of(&scene);
        let found = stage.world.life(async |c| mended(c, &stage, &scene).await);
        wrong.extend(found.into_iter().map(|w| format!("{scene:?}: {w}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The one that lost its lease was about to take its build to the next host.
#[test]
fn nor_does_it_move_a_build() {
    let faults = vec![FaultRule::nth(Operation::Spawn, 1, When::BeforeEffect, ErrorKind::Internal)];
    let stage = Stage::new(2, Options { faults, ..Options::default() });
    let scene = Scene { action: model::Action::Build, from: None, spare: true };
    let wrong = stage.world.life(async |c| mended(c, &stage, &scene).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The owner before hangs on: nothing comes of it, and the host is told the new intent by its generation.
#[test]
fn a_new_owner_is_a_new_intent() {
    let stage = Stage::new(1, Options::default());
    let plan = stage.plan.clone();
    stage.world.life(async |c| {
        let who = scene::user(&c).await;
        let scene = Scene { action: model::Action::Build, from: None, spare: false };
        started(&c).await;
        let (reached, _never) = plan.hold(Moment::AfterAction);
        let answer = scene::request(&c, &who, scene.action, "").await;
        let id = answer.expect(202)["server"]["id"].as_str().unwrap().to_owned();
        c.until("the guest is made", async || reached.is_cancelled()).await;
        let taken = steal(&c).await;
        assert_eq!(taken.len(), 1);
        let server = taken[0].server_id;
        let generation = c.store().read(move |tx| store::servers::get(tx, server)).await.unwrap().generation;
        assert!(generation > 1, "a new owner is a new intent");
        // Its lease lapses too; this controller takes the flow up again and makes the guest its own, while its own
        // first self still hangs and gives up half an hour later.
        truth::idle(&c).await;
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let wrong = truth::settled(async || truth::objections(&c, &who, &scene, &id, &[End::Done]).await).await;
        assert!(wrong.is_empty(), "{wrong:?}");
        let wrong = truth::cleared(&c, &who, &id).await;
        assert!(wrong.is_empty(), "{wrong:?}");
        c.end().await;
    });
}
