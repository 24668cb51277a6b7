//! What a seed means: the hosts, the weather, how often what goes wrong. Pure.

use super::weather::Climate;
use crate::{Host, Shape};
use driver_fake::{FaultRule, Machine, Operation, Options, When};
use model::Random;
use std::sync::Arc;

/// Operations that take time and may fail.
const CHANGES: [Operation; 9] = [
    Operation::Spawn,
    Operation::Destroy,
    Operation::Power,
    Operation::Reboot,
    Operation::Pause,
    Operation::Unpause,
    Operation::Suspend,
    Operation::Resume,
    Operation::Snapshot,
];

/// A run's plan.
#[derive(Clone)]
pub struct Plan {
    /// What it was drawn from.
    pub seed: u64,
    /// The hosts.
    pub hosts: Vec<(Options, Arc<Machine>)>,
    /// The weather on the way to them; none is a direct way.
    pub weather: Option<Climate>,
    /// Lives of the process; all but the last end by a kill.
    pub lives: u64,
    /// Requests and disturbances of a life.
    pub steps: u64,
    /// Of a hundred steps, those that disturb hosts and guests.
    pub disturbed: u64,
    /// Of a hundred steps, those that disturb time.
    pub warped: u64,
    /// Instances that a project may have.
    pub quota: i64,
}

fn percent(dice: &Random, of: u64) -> bool {
    dice.below(100) < of
}

/// Hosts that take their time; where they are faulty, also fail.
fn host(dice: &Random, seed: u64, faulty: bool, small: bool) -> Options {
    let mut o = Options::default();
    for operation in CHANGES {
        o.latency_ms.insert(operation, if percent(dice, 30) { 0 } else { dice.below(3000) });
    }
    if small {
        o.memory_mib = 512 * (1 + dice.below(3));
        o.vcpus = 1;
    }
    if faulty {
        for _ in 0..=dice.below(3) {
            let when = [When::BeforeEffect, When::AfterEffect, When::LostReply, When::Hang];
            let pick = usize::try_from(dice.below(100)).unwrap_or(0);
            o.faults.push(FaultRule {
                operation: CHANGES[pick % CHANGES.len()],
                nth: None,
                probability: Some(0.05 + 0.3 * (dice.below(100) as f64 / 100.0)),
                seed,
                // A hang costs half an hour of simulated time each.
                when: when[if pick < 3 { 3 } else { pick % 3 }],
                kind: None,
            });
        }
    }
    o
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Plan {
        let dice = Random::seeded(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x51_17);
        // A third of the seeds only disturbs messages, time and the process itself: there every accepted action must
        // come to its good end.
        let gentle = percent(&dice, 34);
        let (faulty, small) = (!gentle && percent(&dice, 60), !gentle && percent(&dice, 40));
        let count = 1 + dice.below(3);
        let hosts = (0..count).map(|n| (host(&dice, seed ^ n, faulty, small), Machine::new())).collect();
        Plan {
            seed,
            hosts,
            weather: percent(&dice, 70).then(|| Climate::drawn(&dice)),
            lives: 1 + dice.below(3),
            steps: 12 + dice.below(18),
            disturbed: if gentle { 0 } else { dice.below(25) },
            warped: if percent(&dice, 50) { dice.below(10) } else { 0 },
            quota: if small { 3 } else { 8 },
        }
    }

    /// Nothing but messages, time and the process is disturbed.
    pub fn strict(&self) -> bool {
        let failing = self.hosts.iter().any(|(o, _)| !o.faults.is_empty() || o.memory_mib < 64 * 1024);
        self.disturbed == 0 && !failing
    }

    /// Some driver hangs at times.
    pub fn hangs(&self) -> bool {
        self.hosts.iter().any(|(o, _)| o.faults.iter().any(|f| f.when == When::Hang))
    }

    pub(crate) fn shape(&self) -> Shape {
        let named = |(n, (options, machine)): (usize, &(Options, Arc<Machine>))| Host {
            name: format!("h{}", n + 1),
            options: options.clone(),
            machine: machine.clone(),
        };
        Shape {
            hosts: self.hosts.iter().enumerate().map(named).collect(),
            seed: self.seed,
            quota: [("instances".to_owned(), self.quota)].into(),
            ..Shape::default()
        }
    }
}
