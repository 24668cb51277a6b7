//! The control plane under weather: one seed decides the hosts, the requests, every fault and every moment of them.
//!
//! A [`Plan`] is drawn from the seed; the [`script`] asks for things and breaks things, over several lives of the
//! process; the [`oracle`] remembers what was acknowledged; the [`watch`] looks each simulated second. At the end every
//! fault ceases, the world settles, and what is there is held against what was acknowledged. Everything runs on one
//! thread in virtual time, so that the seed alone repeats a run, to the byte of its journal.

mod oracle;
mod plan;
mod requests;
mod script;
mod watch;
mod weather;

pub use oracle::Oracle;
pub use plan::Plan;
pub use watch::Watch;
pub use weather::{Climate, Weather};

use crate::{Client, Database, Shape, Template, TestCluster, World};
use model::Random;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Projects with one member each.
pub const PROJECTS: [(&str, &str); 2] = [("alice", "wonderland"), ("bob", "underland")];

/// The worst weather that is promised to change nothing.
pub fn worst() -> Climate {
    Climate { lost: 30, doubled: 30, late: 50, delay: 8000 }
}

/// What a run was.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Hash over every server and flow at the end.
    pub journal: String,
    /// Requests that were answered.
    pub requests: u64,
    /// Of them, accepted.
    pub accepted: u64,
    /// Lives of the process.
    pub lives: u64,
    /// Disturbances of hosts, guests and time.
    pub faults: u64,
    /// Simulated seconds that were looked at.
    pub seconds: u64,
    /// Servers that were made.
    pub servers: u64,
}

/// What the lives of one run share.
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    pub(crate) dice: Random,
    pub(crate) weather: Arc<Weather>,
    pub(crate) oracle: Mutex<Oracle>,
    pub(crate) watch: Arc<Watch>,
    pub(crate) report: Mutex<Report>,
    pub(crate) image: String,
}

impl Stage {
    pub(crate) fn oracle<T>(&self, f: impl FnOnce(&mut Oracle) -> T) -> T {
        f(&mut self.oracle.lock().unwrap_or_else(PoisonError::into_inner))
    }
    pub(crate) fn report<T>(&self, f: impl FnOnce(&mut Report) -> T) -> T {
        f(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner))
    }
    pub(crate) fn below(&self, n: u64) -> u64 {
        self.dice.below(n)
    }
}

/// What every run begins with: users, projects and one image, made once.
pub struct Ground {
    template: Template,
    image: String,
}

impl Ground {
    /// Makes it.
    /// # Panics
    /// If the cloud does not start.
    pub fn make() -> Ground {
        let shape = Shape { hosts: Vec::new(), database: Database::Inline, keep: true, in_memory: true, ..Shape::default() };
        let world = World::new(shape);
        let image = world.life(async |c: TestCluster| {
            for (name, project) in PROJECTS {
                c.member(name, project).await;
            }
            let image = c.image().await;
            c.end().await;
            image
        });
        Ground { template: world.template(), image }
    }

    /// Runs one seed.
    /// # Panics
    /// If anything that was promised does not hold; the message says what.
    pub fn run(&self, seed: u64) -> Report {
        self.perform(Plan::of(seed))
    }

    /// Runs a plan.
    /// # Panics
    /// If anything that was promised does not hold; the message says what.
    pub fn perform(&self, plan: Plan) -> Report {
        let world = World::after(&self.template, plan.shape());
        let dice = Random::seeded(plan.seed ^ 0x00d1_ce00_d1ce);
        let weather = Arc::new(Weather::new(plan.seed, plan.weather.clone()));
        if plan.weather.is_some() {
            world.set_link(weather.clone());
        }
        let stage = Arc::new(Stage {
            dice,
            weather,
            oracle: Mutex::new(Oracle::new(plan.strict())),
            watch: Arc::new(Watch::default()),
            report: Mutex::default(),
            image: self.image.clone(),
            plan,
        });
        if stage.plan.hangs() {
            stage.watch.hanging();
        }
        for life in 0..stage.plan.lives {
            stage.report(|r| r.lives += 1);
            let last = life + 1 == stage.plan.lives;
            world.life(async |c| script::life(&stage, c, last).await);
        }
        stage.report(|r| r.clone())
    }
}

/// The members of the projects, logged in.
pub(crate) async fn members(c: &TestCluster) -> Vec<Client> {
    let mut out = Vec::new();
    for (name, project) in PROJECTS {
        out.push(c.anonymous().login(name, &format!("password of {name}"), project).await);
    }
    out
}

/// The smallest server.
pub(crate) fn body(stage: &Stage, name: &str, wired: bool) -> serde_json::Value {
    let networks = if wired { "auto" } else { "none" };
    json!({"server": {"name": name, "flavorRef": "1", "imageRef": stage.image, "networks": networks}})
}

/// A second.
pub(crate) const SECOND: Duration = Duration::from_secs(1);
