//! The order of wires and guests, and wires that belong to nobody.

use super::*;
use driver_fake::{FaultRule, Operation, When};

#[tokio::test(start_paused = true)]
async fn ports_are_plugged_before_the_guest_and_unplugged_after_it() {
    let h = house(driver_fake::Options::default());
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    h.client.rebuild(assignment(1, 2), &op(2)).await.unwrap();
    h.client.destroy(Uuid::from_u128(1), 3, DestroyMode::Everything, &op(3)).await.unwrap();
    assert_eq!(h.wires.log(), ["plug with 0 guests", "plug with 1 guests", "unplug with 0 guests"]);
}

#[tokio::test(start_paused = true)]
async fn a_spawn_that_fails_takes_its_wires_away_unless_the_guest_is_there() {
    for (when, expected) in [
        (When::BeforeEffect, &["plug with 0 guests", "unplug with 0 guests"][..]),
        (When::LostReply, &["plug with 0 guests"][..]),
    ] {
        let faults = vec![FaultRule::nth(Operation::Spawn, 1, when, ErrorKind::Internal)];
        let h = house(driver_fake::Options { faults, ..Default::default() });
        h.client.spawn(assignment(1, 1), &op(1)).await.unwrap_err();
        assert_eq!(h.wires.log(), expected, "{when:?}");
        h.client.destroy(Uuid::from_u128(1), 1, DestroyMode::Everything, &op(1)).await.unwrap();
        h.client.destroy(Uuid::from_u128(1), 1, DestroyMode::Everything, &op(1)).await.unwrap();
        assert!(h.wires.there.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn refresh_rewires_guests_that_are_there_and_updates_what_they_read() {
    let h = house(driver_fake::Options::default());
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    h.wires.log();
    let mut changed = assignment(1, 1);
    changed.guest.hostname = "renamed".to_owned();
    changed.spec.nics[0].fixed_ips[0].ip = [10, 0, 0, 200].into();
    h.client.refresh(vec![changed, assignment(2, 1)], &op(2)).await.unwrap();
    assert_eq!(h.wires.log(), ["refresh of 1 with 1 guests"], "the guest that is not made yet has no wires");
    let network = Uuid::from_u128(99);
    let by_ip = |last: u8| h.assignments.guest_by_ip(network, [10, 0, 0, last].into()).map(|g| g.hostname.clone());
    assert_eq!(by_ip(200).as_deref(), Some("renamed"));
    assert_eq!(by_ip(1), None, "an address given up answers nobody");
    assert_eq!(h.assignments.guest_by_ip(Uuid::from_u128(1), [10, 0, 0, 200].into()), None);
}

#[tokio::test(start_paused = true)]
async fn an_older_refresh_changes_nothing_and_is_no_failure() {
    let h = house(driver_fake::Options::default());
    h.client.spawn(assignment(1, 5), &op(1)).await.unwrap();
    let mut old = assignment(1, 4);
    old.guest.hostname = "old".to_owned();
    h.client.refresh(vec![old], &op(2)).await.unwrap();
    assert_eq!(h.assignments.get(Uuid::from_u128(1)).unwrap().guest.hostname, "server-1");
}

#[tokio::test(start_paused = true)]
async fn sync_forgets_and_unwires_what_is_not_assigned() {
    let h = house(driver_fake::Options::default());
    for n in 1..=2 {
        h.client.spawn(assignment(n, 1), &op(n)).await.unwrap();
    }
    h.wires.there.lock().unwrap().insert(port(3));
    // The fourth is assigned and not made yet.
    h.client.sync(vec![assignment(1, 1), assignment(4, 1)], &op(4)).await.unwrap();
    assert_eq!(h.wires.there.lock().unwrap().iter().copied().collect::<Vec<_>>(), [port(1)]);
    assert_eq!(h.assignments.ids().into_iter().collect::<Vec<_>>(), [Uuid::from_u128(1), Uuid::from_u128(4)]);
    assert_eq!(h.client.list(&op(5)).await.unwrap().len(), 2, "guests are the reconciler's to judge, not the agent's");
}

#[tokio::test(start_paused = true)]
async fn sync_leaves_a_build_that_is_under_way_alone() {
    let options = driver_fake::Options { latency_ms: [(Operation::Spawn, 60_000)].into(), ..Default::default() };
    let h = house(options);
    let (first, second) = (op(1), op(2));
    let (spawned, synced) = tokio::join!(h.client.spawn(assignment(1, 1), &first), h.client.sync(Vec::new(), &second));
    spawned.unwrap();
    synced.unwrap();
    assert!(h.wires.there.lock().unwrap().contains(&port(1)));
    assert_eq!(h.assignments.ids().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_port_that_was_taken_away_is_cut_at_once() {
    let h = house(driver_fake::Options::default());
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    let mut without = assignment(1, 1);
    without.spec.nics.clear();
    h.client.refresh(vec![without], &op(2)).await.unwrap();
    assert!(h.wires.there.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_late_refresh_does_not_bring_a_destroyed_guest_back() {
    let h = house(driver_fake::Options::default());
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    h.client.destroy(Uuid::from_u128(1), 2, DestroyMode::Everything, &op(2)).await.unwrap();
    h.client.refresh(vec![assignment(1, 2)], &op(3)).await.unwrap();
    h.client.sync(vec![assignment(1, 1)], &op(4)).await.unwrap();
    assert!(h.assignments.ids().is_empty() && h.wires.there.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_fresh_agent_unplugs_what_an_earlier_one_wired() {
    let h = house(driver_fake::Options::default());
    h.wires.there.lock().unwrap().insert(port(1));
    h.client.refresh(vec![assignment(1, 1)], &op(1)).await.unwrap();
    h.client.destroy(Uuid::from_u128(1), 2, DestroyMode::Everything, &op(2)).await.unwrap();
    assert!(h.wires.there.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_owns_its_network_is_not_wired_by_the_agent() {
    let machine = Machine::new();
    let driver = Fake::on(Arc::clone(&machine), driver_fake::Options::default()).unwrap();
    let mut h = house_with(machine, Arc::new(driver));
    let HostReport::Up(r) = h.state().await else { panic!("not up") };
    assert!(r.networking && r.driver.owns.network, "its guests have ports all the same");
    assert_eq!(r.nodes[0].host_ip, None, "no network of ours to name an address");
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    h.client.sync(vec![assignment(1, 1)], &op(2)).await.unwrap();
    assert_eq!(h.wires.log(), Vec::<String>::new());
}

/// Waits, in virtual time, until the host has exactly these ports.
async fn until_there(h: &House, ports: &[Uuid]) {
    let wanted: BTreeSet<Uuid> = ports.iter().copied().collect();
    let work = async {
        while *h.wires.there.lock().unwrap() != wanted {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(3600), work).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_guest_goes_although_its_wires_stay_and_they_are_taken_away_later() {
    for fails in [1, 2, 7] {
        let h = house(driver_fake::Options::default());
        h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
        *h.wires.stuck.lock().unwrap() = fails;
        h.client.destroy(Uuid::from_u128(1), 2, DestroyMode::Everything, &op(2)).await.unwrap();
        assert!(h.machine.remains().is_empty());
        assert!(h.wires.there.lock().unwrap().contains(&port(1)), "the wire is there to be found until it is gone");
        until_there(&h, &[]).await;
        let unplugged = h.wires.log().iter().filter(|l| l.starts_with("unplug")).count();
        assert_eq!(unplugged, fails as usize + 1);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(h.wires.log(), Vec::<String>::new(), "what is gone is left alone");
    }
}

#[tokio::test(start_paused = true)]
async fn the_undo_of_a_spawn_does_not_stick_to_its_wires() {
    let faults = vec![FaultRule::nth(Operation::Spawn, 1, When::BeforeEffect, ErrorKind::NoCapacity)];
    let h = house(driver_fake::Options { faults, ..Default::default() });
    *h.wires.stuck.lock().unwrap() = 3;
    assert_eq!(h.client.spawn(assignment(1, 1), &op(1)).await.unwrap_err().kind, ErrorKind::NoCapacity);
    h.client.destroy(Uuid::from_u128(1), 1, DestroyMode::Everything, &op(1)).await.unwrap();
    until_there(&h, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn sync_takes_away_what_a_destroy_left() {
    let h = house(driver_fake::Options::default());
    for n in 1..=2 {
        h.client.spawn(assignment(n, 1), &op(n)).await.unwrap();
    }
    *h.wires.stuck.lock().unwrap() = u32::MAX;
    h.client.destroy(Uuid::from_u128(1), 2, DestroyMode::Everything, &op(3)).await.unwrap();
    h.client.sync(vec![assignment(2, 1)], &op(4)).await.unwrap();
    assert_eq!(*h.wires.there.lock().unwrap(), BTreeSet::from([port(2)]));
    h.wires.log();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(h.wires.log(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_port_that_comes_back_to_the_host_is_not_cut_with_the_guest_that_had_it() {
    let h = house(driver_fake::Options::default());
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    *h.wires.stuck.lock().unwrap() = 2;
    h.client.destroy(Uuid::from_u128(1), 2, DestroyMode::Everything, &op(2)).await.unwrap();
    let mut other = assignment(2, 1);
    other.spec.nics = assignment(1, 1).spec.nics;
    h.client.spawn(other, &op(3)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(*h.wires.there.lock().unwrap(), BTreeSet::from([port(1)]));
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_driver_names_no_address_shows_its_networks() {
    let mut h = house(driver_fake::Options::default());
    let HostReport::Up(r) = h.state().await else { panic!("not up") };
    assert_eq!(r.nodes[0].host_ip.as_deref(), Some("192.0.2.9"));
}
