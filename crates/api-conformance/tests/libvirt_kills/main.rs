//! kill -9 over real guests: the program on two libvirt hosts, under load, killed at a random instant and started again on
//! the same data. What was acknowledged is true, nothing is stuck, the audit finds nothing, and the daemons have the guests
//! that the API lists and no others. In the end nothing is left on the hosts.
//!
//! `KILONOVA_LIBVIRT_KILLS` rounds (10 without it), from `KILONOVA_LIBVIRT_KILLS_SEED`. Needs root and the laboratory
//! (libvirt hosts hv1 and hv2); what is missing is a failure.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod check;
mod load;
mod process;

use api_conformance::lab::quiet;
use load::Ledger;
use model::Random;
use process::Process;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The kill comes this long after the load began, at most: a guest is made in about a second.
const LONGEST: u64 = 5_000;

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |v| v.parse().unwrap_or_else(|_| panic!("{name}={v}: a number is wanted")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_on_real_hosts() {
    let rounds = number("KILONOVA_LIBVIRT_KILLS", 10);
    let seed = number("KILONOVA_LIBVIRT_KILLS_SEED", 20_261_122);
    let random = Random::seeded(seed);
    let mut process = Process::new();
    let daemons = process.daemons();
    let ledger: Arc<Mutex<Ledger>> = Arc::default();
    let (begun, mut longest, mut taken_up) = (Instant::now(), Duration::ZERO, 0);
    for round in 0..rounds {
        let told = format!("seed {seed}, round {round}");
        process.start();
        let cloud = Arc::new(process.login().await);
        if round == 0 {
            let image = process.image(&cloud).await;
            ledger.lock().unwrap().image = Some(image);
        }
        let (took, found) = check::settled(&cloud, &ledger, &told, &process).await;
        longest = longest.max(took);
        taken_up += found;
        if round == rounds / 2 {
            a_stray_wire_is_found(&cloud, &told, &process).await;
        }
        let after = Duration::from_millis(random.below(LONGEST));
        let clients = load::begin(&cloud, &ledger, &random, round);
        tokio::time::sleep(after).await;
        process.kill();
        for client in clients {
            client.await.unwrap_or_else(|e| panic!("{told}: {e}"));
        }
        let kept = ledger.lock().unwrap().servers.len();
        println!(
            "round {round}: killed after {:.1} s with {kept} servers; settled before in {:.1} s",
            after.as_secs_f64(),
            took.as_secs_f64()
        );
    }
    let told = format!("seed {seed}, end");
    process.start();
    let cloud = Arc::new(process.login().await);
    let (took, found) = check::settled(&cloud, &ledger, &told, &process).await;
    check::emptied(&cloud, &told, &process).await;
    process.stop();
    assert_eq!(process.left(), Vec::<String>::new(), "{told}: remains on the hosts\n{}", process.log());
    assert_eq!(process.daemons(), daemons, "{told}: a daemon fell and was started anew");
    let l = ledger.lock().unwrap();
    println!(
        "libvirt kills: {rounds} rounds in {:.0} s, seed {seed}: {} creates, {} deletes and {} actions acknowledged, {} requests in flight \
         at the kill, {} servers found in an action after it; longest until settled {:.1} s",
        begun.elapsed().as_secs_f64(),
        l.creates,
        l.deletes,
        l.actions,
        l.in_flight,
        taken_up + found,
        longest.max(took).as_secs_f64(),
    );
    assert!(rounds < 5 || (l.creates > 0 && l.deletes > 0 && taken_up > 0), "the kills met nothing: {l:?}");
}

/// A wire of ours that no server has is found for as long as it is there; the kill and start that follow take it away,
/// or the next round's audit finds it.
async fn a_stray_wire_is_found(cloud: &client::Cloud, told: &str, process: &Process) {
    let (host, tap) = (&process.hosts[0], "tap0badcafe-00");
    for words in [&["tuntap", "add", tap, "mode", "tap"][..], &["link", "set", "dev", tap, "alias", "kilonova"]] {
        quiet(&[&["ip", "-n", &host.netns], words].concat());
    }
    let report = check::get(cloud, "kilonova", "/audit", told, process).await;
    let found: Vec<(&str, &str)> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|f| Some((f["kind"].as_str()?, f["subject"].as_str()?)))
        .collect();
    assert_eq!(found, [("wire", tap)], "{told}: {report}");
}
