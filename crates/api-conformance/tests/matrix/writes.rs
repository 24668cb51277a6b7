//! The process dies before and after every durable write, of the action and of the recovery.

use crate::scene::{self, End, Scene, Stage, scenes};
use crate::steps::Naming;
use crate::truth;
use api_conformance::TestCluster;

/// Asks for the scene's action and waits until it is over or the process is dead. The server's id where it is known.
async fn act(c: &TestCluster, stage: &Stage, scene: &Scene, id: &str) -> String {
    let who = scene::user(c).await;
    // The image is there before the counting begins.
    c.image().await;
    let answer = tokio::select! {
        biased;
        answer = scene::request(c, &who, scene.action, id) => answer,
        () = dead(stage) => return id.to_owned(),
    };
    assert!(scene::accepted(&answer), "{scene:?}: {}", answer.text());
    let id = match scene.from {
        Some(_) => id.to_owned(),
        None => answer.json["server"]["id"].as_str().unwrap().to_owned(),
    };
    tokio::select! {
        biased;
        () = truth::idle(c) => {}
        () = dead(stage) => {}
    }
    id
}

async fn dead(stage: &Stage) {
    stage.gate.closed().cancelled().await;
}

/// The life in which everything must be put right again.
async fn hold(c: TestCluster, stage: &Stage, scene: &Scene, id: &str, ends: &[End]) -> Vec<String> {
    let who = scene::user(&c).await;
    let id = if id.is_empty() { only_server(&c).await } else { id.to_owned() };
    truth::idle(&c).await;
    stage.plan.clear();
    let mut wrong = truth::settled(async || truth::objections(&c, &who, scene, &id, ends).await).await;
    wrong.extend(truth::cleared(&c, &who, &id).await);
    c.end().await;
    wrong
}

/// The server that nobody was told of, if it was made.
async fn only_server(c: &TestCluster) -> String {
    let who = scene::user(c).await;
    let list = who.get("/compute/v2.1/servers").await.expect(200);
    list["servers"][0]["id"].as_str().unwrap_or_default().to_owned()
}

/// Points of the action, a write being two (before it, after it).
fn points(scene: &Scene) -> u64 {
    let stage = Stage::of(scene);
    stage.world.life(async |c| {
        let id = begin(&c, &stage, scene).await;
        stage.gate.open();
        act(&c, &stage, scene, &id).await;
        let points = stage.gate.points();
        c.end().await;
        points
    })
}

async fn begin(c: &TestCluster, stage: &Stage, scene: &Scene) -> String {
    let who = scene::user(c).await;
    c.image().await;
    match scene.from {
        Some(state) => scene::server_in(c, &who, &stage.plan, state).await,
        None => String::new(),
    }
}

#[test]
fn killed_before_and_after_every_durable_write() {
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for scene in scenes() {
        let points = points(&scene);
        assert!(points >= 4, "{scene:?}: an action is two durable writes, {points} points were seen");
        let stage = Stage::of(&scene);
        for point in 0..points {
            let _name = Naming(format!("{scene:?} at point {point}"));
            let id = stage.world.life(async |c| {
                let id = begin(&c, &stage, &scene).await;
                stage.gate.close_at(point);
                let id = act(&c, &stage, &scene, &id).await;
                c.die();
                id
            });
            stage.gate.open();
            // Before the first write nothing was accepted; after it everything is.
            let end = if point == 0 { End::Never } else { End::Done };
            let found = stage.world.life(async |c| hold(c, &stage, &scene, &id, &[end]).await);
            wrong.extend(found.into_iter().map(|w| format!("{scene:?} at point {point} of {points}: {w}")));
            cells += 1;
        }
    }
    eprintln!("{cells} cells");
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
}

/// A life that dies where the gate closes, be it at its birth; false if it came to rest before.
fn cut_short(stage: &Stage) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let c = tokio::select! {
            biased;
            () = dead(stage) => return true,
            c = TestCluster::born(stage.world.clone()) => c,
        };
        let died = tokio::select! {
            biased;
            () = dead(stage) => true,
            () = truth::idle(&c) => false,
        };
        c.die();
        died
    })
}

/// Killed after the intent, and again at every write of the life that takes it up.
#[test]
fn killed_again_at_every_write_of_the_recovery() {
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for scene in scenes() {
        let stage = Stage::of(&scene);
        let mut point = 0;
        loop {
            let _name = Naming(format!("{scene:?} at point {point} of the recovery"));
            let id = stage.world.life(async |c| {
                let id = begin(&c, &stage, &scene).await;
                stage.gate.close_at(1);
                let id = act(&c, &stage, &scene, &id).await;
                c.die();
                id
            });
            stage.gate.close_at(point);
            let died = cut_short(&stage);
            stage.gate.open();
            let found = stage.world.life(async |c| hold(c, &stage, &scene, &id, &[End::Done]).await);
            wrong.extend(found.into_iter().map(|w| format!("{scene:?} at point {point} of the recovery: {w}")));
            cells += 1;
            point += 1;
            if !died {
                break;
            }
        }
        assert!(point > 2, "{scene:?}: a recovery writes");
    }
    eprintln!("{cells} cells");
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
}
