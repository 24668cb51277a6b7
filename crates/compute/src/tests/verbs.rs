//! Every verb reaches the driver and its answer climbs back.

use super::*;
use tokio::io::AsyncReadExt;

#[tokio::test(start_paused = true)]
async fn a_guest_lives_and_dies_through_the_typed_calls() {
    let h = house(driver_fake::Options::default());
    let (c, id) = (&h.client, Uuid::from_u128(1));
    let a = |generation| assignment(1, generation);
    assert_eq!(c.spawn(a(1), &op(1)).await.unwrap().power, PowerState::Running);
    assert_eq!(c.pause(a(2), &op(2)).await.unwrap().power, PowerState::Paused);
    assert_eq!(c.unpause(a(3), &op(3)).await.unwrap().power, PowerState::Running);
    assert_eq!(c.suspend(a(4), &op(4)).await.unwrap().power, PowerState::Suspended);
    assert_eq!(c.resume(a(5), &op(5)).await.unwrap().power, PowerState::Running);
    assert_eq!(c.reboot(a(6), RebootKind::Hard, &op(6)).await.unwrap().generation, 6);
    let off = Power::Off { grace: Duration::from_secs(60) };
    assert_eq!(c.power(a(7), off, &op(7)).await.unwrap().power, PowerState::Shutdown);
    assert_eq!(c.power(a(8), Power::On, &op(8)).await.unwrap().power, PowerState::Running);
    assert!(c.snapshot(a(9), Uuid::from_u128(77), &op(9)).await.unwrap().size > 0);
    assert_eq!(c.diagnostics(id, &op(10)).await.unwrap().state, "running");
    let log = String::from_utf8(c.console_log(id, None, &op(11)).await.unwrap()).unwrap();
    assert!(log.contains("config drive of"), "{log}");
    let mut vnc = c.open_console(id, ConsoleKind::Vnc, &op(12)).await.unwrap();
    let mut hello = [0; 3];
    vnc.reader.read_exact(&mut hello).await.unwrap();
    assert_eq!(&hello, b"RFB");
    assert_eq!(c.rebuild(a(10), &op(13)).await.unwrap().generation, 10);
    assert_eq!(c.list(&op(14)).await.unwrap(), vec![c.get(id, &op(15)).await.unwrap()]);
    c.destroy(id, 11, DestroyMode::Everything, &op(16)).await.unwrap();
    c.destroy(id, 11, DestroyMode::Everything, &op(16)).await.unwrap();
    assert_eq!(c.get(id, &op(17)).await.unwrap_err().kind, ErrorKind::NotFound);
    assert!(h.machine.remains().is_empty() && h.assignments.ids().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_driver_without_the_facet_is_not_asked() {
    let h = house(driver_fake::Options { facets: Some(vec!["pause".to_owned()]), ..Default::default() });
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    let e = h.client.suspend(assignment(1, 2), &op(2)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::UnsupportedSpec);
    assert_eq!(e.message, "driver fake of host host cannot suspend");
    let e = h.client.console_log(Uuid::from_u128(1), None, &op(3)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::UnsupportedSpec);
    h.client.pause(assignment(1, 3), &op(4)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_is_not_repeated_when_only_its_answer_was_lost() {
    let h = house(driver_fake::Options::default());
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    h.client.reboot(assignment(1, 1), RebootKind::Hard, &op(2)).await.unwrap();
    h.client.rebuild(assignment(1, 2), &op(3)).await.unwrap();
    assert_eq!(h.boots(1), 1);
    h.client.reboot(assignment(1, 2), RebootKind::Hard, &op(4)).await.unwrap();
    // The agent dies; the next one finds the note on disk.
    let House { agent, machine, dir, .. } = h;
    drop(agent);
    let driver = Fake::on(Arc::clone(&machine), driver_fake::Options::default()).unwrap();
    let (client, _reports, server) = in_process("host");
    let _agent = Agent::start(Parts {
        server,
        driver: Arc::new(driver),
        wiring: None,
        assignments: Assignments::default(),
        images: Arc::new(Images),
        clock: Clock::virtual_from(Timestamp(0)),
        data_dir: dir.path().to_owned(),
        netns: None,
        vtep: None,
        options: Options::default(),
        inline_io: true,
    })
    .unwrap();
    client.rebuild(assignment(1, 2), &op(3)).await.unwrap();
    assert_eq!(machine.remains()[0].boots, 2, "the guest was not made anew");
    client.rebuild(assignment(1, 3), &op(5)).await.unwrap();
    assert_eq!(machine.remains()[0].boots, 1);
    client.destroy(Uuid::from_u128(1), 4, DestroyMode::Everything, &op(6)).await.unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("agent")).unwrap().count(), 0);
}

/// The next password that the host reports.
async fn reported(h: &mut House) -> (Uuid, guestdata::Secret) {
    loop {
        if let HostReport::Password { instance, password } = h.report().await {
            return (instance, password);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_posted_password_is_acknowledged_when_its_assignment_has_it_and_once_only() {
    use hostnet::{MetadataSource, PasswordRefused};
    let mut h = house(driver_fake::Options::default());
    let id = Uuid::from_u128(1);
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    let secret = |text: &str| guestdata::Secret::new(text.as_bytes());
    let with = |text: &str| {
        let mut a = assignment(1, 1);
        a.guest.password = Some(secret(text));
        a
    };
    // Nobody keeps it: the guest is told to come again, and may.
    let source = h.assignments.clone();
    assert_eq!(source.set_password(id, secret("one")).await, Err(PasswordRefused::Unavailable));
    assert_eq!(reported(&mut h).await, (id, secret("one")));
    assert_eq!(source.set_password(Uuid::from_u128(2), secret("x")).await, Err(PasswordRefused::Unavailable));
    // Kept.
    let posting = { let s = source.clone(); tokio::spawn(async move { s.set_password(id, guestdata::Secret::new(b"two".as_slice())).await }) };
    assert_eq!(reported(&mut h).await, (id, secret("two")));
    h.client.refresh(vec![with("two")], &op(2)).await.unwrap();
    assert_eq!(posting.await.unwrap(), Ok(()));
    // Once.
    assert_eq!(source.set_password(id, secret("two")).await, Err(PasswordRefused::AlreadySet));
    // Cleared by its owner; then another was faster.
    h.client.refresh(vec![assignment(1, 1)], &op(3)).await.unwrap();
    let posting = { let s = source.clone(); tokio::spawn(async move { s.set_password(id, guestdata::Secret::new(b"three".as_slice())).await }) };
    assert_eq!(reported(&mut h).await, (id, secret("three")));
    h.client.refresh(vec![with("four")], &op(4)).await.unwrap();
    assert_eq!(posting.await.unwrap(), Err(PasswordRefused::AlreadySet));
}
