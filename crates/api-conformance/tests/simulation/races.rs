//! The races that the original fell into, by class: each a scenario that fails if its rule is broken. Letters are those of
//! `docs/reliability.md`, which names the classes that wait for features we do not have.

use api_conformance::simulation::{Ground, Watch};
use api_conformance::{Client, Database, Shape, TestCluster, World, journal};
use driver_api::ErrorKind;
use driver_fake::{FaultRule, Operation, Options, When};
use messaging::{Link, Way};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use store::servers::{Filter, Page};

const SERVERS: &str = "/compute/v2.1/servers";

/// A way to the hosts that does what a test says.
struct Scripted(Mutex<Box<Rule>>);

/// Delays of the copies of one message.
type Rule = dyn FnMut(&str, Way) -> Vec<Duration> + Send;

impl Link for Scripted {
    fn copies(&self, host: &str, way: Way) -> Vec<Duration> {
        (self.0.lock().unwrap())(host, way)
    }
}

impl Scripted {
    fn clear() -> Arc<Scripted> {
        Arc::new(Scripted(Mutex::new(Box::new(|_, _| vec![Duration::ZERO]))))
    }
    fn set(&self, rule: impl FnMut(&str, Way) -> Vec<Duration> + Send + 'static) {
        *self.0.lock().unwrap() = Box::new(rule);
    }
    fn mend(&self) {
        self.set(|_, _| vec![Duration::ZERO]);
    }
}

/// Hosts whose first is the first choice, each operation taking a second.
fn hosts(count: u64) -> Vec<Options> {
    use Operation::{Destroy, Power, Reboot, Snapshot, Spawn};
    let latency = || [Destroy, Power, Reboot, Snapshot, Spawn].map(|o| (o, 1000)).into();
    (0..count).map(|n| Options { memory_mib: (1 << 20) >> (2 * n), latency_ms: latency(), ..Options::default() }).collect()
}

fn world(options: Vec<Options>) -> Arc<World> {
    World::new(Shape { database: Database::Inline, keep: true, in_memory: true, ..Shape::of(options) })
}

fn watched(world: &World, c: &TestCluster) -> (Arc<Watch>, tokio::task::JoinHandle<()>) {
    let watch = Arc::new(Watch::default());
    let machines = world.shape().hosts.iter().map(|h| (h.name.clone(), h.machine.clone())).collect();
    let kept = watch.keep(c, machines);
    (watch, kept)
}

fn guests(world: &World) -> usize {
    world.shape().hosts.iter().map(|h| h.machine.remains().len()).sum()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

async fn delete(who: &Client, id: &str) {
    who.delete(&format!("{SERVERS}/{id}")).await.expect(204);
}

/// Nothing is left of anything.
async fn nothing_left(world: &World, c: &TestCluster, who: &Client) {
    assert_eq!(guests(world), 0, "guests are left");
    assert_eq!(who.used().await, [0, 0, 0]);
    assert_eq!(who.get("/network/v2.0/ports").await.expect(200)["ports"], json!([]));
    c.healthy().await;
}

/// A: a delete at every moment of a build, also of one that goes on to the next host, with every message late.
#[test]
fn a_delete_at_every_moment_of_a_build() {
    for failing in [false, true] {
        for moment in (0..4000).step_by(160) {
            let mut options = hosts(2);
            if failing {
                options[0].faults = vec![FaultRule::nth(Operation::Spawn, 1, When::LostReply, ErrorKind::Internal)];
            }
            let world = world(options);
            let link = Scripted::clear();
            link.set(|_, _| vec![Duration::from_millis(150), Duration::from_millis(700)]);
            world.set_link(link);
            world.life(async |c| {
                c.until("the hosts register", async || c.conductor().hosts().iter().filter(|h| h.up).count() == 2).await;
                let who = c.member("alice", "wonderland").await;
                let id = c.launch(&who, "short-lived").await;
                tokio::time::sleep(Duration::from_millis(moment)).await;
                delete(&who, &id).await;
                pass(60).await;
                who.get(&format!("{SERVERS}/{id}")).await.refused(404, "could not be found");
                nothing_left(&world, &c, &who).await;
                c.end().await;
            });
        }
    }
}

/// B: what a server holds goes exactly once, though its host is away when it is deleted and comes back later.
#[test]
fn b_a_delete_while_the_host_is_away_orphans_nothing() {
    let world = world(hosts(2));
    let link = Scripted::clear();
    world.set_link(link.clone());
    world.life(async |c| {
        c.until("the hosts register", async || c.conductor().hosts().iter().filter(|h| h.up).count() == 2).await;
        let who = c.member("alice", "wonderland").await;
        let (unreachable, silent) = (c.boot(&who, "unreachable").await, c.boot(&who, "silent").await);
        // Its hypervisor is away for one, its whole network for the other.
        c.machine("h1").set_reachable(false);
        pass(5).await;
        delete(&who, &unreachable).await;
        link.set(|_, _| Vec::new());
        c.machine("h1").set_reachable(true);
        pass(5).await;
        delete(&who, &silent).await;
        pass(120).await;
        assert_eq!(who.used().await, [0, 0, 0], "a host that is away holds no quota");
        link.mend();
        pass(130).await;
        nothing_left(&world, &c, &who).await;
        c.end().await;
    });
}

/// C: a host that took a build and fell silent may have the guest, so no other host gets it.
#[test]
fn c_a_host_that_falls_silent_in_a_build_and_comes_back() {
    // Which of the messages of the spawn are the last that pass.
    for passing in 0..4 {
        let world = world(hosts(2));
        let link = Scripted::clear();
        world.set_link(link.clone());
        world.life(async |c| {
            c.until("the hosts register", async || c.conductor().hosts().iter().filter(|h| h.up).count() == 2).await;
            let who = c.member("alice", "wonderland").await;
            let (watch, kept) = watched(&world, &c);
            let mut left = passing;
            link.set(move |host, way| {
                if host != "h1" {
                    return vec![Duration::ZERO];
                }
                if way == Way::Report || left == 0 {
                    return Vec::new();
                }
                left -= 1;
                vec![Duration::ZERO]
            });
            let id = c.launch(&who, "once").await;
            pass(150).await;
            link.mend();
            pass(150).await;
            assert_eq!(watch.broken(), Vec::<String>::new(), "after {passing} messages");
            let server = who.server(&id).await;
            let expected = usize::from(server["status"] == "ACTIVE");
            assert_eq!(guests(&world), expected, "after {passing} messages: {server}");
            kept.abort();
            delete(&who, &id).await;
            pass(60).await;
            nothing_left(&world, &c, &who).await;
            c.end().await;
        });
    }
}

/// C: a build is taken up in the next life while the host that has its guest is away: it is begun nowhere else.
#[test]
fn c_a_build_taken_up_while_its_host_is_away() {
    let world = world(hosts(2));
    let link = Scripted::clear();
    world.set_link(link.clone());
    let id = world.life(async |c| {
        c.until("the hosts register", async || c.conductor().hosts().iter().filter(|h| h.up).count() == 2).await;
        let who = c.member("alice", "wonderland").await;
        link.set(|host, way| if host == "h1" && way == Way::Answer { Vec::new() } else { vec![Duration::ZERO] });
        let id = c.launch(&who, "once").await;
        pass(5).await;
        c.die();
        id
    });
    assert_eq!(guests(&world), 1);
    world.machine("h1").set_reachable(false);
    link.mend();
    world.life(async |c| {
        let who = c.member("alice", "wonderland").await;
        let (watch, kept) = watched(&world, &c);
        pass(100).await;
        c.machine("h1").set_reachable(true);
        pass(130).await;
        assert_eq!(watch.broken(), Vec::<String>::new());
        let server = who.server(&id).await;
        assert_eq!(guests(&world), usize::from(server["status"] == "ACTIVE"), "{server}");
        kept.abort();
        delete(&who, &id).await;
        pass(60).await;
        nothing_left(&world, &c, &who).await;
        c.end().await;
    });
}

/// C: a rebuild on a host that goes away in the middle and returns; then again, and a guest is there once.
#[test]
fn c_a_rebuild_on_a_host_that_returns() {
    for cut in [100, 900, 1500, 2500] {
        let world = world(hosts(2));
        let link = Scripted::clear();
        world.set_link(link.clone());
        world.life(async |c| {
            c.until("the hosts register", async || c.conductor().hosts().iter().filter(|h| h.up).count() == 2).await;
            let who = c.member("alice", "wonderland").await;
            let id = c.boot(&who, "phoenix").await;
            let (watch, kept) = watched(&world, &c);
            let image = c.image().await;
            who.act(&id, json!({"rebuild": {"imageRef": image}})).await.expect(202);
            tokio::time::sleep(Duration::from_millis(cut)).await;
            link.set(|_, _| Vec::new());
            pass(100).await;
            link.mend();
            pass(130).await;
            assert_eq!(c.done(&who, &id, json!({"rebuild": {"imageRef": image}})).await, "ACTIVE", "cut after {cut} ms");
            assert_eq!((guests(&world), watch.broken()), (1, Vec::new()), "cut after {cut} ms");
            kept.abort();
            c.gone(&who, &id).await;
            nothing_left(&world, &c, &who).await;
            c.end().await;
        });
    }
}

/// D: a server deleted while it is imaged leaves no image that is neither whole nor gone, and no bytes.
#[test]
fn d_a_delete_in_the_middle_of_a_snapshot_leaves_no_half_image() {
    for moment in (0..2000).step_by(250) {
        let world = world(hosts(1));
        world.life(async |c| {
            let who = c.member("alice", "wonderland").await;
            let id = c.boot(&who, "camera-shy").await;
            who.act(&id, json!({"createImage": {"name": "copy"}})).await.expect(202);
            tokio::time::sleep(Duration::from_millis(moment)).await;
            delete(&who, &id).await;
            pass(60).await;
            let copies = who.get("/image/v2/images?name=copy").await.expect(200);
            let left: Vec<&Value> = copies["images"].as_array().unwrap().iter().filter(|i| i["status"] != "active").collect();
            assert!(left.is_empty(), "deleted after {moment} ms: {left:?}");
            nothing_left(&world, &c, &who).await;
            c.end().await;
        });
    }
}

/// E and F: a build that moves between hosts is counted on one of them at every moment, and a process that dies in any
/// of them loses and doubles nothing.
#[test]
fn e_f_a_build_that_moves_is_counted_once_and_survives_a_death_at_any_moment() {
    for moment in (0..5000).step_by(250) {
        let mut options = hosts(3);
        for o in &mut options[..2] {
            o.faults = vec![FaultRule::nth(Operation::Spawn, 1, When::AfterEffect, ErrorKind::NoCapacity)];
        }
        let world = world(options);
        let id = world.life(async |c| {
            let who = c.member("alice", "wonderland").await;
            let id = c.launch(&who, "nomad").await;
            for _ in 0..moment / 50 {
                tokio::time::sleep(Duration::from_millis(50)).await;
                assert_eq!(allocated(&c).await, 1, "within {moment} ms");
            }
            c.die();
            id
        });
        world.life(async |c| {
            let who = c.member("alice", "wonderland").await;
            c.idle().await;
            assert_eq!((who.status(&id).await.as_str(), guests(&world), allocated(&c).await), ("ACTIVE", 1, 1), "died after {moment} ms");
            c.gone(&who, &id).await;
            nothing_left(&world, &c, &who).await;
            c.end().await;
        });
    }
}

/// Providers that any consumer has allocations of.
async fn allocated(c: &TestCluster) -> usize {
    c.store()
        .read(|tx| {
            let mut count = 0;
            for p in store::placement::providers::all(tx)? {
                count += usize::from(!store::placement::allocations::of_provider(tx, p.id)?.is_empty());
            }
            Ok(count)
        })
        .await
        .unwrap()
}

/// H: as many as the quota allows, whatever comes at once and however often the process dies between.
#[test]
fn h_quota_is_exact_over_lives() {
    let shape = Shape { quota: [("instances".to_owned(), 5)].into(), ..world(hosts(2)).shape() };
    let world = World::new(shape);
    for life in 0..4_u64 {
        world.life(async |c| {
            let who = c.member("alice", "wonderland").await;
            let bodies = futures_util::future::join_all((0..8).map(|n| c.body(if n % 2 == 0 { "even" } else { "odd" }))).await;
            let made = futures_util::future::join_all(bodies.into_iter().map(|b| who.post(SERVERS, b))).await;
            let accepted = made.iter().filter(|a| a.status == 202).count();
            assert!(made.iter().all(|a| matches!(a.status, 202 | 403)), "life {life}");
            assert_eq!(accepted, if life == 0 { 5 } else { 1 }, "life {life}");
            tokio::time::sleep(Duration::from_millis(300 * life)).await;
            let list = who.get(SERVERS).await.expect(200);
            let first = list["servers"][0]["id"].as_str().unwrap().to_owned();
            delete(&who, &first).await;
            c.die();
        });
        world.life(async |c| {
            let who = c.member("alice", "wonderland").await;
            c.idle().await;
            assert_eq!((who.used().await[0], guests(&world)), (4, 4), "after life {life}");
            c.end().await;
        });
    }
}

/// I: an agent that starts again has the same nodes and guests; its earlier self's end does not mark it down.
#[test]
fn i_an_agent_that_starts_again_is_the_same_host() {
    let world = world(hosts(2));
    world.life(async |mut c| {
        let who = c.member("alice", "wonderland").await;
        let id = c.boot(&who, "guest").await;
        let providers = |c: &TestCluster| c.store().clone();
        let before = providers(&c).read(store::placement::providers::all).await.unwrap();
        for _ in 0..3 {
            c.restart_agent("h1").await;
            pass(3).await;
            let all = c.conductor().hosts();
            assert!(all.iter().all(|h| h.up), "{all:?}");
        }
        let after = providers(&c).read(store::placement::providers::all).await.unwrap();
        assert_eq!(before.iter().map(|p| p.id).collect::<Vec<_>>(), after.iter().map(|p| p.id).collect::<Vec<_>>());
        assert_eq!((who.status(&id).await.as_str(), guests(&world)), ("ACTIVE", 1));
        assert_eq!(c.done(&who, &id, json!({"os-stop": null})).await, "SHUTOFF");
        c.gone(&who, &id).await;
        nothing_left(&world, &c, &who).await;
        c.end().await;
    });
}

/// J: nothing is transitional longer than two leases after its worker or its messages are lost.
#[test]
fn j_nothing_stays_in_a_transitional_state() {
    for (what, body) in [
        ("stop", json!({"os-stop": null})),
        ("reboot", json!({"reboot": {"type": "HARD"}})),
        ("snapshot", json!({"createImage": {"name": "copy"}})),
    ] {
        for agent in [false, true] {
            let world = world(hosts(1));
            let link = Scripted::clear();
            world.set_link(link.clone());
            world.life(async |mut c| {
                c.until("the hosts register", async || c.conductor().hosts().iter().any(|h| h.up)).await;
                let who = c.member("alice", "wonderland").await;
                let id = c.boot(&who, "stuck").await;
                who.act(&id, body.clone()).await.expect(202);
                tokio::time::sleep(Duration::from_millis(500)).await;
                if agent { c.restart_agent("h1").await } else { link.set(|_, _| Vec::new()) }
                pass(120).await;
                let server = who.server(&id).await;
                assert_eq!(server["OS-EXT-STS:task_state"], Value::Null, "{what}: {server}");
                link.mend();
                pass(130).await;
                c.gone(&who, &id).await;
                nothing_left(&world, &c, &who).await;
                c.end().await;
            });
        }
    }
}

/// L: generations rise with every intent, and what a host hears late of an older one changes nothing.
#[test]
fn l_what_was_overtaken_changes_nothing() {
    let world = world(hosts(1));
    let link = Scripted::clear();
    world.set_link(link.clone());
    world.life(async |c| {
        c.until("the hosts register", async || c.conductor().hosts().iter().any(|h| h.up)).await;
        let who = c.member("alice", "wonderland").await;
        let id = c.boot(&who, "overtaken").await;
        // Every call arrives at once and, long after it was answered, once more.
        link.set(|_, way| match way {
            Way::Call => vec![Duration::ZERO, Duration::from_secs(20)],
            _ => vec![Duration::ZERO],
        });
        let boots = |world: &World| world.machine("h1").remains()[0].boots;
        assert_eq!(c.done(&who, &id, json!({"reboot": {"type": "HARD"}})).await, "ACTIVE");
        let once = boots(&world);
        pass(30).await;
        assert_eq!(boots(&world), once, "a copy rebooted it again");
        assert_eq!(c.done(&who, &id, json!({"os-stop": null})).await, "SHUTOFF");
        assert_eq!(c.done(&who, &id, json!({"os-start": null})).await, "ACTIVE");
        pass(60).await;
        assert_eq!(who.status(&id).await, "ACTIVE", "the copy of the stop came after the start");
        let servers = c.store().read(|tx| store::servers::list(tx, &Filter::default(), &Page::default(), |_| true)).await.unwrap();
        assert_eq!(servers[0].generation, 4);
        c.gone(&who, &id).await;
        pass(60).await;
        nothing_left(&world, &c, &who).await;
        c.end().await;
    });
}

/// R8: with 30 % of the messages lost, 30 % doubled, late and out of order, a fixed session ends as it does without.
#[test]
fn weather_changes_nothing_in_the_end() {
    let ground = Ground::make();
    let mut strict = 0;
    for seed in 1..40 {
        let mut plan = api_conformance::simulation::Plan::of(seed);
        if !plan.strict() {
            continue;
        }
        strict += 1;
        plan.lives = 1;
        // The oracle foresees the end of every accepted request, so it holds both ends to the same.
        for weather in [None, Some(api_conformance::simulation::worst())] {
            let fresh = api_conformance::simulation::Plan::of(seed);
            ground.perform(api_conformance::simulation::Plan { weather, hosts: fresh.hosts, ..plan.clone() });
        }
    }
    assert!(strict > 5, "only {strict} seeds foresee their end");
}

/// Calendar jumps and pauses: no host is thought down, nothing is begun twice, no token of an hour dies of a minute.
#[test]
fn a_clock_that_is_set_ends_no_lease() {
    for jump in [3_600_000_000_i64, -3_600_000_000] {
        let world = world(hosts(1));
        world.life(async |c| {
            let who = c.member("alice", "wonderland").await;
            let id = c.boot(&who, "timeless").await;
            who.act(&id, json!({"createImage": {"name": "copy"}})).await.expect(202);
            tokio::time::sleep(Duration::from_millis(100)).await;
            let before = c.conductor().invariants().await.unwrap();
            c.env().clock.jump(jump);
            let after = c.conductor().invariants().await.unwrap();
            assert_eq!((before, after), (Vec::new(), Vec::new()), "{jump}");
            tokio::time::sleep(Duration::from_secs(30)).await;
            assert!(c.conductor().hosts().iter().all(|h| h.up), "{jump}");
            assert_eq!((who.status(&id).await.as_str(), guests(&world)), ("ACTIVE", 1), "{jump}");
            let copies = who.get("/image/v2/images?name=copy").await.expect(200);
            assert_eq!(copies["images"][0]["status"], "active", "{jump}");
            who.act(&id, json!({"os-stop": null})).await.expect(202);
            c.env().clock.jump(-jump);
            tokio::time::advance(Duration::from_secs(300)).await;
            c.idle().await;
            assert_eq!(who.status(&id).await, "SHUTOFF", "{jump}");
            c.gone(&who, &id).await;
            nothing_left(&world, &c, &who).await;
            assert!(!journal(c.store()).await.unwrap().is_empty());
            c.end().await;
        });
    }
}
