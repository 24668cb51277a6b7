//! Every step of every scene in every mode, and in every kind of error where it fails.

use crate::plan::Plan;
use crate::scene::{self, End, Scene, Stage, scenes};
use crate::truth;
use api_conformance::{Client, TestCluster};
use conductor::Step;
use driver_api::{Advice, ErrorKind};
use flow::{Mode, Step as _, matrix};
use model::Action;
use model::actions::OnError;
use std::collections::{BTreeSet, VecDeque};

/// One way in which one step of a scene goes wrong.
#[derive(Debug, Clone, Copy)]
struct Cell {
    step: Step,
    mode: Mode,
    kind: ErrorKind,
}

impl Cell {
    fn all(step: Step) -> Vec<Cell> {
        let mut cells = Vec::new();
        for (_, mode) in matrix::<Step>().into_iter().filter(|(of, _)| *of == step) {
            let every = matches!(mode, Mode::FailBefore | Mode::FailAfter);
            let kinds: &[ErrorKind] = if every { &ErrorKind::ALL } else { &[ErrorKind::Internal] };
            cells.extend(kinds.iter().map(|kind| Cell { step, mode, kind: *kind }));
        }
        cells
    }
    /// How the action may end.
    fn ends(&self, scene: &Scene) -> Vec<End> {
        match self.mode {
            // Done twice is done; and what was accepted is done in the next life.
            Mode::Repeat | Mode::CrashBefore | Mode::CrashAfter => vec![End::Done],
            // The next host takes it, if the error says that another may.
            Mode::FailBefore | Mode::FailAfter if scene.spare && self.kind.advice() != Advice::Stop => vec![End::Done],
            // The host is asked no more: the server goes, and the guest when its host is seen again.
            Mode::FailBefore | Mode::FailAfter
                if scene.action == Action::Delete && matches!(self.kind, ErrorKind::NotFound | ErrorKind::Unreachable) =>
            {
                vec![End::Done]
            }
            Mode::FailBefore => vec![End::Failed],
            // What is reported as failed, leaves the server as it was and is seen to be done is recorded as done.
            Mode::FailAfter | Mode::LostReply if scene.action.row().on_error == OnError::Keep => vec![End::Done, End::Failed],
            Mode::FailAfter | Mode::LostReply => vec![End::Failed],
            // Undone, or done when it was taken up again.
            _ => vec![End::Done, End::Failed],
        }
    }
}

struct Sweep<'a> {
    scene: Scene,
    plan: &'a Plan,
    queue: VecDeque<Cell>,
    /// Killed in the life before.
    open: Option<(Cell, String)>,
    hit: BTreeSet<(Step, Mode)>,
    wrong: Vec<String>,
    cells: usize,
}

impl Sweep<'_> {
    /// One life: ends what the one before left, then goes on until a cell kills it.
    async fn life(&mut self, c: TestCluster) {
        let who = scene::user(&c).await;
        if let Some((cell, id)) = self.open.take() {
            self.close(&c, &who, cell, &id).await;
        }
        while let Some(cell) = self.queue.pop_front() {
            let name = Naming(format!("{:?} {cell:?}", self.scene));
            let mut id = match self.scene.from {
                Some(state) => scene::server_in(&c, &who, self.plan, state).await,
                None => String::new(),
            };
            let fault = self.plan.fault(cell.step, cell.mode, scene::error(cell.kind));
            let answer = scene::request(&c, &who, self.scene.action, &id).await;
            assert!(scene::accepted(&answer), "{}: {}", name.0, answer.text());
            if self.scene.from.is_none() {
                id = answer.json["server"]["id"].as_str().unwrap().to_owned();
            }
            if cell.mode.crashes() {
                c.until(&name.0, async || fault.hit()).await;
                self.hit.insert((cell.step, cell.mode));
                self.open = Some((cell, id));
                c.die();
                return;
            }
            truth::idle(&c).await;
            if fault.hit() {
                self.hit.insert((cell.step, cell.mode));
            } else {
                self.wrong.push(format!("{}: it never came to that", name.0));
            }
            self.close(&c, &who, cell, &id).await;
        }
        c.end().await;
    }

    async fn close(&mut self, c: &TestCluster, who: &Client, cell: Cell, id: &str) {
        let (scene, ends) = (self.scene, cell.ends(&self.scene));
        let _name = Naming(format!("{scene:?} {cell:?}"));
        truth::idle(c).await;
        self.plan.clear();
        let mut wrong = truth::settled(async || truth::objections(c, who, &scene, id, &ends).await).await;
        wrong.extend(truth::cleared(c, who, id).await);
        self.wrong.extend(wrong.into_iter().map(|w| format!("{scene:?} {cell:?}: {w}")));
        self.cells += 1;
    }
}

/// Says where it was if the test panics in it.
pub struct Naming(pub String);

impl Drop for Naming {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(cell = self.0, "the suite broke off");
        }
    }
}

/// Steps of a scene when all goes well.
fn steps_of(scene: &Scene) -> Vec<Step> {
    let stage = Stage::of(scene);
    let (scene, plan) = (*scene, stage.plan.clone());
    stage.world.life(async |c| {
        let who = scene::user(&c).await;
        let mut id = match scene.from {
            Some(state) => scene::server_in(&c, &who, &plan, state).await,
            None => String::new(),
        };
        let answer = scene::request(&c, &who, scene.action, &id).await;
        assert!(scene::accepted(&answer), "{scene:?}: {}", answer.text());
        if scene.from.is_none() {
            id = answer.json["server"]["id"].as_str().unwrap().to_owned();
        }
        truth::idle(&c).await;
        let steps = plan.steps();
        assert!(plan.undone().is_empty(), "{scene:?}: something was undone");
        let wrong = truth::settled(async || truth::objections(&c, &who, &scene, &id, &[End::Done]).await).await;
        assert!(wrong.is_empty(), "{scene:?}: {wrong:?}");
        let wrong = truth::cleared(&c, &who, &id).await;
        assert!(wrong.is_empty(), "{scene:?}: {wrong:?}");
        c.end().await;
        steps
    })
}

#[test]
fn every_step_goes_wrong_in_every_way() {
    let (mut hit, mut wrong, mut cells) = (BTreeSet::new(), Vec::new(), 0);
    for scene in scenes() {
        let steps = steps_of(&scene);
        let stage = Stage::of(&scene);
        let mut sweep = Sweep {
            scene,
            plan: &stage.plan,
            queue: steps.into_iter().flat_map(Cell::all).collect(),
            open: None,
            hit: BTreeSet::new(),
            wrong: Vec::new(),
            cells: 0,
        };
        while sweep.open.is_some() || !sweep.queue.is_empty() {
            stage.world.life(async |c| sweep.life(c).await);
        }
        hit.append(&mut sweep.hit);
        wrong.append(&mut sweep.wrong);
        cells += sweep.cells;
    }
    eprintln!("{cells} cells");
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
    let missing: Vec<_> = matrix::<Step>().into_iter().filter(|cell| !hit.contains(cell)).collect();
    assert!(missing.is_empty(), "never exercised: {missing:?}");
    let undoing = Step::ALL.iter().filter(|step| step.undoes()).count();
    assert!(undoing > 0 && cells > matrix::<Step>().len());
}
