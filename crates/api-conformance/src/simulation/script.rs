//! A life: requests and disturbances as the dice fall, then a kill, or the settling and the judgement.

use super::requests::Request;
use super::{PROJECTS, Stage, members};
use crate::{Client, TestCluster, journal};
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;

/// Runs one life to its end.
pub(crate) async fn life(stage: &Arc<Stage>, mut c: TestCluster, last: bool) {
    let machines = machines(stage);
    let watching = stage.watch.keep(&c, machines);
    let steps = async {
        let who = members(&c).await;
        if stage.plan.strict() {
            // What is asked of a cloud whose hosts have not spoken yet may rightly be refused.
            c.until("the hosts speak", async || c.conductor().hosts().iter().filter(|h| h.up).count() == stage.plan.hosts.len()).await;
        }
        for _ in 0..stage.plan.steps {
            step(stage, &mut c, &who).await;
            let broken = stage.watch.broken();
            assert!(broken.is_empty(), "{broken:#?}");
        }
    };
    // A kill comes at a moment of its own; the last life is heard to its end.
    let killed_after = Duration::from_millis(1 + stage.below(stage.plan.steps * 4000));
    if last {
        steps.await;
    } else if tokio::time::timeout(killed_after, steps).await.is_err() {
        stage.report(|r| r.faults += 1);
    }
    if !last {
        watching.abort();
        mend(stage, &c);
        return c.die();
    }
    settle(stage, &c).await;
    watching.abort();
    judge(stage, c).await;
}

fn machines(stage: &Stage) -> super::watch::Machines {
    stage.plan.hosts.iter().enumerate().map(|(n, (_, m))| (format!("h{}", n + 1), m.clone())).collect()
}

async fn step(stage: &Arc<Stage>, c: &mut TestCluster, who: &[Client]) {
    let dice = stage.below(100);
    if dice < stage.plan.disturbed {
        disturb(stage, c).await;
    } else if dice < stage.plan.disturbed + stage.plan.warped {
        warp(stage, c).await;
    } else {
        // Now and then several at once.
        let count = if stage.below(6) == 0 { 2 + stage.below(3) } else { 1 };
        let mut requests = Vec::new();
        for _ in 0..count {
            let number = stage.oracle(|o| {
                o.names += 1;
                o.names
            });
            let request = Request::drawn(stage, number);
            let who = &who[request.owner];
            requests.push(request.send(stage, who));
        }
        join_all(requests).await;
    }
    let pause = match stage.below(10) {
        0..=2 => 0,
        3..=7 => stage.below(3000),
        8 => stage.below(20_000),
        _ => stage.below(60_000),
    };
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// Something happens to a host or a guest behind the platform's back.
async fn disturb(stage: &Arc<Stage>, c: &mut TestCluster) {
    stage.report(|r| r.faults += 1);
    let n = usize::try_from(stage.below(stage.plan.hosts.len() as u64)).unwrap_or(0);
    let kind = stage.below(8);
    tracing::info!(host = n + 1, kind, "a disturbance");
    let (name, machine) = (format!("h{}", n + 1), stage.plan.hosts[n].1.clone());
    let guests: Vec<_> = machine.remains().iter().map(|g| g.id).collect();
    let guest = (!guests.is_empty()).then(|| guests[usize::try_from(stage.below(guests.len() as u64)).unwrap_or(0)]);
    match (kind, guest) {
        (0 | 1, _) => machine.set_reachable(!machine.is_reachable()),
        (2, _) => {
            stage.weather.cut(&name, true);
            tokio::time::sleep(Duration::from_millis(stage.below(90_000))).await;
            stage.weather.cut(&name, false);
        }
        (3, _) => c.restart_agent(&name).await,
        (4, Some(id)) => drop(machine.guest_shutdown(id)),
        (5, Some(id)) => drop(machine.crash(id)),
        (6, Some(id)) => machine.lose(id),
        _ => machine.plant(stage.dice.uuid()),
    }
    stage.watch.disturbed(&c.env().clock);
}

/// Time does not go as it should: the calendar jumps, or the process stands still while the world goes on.
async fn warp(stage: &Arc<Stage>, c: &TestCluster) {
    stage.report(|r| r.faults += 1);
    const HOUR: i64 = 3_600_000_000;
    match stage.below(3) {
        0 => c.env().clock.jump(HOUR),
        1 => c.env().clock.jump(-HOUR),
        _ => {
            let pause = Duration::from_secs(1 + stage.below(300));
            stage.watch.paused(&c.env().clock, pause);
            tokio::time::advance(pause).await;
        }
    }
    stage.watch.disturbed(&c.env().clock);
}

/// Machines are there again for whoever comes next.
fn mend(stage: &Stage, c: &TestCluster) {
    for (n, (_, machine)) in stage.plan.hosts.iter().enumerate() {
        stage.weather.cut(&format!("h{}", n + 1), false);
        if stage.below(3) > 0 {
            machine.set_reachable(true);
        }
    }
    stage.watch.disturbed(&c.env().clock);
}

/// Every fault ceases; then everything has two leases to come to rest.
async fn settle(stage: &Arc<Stage>, c: &TestCluster) {
    stage.weather.cease();
    for (_, machine) in &stage.plan.hosts {
        machine.forget_faults();
        machine.set_reachable(true);
    }
    stage.watch.disturbed(&c.env().clock);
    // First the flows come to their ends, which the watch bounds; then the reconcilers have two turns.
    let mut rest = 0;
    while rest < 30 {
        tokio::time::sleep(super::SECOND * 5).await;
        let broken = stage.watch.broken();
        assert!(broken.is_empty(), "{broken:#?}");
        let idle = c.store().read(store::flows::unfinished).await.is_ok_and(|f| f.is_empty());
        rest = if idle { rest + 1 } else { 0 };
    }
}

/// Holds what is there against what was acknowledged.
async fn judge(stage: &Arc<Stage>, c: TestCluster) {
    let who = members(&c).await;
    let mut wrong = Vec::new();
    for (owner, member) in who.iter().enumerate() {
        let list = member.get("/compute/v2.1/servers/detail").await.expect(200);
        let list = list["servers"].as_array().cloned().unwrap_or_default();
        wrong.extend(stage.oracle(|o| o.judge(owner, &list)));
        let used = member.used().await[0];
        if used != i64::try_from(list.len()).unwrap_or(-1) {
            wrong.push(format!("{}: {used} instances counted, {} there", PROJECTS[owner].1, list.len()));
        }
        for server in &list {
            wrong.extend(on_the_machines(stage, &c, server).await);
        }
        wrong.extend(images(stage, member).await);
    }
    wrong.extend(again(stage, &c, &who).await);
    wrong.extend(c.audit().await.iter().map(ToString::to_string));
    assert!(wrong.is_empty(), "{wrong:#?}");
    let hash = journal(c.store()).await.expect("the journal can be read");
    let seconds = stage.watch.seconds();
    stage.report(|r| {
        r.journal = hash;
        r.seconds = seconds;
    });
    c.end().await;
}

/// Deletes that ended in ERROR while faults lasted are asked for again; now nothing keeps them.
async fn again(stage: &Stage, c: &TestCluster, who: &[Client]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (owner, id) in stage.oracle(|o| o.deleted()) {
        let path = format!("/compute/v2.1/servers/{id}");
        if who[owner].get(&path).await.status == 200 {
            // Its project may have locked it meanwhile.
            c.admin().delete(&path).await.expect(204);
            tokio::time::sleep(super::SECOND * 30).await;
            if who[owner].get(&path).await.status != 404 {
                wrong.push(format!("{id}: is there after two deletes"));
            }
        }
    }
    wrong
}

/// A server's guest is as its record says, on one machine.
async fn on_the_machines(stage: &Stage, c: &TestCluster, server: &serde_json::Value) -> Vec<String> {
    use driver_api::PowerState::{Paused, Running};
    let id = server["id"].as_str().unwrap_or_default();
    let shown = c.admin().server(id).await;
    let host = shown["OS-EXT-SRV-ATTR:host"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    for (n, (_, machine)) in stage.plan.hosts.iter().enumerate() {
        found.extend(machine.remains().into_iter().filter(|g| g.id.to_string() == id).map(|g| (format!("h{}", n + 1), g.power)));
    }
    let status = server["status"].as_str().unwrap_or_default();
    let right = match status {
        "ACTIVE" => found == [(host.to_owned(), Running)],
        "PAUSED" => found == [(host.to_owned(), Paused)],
        "SHUTOFF" | "SUSPENDED" => found.len() <= 1 && found.iter().all(|(h, p)| h == host && *p != Running),
        "ERROR" => found.len() <= 1 && found.iter().all(|(h, _)| h == host) && !server["fault"].is_null(),
        _ => false,
    };
    if right { Vec::new() } else { vec![format!("{id}: {status} on {host:?} (fault {}), and the machines have {found:?}", server["fault"])] }
}

/// Images of accepted snapshots are whole or gone.
async fn images(stage: &Stage, member: &Client) -> Vec<String> {
    let mut wrong = Vec::new();
    let list = member.get("/image/v2/images?limit=1000").await.expect(200);
    for image in list["images"].as_array().into_iter().flatten() {
        if image["status"] != "active" {
            wrong.push(format!("image {} is {}", image["id"], image["status"]));
        }
    }
    if stage.plan.strict() {
        let mine = stage.oracle(|o| o.images.keys().cloned().collect::<Vec<_>>());
        for id in mine {
            let answer = member.get(&format!("/image/v2/images/{id}")).await;
            // Of the other project: not there for this one.
            if answer.status == 200 && answer.json["status"] != "active" {
                wrong.push(format!("image {id} of an accepted snapshot is {}", answer.json["status"]));
            }
        }
    }
    wrong
}
