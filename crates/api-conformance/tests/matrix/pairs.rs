//! Every pair of operations on one server: the first in flight, the second requested at each point of it, with and
//! without a kill between. What the second is answered stands in `ACTIONS`; what comes of both is held by the audit.

use crate::scene::{self, End, Scene, Stage};
use crate::steps::Naming;
use crate::truth;
use api_conformance::{Client, TestCluster};
use driver_fake::{Operation, Options};
use flow::Moment;
use model::Action;
use model::actions::admit;
use model::server::VmState;
use std::collections::VecDeque;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a host takes for anything.
const SLOW: u64 = 10_000;

/// Where the first operation is when the second comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    /// Stored, and its host not told yet.
    Stored,
    /// At its host, which has not done it yet.
    AtHost,
    /// Done, and the answer not received yet.
    Done,
}

/// What happens between the second and the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// Nothing.
    Nothing,
    /// The process is killed.
    Kill,
}

#[derive(Debug, Clone, Copy)]
struct Pair {
    first: Scene,
    second: Action,
    point: Point,
    between: Between,
}

/// The second's request is one on a server that is there.
fn seconds() -> impl Iterator<Item = Action> {
    Action::ALL.into_iter().filter(|a| a.row().from != [VmState::Building])
}

fn pairs(first: Scene) -> VecDeque<Pair> {
    let mut out = VecDeque::new();
    for second in seconds() {
        for point in [Point::Stored, Point::AtHost, Point::Done] {
            for between in [Between::Nothing, Between::Kill] {
                out.push_back(Pair { first, second, point, between });
            }
        }
    }
    out
}

/// One scene per action, from the first state that admits it.
fn firsts() -> Vec<Scene> {
    let mut out: Vec<Scene> = Vec::new();
    for scene in scene::scenes() {
        if out.iter().all(|known| known.action != scene.action) {
            out.push(scene);
        }
    }
    out
}

impl Pair {
    /// State of the server while the first is in flight.
    fn during(&self) -> VmState {
        self.first.from.unwrap_or(VmState::Building)
    }
    fn taken(&self) -> bool {
        admit(self.second, self.during(), Some(self.first.action), false, false).is_ok()
    }
    /// Whose end counts: the second's where it took the server over.
    fn ends(&self) -> (Scene, Vec<End>) {
        let over = self.taken() && self.first.action.row().task_state.is_some() && self.second.row().task_state.is_some();
        match over {
            true => (Scene { action: self.second, from: Some(self.during()), spare: false }, vec![End::Done]),
            false => (self.first, vec![End::Done]),
        }
    }
}

struct Sweep<'a> {
    stage: &'a Stage,
    queue: VecDeque<Pair>,
    open: Option<(Pair, String)>,
    wrong: Vec<String>,
    cells: usize,
}

impl Sweep<'_> {
    async fn life(&mut self, c: TestCluster) {
        let who = scene::user(&c).await;
        if let Some((pair, id)) = self.open.take() {
            self.close(&c, &who, pair, &id).await;
        }
        while let Some(pair) = self.queue.pop_front() {
            let name = Naming(format!("{pair:?}"));
            let (id, until) = self.begin(&c, &who, &pair, &name.0).await;
            let answer = scene::request(&c, &who, pair.second, &id).await;
            let expected = if pair.taken() { &[200, 202, 204][..] } else { &[409] };
            if !expected.contains(&answer.status) {
                self.wrong.push(format!("{}: answered {} {}", name.0, answer.status, answer.text()));
            }
            if pair.between == Between::Kill {
                self.open = Some((pair, id));
                c.die();
                return;
            }
            // Both are under way for a moment before the first goes on.
            tokio::time::sleep(Duration::from_millis(100)).await;
            until.cancel();
            self.close(&c, &who, pair, &id).await;
        }
        c.end().await;
    }

    /// The first operation, at its point.
    async fn begin(&self, c: &TestCluster, who: &Client, pair: &Pair, name: &str) -> (String, CancellationToken) {
        let plan = &self.stage.plan;
        let mut id = match pair.first.from {
            Some(state) => scene::server_in(c, who, plan, state).await,
            None => String::new(),
        };
        let moment = if pair.point == Point::Done { Moment::AfterAction } else { Moment::BeforeAction };
        let (reached, until) = plan.hold(moment);
        let answer = scene::request(c, who, pair.first.action, &id).await;
        assert!(scene::accepted(&answer), "{name}: {}", answer.text());
        if pair.first.from.is_none() {
            id = answer.json["server"]["id"].as_str().unwrap().to_owned();
        }
        c.until(name, async || reached.is_cancelled()).await;
        if pair.point == Point::AtHost {
            until.cancel();
            tokio::time::sleep(Duration::from_millis(SLOW / 2)).await;
        }
        (id, until)
    }

    async fn close(&mut self, c: &TestCluster, who: &Client, pair: Pair, id: &str) {
        let _name = Naming(format!("{pair:?}"));
        truth::idle(c).await;
        self.stage.plan.clear();
        let (scene, ends) = pair.ends();
        let mut wrong = truth::settled(async || truth::objections(c, who, &scene, id, &ends).await).await;
        wrong.extend(truth::cleared(c, who, id).await);
        self.wrong.extend(wrong.into_iter().map(|w| format!("{pair:?}: {w}")));
        self.cells += 1;
    }
}

fn slow() -> Options {
    use Operation::{Destroy, Pause, Power, Reboot, Resume, Snapshot, Spawn, Suspend, Unpause};
    let all = [Destroy, Pause, Power, Reboot, Resume, Snapshot, Spawn, Suspend, Unpause];
    Options { latency_ms: all.into_iter().map(|o| (o, SLOW)).collect(), ..Options::default() }
}

#[test]
fn every_pair_of_operations_on_one_server() {
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for first in firsts() {
        let stage = Stage::new(1, slow());
        let mut sweep = Sweep { stage: &stage, queue: pairs(first), open: None, wrong: Vec::new(), cells: 0 };
        while sweep.open.is_some() || !sweep.queue.is_empty() {
            stage.world.life(async |c| sweep.life(c).await);
        }
        wrong.append(&mut sweep.wrong);
        cells += sweep.cells;
    }
    eprintln!("{cells} cells");
    assert!(wrong.is_empty(), "{} of {cells} cells:\n{}", wrong.len(), wrong.join("\n"));
    let flows = scene::flows().count();
    assert_eq!(cells, flows * seconds().count() * 6, "every pair was seen");
}
