//! One lane a guest: joining, waiting, cancelling, refusing, deadlines, a driver that panics.

use super::*;
use driver_fake::{FaultRule, Operation, When};

fn slow(operation: Operation, seconds: u64) -> driver_fake::Options {
    driver_fake::Options { latency_ms: [(operation, seconds * 1000)].into(), ..Default::default() }
}

fn hanging(operation: Operation) -> driver_fake::Options {
    let faults = vec![FaultRule::nth(operation, 1, When::Hang, ErrorKind::TimedOut)];
    driver_fake::Options { faults, ..Default::default() }
}

#[tokio::test(start_paused = true)]
async fn the_same_operation_twice_runs_once_and_answers_both() {
    let h = house(slow(Operation::Reboot, 10));
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    let again = op(2);
    let (a, b) = tokio::join!(
        h.client.reboot(assignment(1, 2), RebootKind::Hard, &again),
        h.client.reboot(assignment(1, 2), RebootKind::Hard, &again)
    );
    assert_eq!(a.unwrap(), b.unwrap());
    assert_eq!(h.boots(1), 2);
}

#[tokio::test(start_paused = true)]
async fn guests_do_not_wait_for_each_other_but_changes_of_one_do() {
    let h = house(slow(Operation::Power, 100));
    for n in 1..=2 {
        h.client.spawn(assignment(n, 1), &op(n)).await.unwrap();
    }
    let off = Power::Off { grace: Duration::ZERO };
    let (ops, begin) = ([op(10), op(11), op(12)], tokio::time::Instant::now());
    let (a, b, c) = tokio::join!(
        h.client.power(assignment(1, 2), off, &ops[0]),
        h.client.power(assignment(1, 3), Power::On, &ops[1]),
        h.client.power(assignment(2, 2), off, &ops[2]),
    );
    assert_eq!(a.unwrap().power, PowerState::Shutdown);
    assert_eq!(b.unwrap().power, PowerState::Running);
    assert_eq!(c.unwrap().power, PowerState::Shutdown);
    assert_eq!(begin.elapsed(), Duration::from_secs(200), "paused time: two turns of one guest, beside the other's");
}

#[tokio::test(start_paused = true)]
async fn a_destroy_cancels_what_runs_and_what_waits() {
    let h = house(hanging(Operation::Spawn));
    let (ops, id) = ([op(1), op(2), op(3)], Uuid::from_u128(1));
    let (spawn, pause, destroy) = tokio::join!(
        h.client.spawn(assignment(1, 1), &ops[0]),
        h.client.pause(assignment(1, 2), &ops[1]),
        async {
            // Until the spawn hangs in the driver.
            tokio::time::sleep(Duration::from_secs(1)).await;
            h.client.destroy(id, 3, DestroyMode::Everything, &ops[2]).await
        },
    );
    assert_eq!(spawn.unwrap_err().kind, ErrorKind::Cancelled);
    assert_eq!(pause.unwrap_err().kind, ErrorKind::Cancelled);
    destroy.unwrap();
    assert!(h.machine.remains().is_empty() && h.assignments.ids().is_empty());
    let late = h.client.spawn(assignment(1, 2), &op(4)).await.unwrap_err();
    assert_eq!(late.kind, ErrorKind::Cancelled, "an older intent does not make it again");
    h.client.spawn(assignment(1, 3), &op(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_cancels_is_answered_and_the_lane_is_free() {
    let h = house(hanging(Operation::Spawn));
    let first = op(1);
    let cancel = first.cancel.clone();
    let (spawned, ()) = tokio::join!(h.client.spawn(assignment(1, 1), &first), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cancel.cancel();
    });
    assert_eq!(spawned.unwrap_err().kind, ErrorKind::Cancelled);
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_kept_even_while_waiting_for_the_lane() {
    let h = house(slow(Operation::Power, 3600));
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    let by = |n, seconds: i64| Op { deadline: Some(Timestamp(seconds * 1_000_000)), ..op(n) };
    let (long, short) = (by(2, 7200), by(3, 60));
    let off = Power::Off { grace: Duration::ZERO };
    let (a, b) = tokio::join!(
        h.client.power(assignment(1, 2), off, &long),
        h.client.pause(assignment(1, 3), &short)
    );
    assert_eq!(b.unwrap_err().kind, ErrorKind::TimedOut);
    assert_eq!(a.unwrap().power, PowerState::Shutdown);
}

#[tokio::test(start_paused = true)]
async fn progress_reaches_every_caller_of_an_operation() {
    let h = house(slow(Operation::Spawn, 5));
    let heard: Arc<Mutex<Vec<(u8, Phase)>>> = Arc::default();
    let listening = |who: u8| {
        let heard = Arc::clone(&heard);
        Op { progress: Arc::new(move |p| heard.lock().unwrap().push((who, p))), ..op(1) }
    };
    let (first, second) = (listening(1), listening(2));
    let (a, b) =
        tokio::join!(h.client.spawn(assignment(1, 1), &first), h.client.spawn(assignment(1, 1), &second));
    assert!(a.is_ok() && b.is_ok());
    let heard = heard.lock().unwrap();
    assert!(heard.contains(&(1, Phase::Networking)) && heard.contains(&(1, Phase::Spawning)), "{heard:?}");
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_fails_one_operation_and_no_more() {
    let h = house(driver_fake::Options { fetch_images: true, ..Default::default() });
    let e = h.client.spawn(with_image(assignment(1, 1)), &op(1)).await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Internal);
    h.client.spawn(assignment(1, 1), &op(1)).await.unwrap();
    h.client.spawn(assignment(2, 1), &op(2)).await.unwrap();
}
