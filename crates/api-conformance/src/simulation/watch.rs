//! What must hold at every moment, looked at each simulated second.

use crate::TestCluster;
use conductor::Conductor;
use driver_api::{Clock, PowerState, Timestamp};
use driver_fake::Machine;
use model::server::Server;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::Store;
use uuid::Uuid;

/// The longest that a server may be on its way after the last fault: two leases, and the time of the slowest simulated
/// operation and of a host's silence with it.
const LONGEST: Duration = Duration::from_secs(2 * 60 + 45);
/// What hangs by plan ends with its operation's deadline, which is half an hour.
const HANGING: Duration = Duration::from_secs(1800 + 60);

/// What was seen so far. It outlives the lives of the process.
#[derive(Default)]
pub struct Watch(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    generations: BTreeMap<Uuid, i64>,
    /// Flows that were seen, and since when.
    flows: BTreeMap<Uuid, Timestamp>,
    /// When something was disturbed last, by the steady clock of the life.
    disturbed: Timestamp,
    /// Planned faults that struck, of all machines: one that strikes late is the last fault then.
    struck: u64,
    /// Some driver hangs by plan.
    hanging: bool,
    /// When the process stood still last, until when.
    paused: Option<Timestamp>,
    broken: Vec<String>,
    seconds: u64,
}

/// The machines by name.
pub type Machines = Vec<(String, Arc<Machine>)>;

impl Watch {
    fn with<T>(&self, f: impl FnOnce(&mut Seen) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// Something was disturbed, or ceased to be.
    pub fn disturbed(&self, clock: &Clock) {
        let now = clock.steady();
        self.with(|s| s.disturbed = s.disturbed.max(now));
    }
    /// The process will stand still for `pause` at once; what was missed meanwhile is made up for in its first lease.
    pub fn paused(&self, clock: &Clock, pause: Duration) {
        let end = clock.steady().plus(pause);
        self.with(|s| {
            s.disturbed = s.disturbed.max(end);
            s.paused = Some(end);
        });
    }
    /// What does not hold, if anything did not.
    pub fn broken(&self) -> Vec<String> {
        self.with(|s| s.broken.clone())
    }
    /// Seconds that were looked at.
    pub fn seconds(&self) -> u64 {
        self.with(|s| s.seconds)
    }

    /// Drivers may hang until an operation's deadline.
    pub fn hanging(&self) {
        self.with(|s| s.hanging = true);
    }

    /// Looks each second until its life ends.
    pub fn keep(self: &Arc<Self>, c: &TestCluster, machines: Machines) -> tokio::task::JoinHandle<()> {
        let (me, store, conductor, clock) = (self.clone(), c.store().clone(), c.conductor().clone(), c.env().clock.clone());
        // A new life counts anew: what it has to take up is its first disturbance.
        self.with(|s| {
            s.flows.clear();
            s.paused = Some(clock.steady());
            s.disturbed = clock.steady();
        });
        tokio::spawn(async move {
            loop {
                clock.sleep(super::SECOND).await;
                me.look(&store, &conductor, &machines, clock.steady()).await;
            }
        })
    }

    async fn look(&self, store: &Store, conductor: &Conductor, machines: &Machines, now: Timestamp) {
        let broken = conductor.invariants().await.unwrap_or_else(|e| vec![e.to_string()]);
        let servers = store
            .read(|tx| store::servers::list(tx, &store::servers::Filter::default(), &store::servers::Page::default(), |_| true))
            .await
            .unwrap_or_default();
        self.with(|seen| {
            seen.seconds += 1;
            let struck = machines.iter().map(|(_, m)| m.struck()).sum();
            if struck != seen.struck {
                seen.struck = struck;
                seen.disturbed = seen.disturbed.max(now);
            }
            let mut all = broken;
            // Nobody renewed leases while the process stood still; it does so as it goes on.
            if seen.paused.is_some_and(|end| now < end.plus(Duration::from_secs(20))) {
                all.retain(|b| !b.contains("its lease end"));
            }
            generations(seen, &servers, &mut all);
            copies(machines, &mut all);
            stays(seen, &servers, now, &mut all);
            if seen.broken.is_empty() && !all.is_empty() {
                seen.broken = all.into_iter().map(|b| format!("at {} s: {b}", now.0 / 1_000_000)).collect();
            }
        });
    }
}

/// A server's generation never falls.
fn generations(seen: &mut Seen, servers: &[Server], out: &mut Vec<String>) {
    for s in servers {
        let before = seen.generations.insert(s.id, s.generation).unwrap_or(0);
        if s.generation < before {
            out.push(format!("server {}: generation {} after {before}", s.id, s.generation));
        }
    }
}

/// No guest runs twice.
fn copies(machines: &Machines, out: &mut Vec<String>) {
    let mut running: BTreeMap<Uuid, Vec<&str>> = BTreeMap::new();
    for (name, machine) in machines {
        for guest in machine.remains() {
            if guest.defined && matches!(guest.power, PowerState::Running | PowerState::Paused) {
                running.entry(guest.id).or_default().push(name);
            }
        }
    }
    out.extend(running.iter().filter(|(_, hosts)| hosts.len() > 1).map(|(id, hosts)| format!("guest {id} runs on {hosts:?}")));
}

/// Nobody is on his way for too long.
fn stays(seen: &mut Seen, servers: &[Server], now: Timestamp, out: &mut Vec<String>) {
    let flows: BTreeMap<Uuid, &Server> = servers.iter().filter_map(|s| Some((s.flow_id?, s))).collect();
    seen.flows.retain(|id, _| flows.contains_key(id));
    for (flow, server) in flows {
        let since = *seen.flows.entry(flow).or_insert(now);
        let stay = now.since(since.max(seen.disturbed));
        if stay > LONGEST + if seen.hanging { HANGING } else { Duration::ZERO } {
            let action = server.action.map_or("nothing", |a| a.as_str());
            out.push(format!("server {}: {action} for {} s after the last fault", server.id, stay.as_secs()));
        }
    }
}
