#![allow(clippy::unwrap_used)]
use super::*;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum S {
    A,
    B,
}
impl Step for S {
    const ALL: &'static [S] = &[S::A, S::B];
    fn name(self) -> &'static str {
        match self {
            S::A => "a",
            S::B => "b",
        }
    }
}

#[derive(Default)]
struct Ticks(AtomicI64);
impl Time for Ticks {
    fn now(&self) -> i64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
    fn sleep(&self, pause: Duration) -> BoxFuture<'static, ()> {
        self.0.fetch_add(i64::try_from(pause.as_micros()).unwrap(), Ordering::Relaxed);
        Box::pin(async {})
    }
}

type Log = Arc<Mutex<Vec<&'static str>>>;

async fn two(flow: &mut Flow<'static, S, String>, log: &Log) -> Result<u32, String> {
    let (l, u) = (log.clone(), log.clone());
    let a = flow
        .step(
            S::A,
            || async { l.lock().unwrap().push("a"); Ok(1) },
            move || { let u = u.clone(); async move { u.lock().unwrap().push("undo a"); Ok(()) } },
        )
        .await?;
    let (l, u) = (log.clone(), log.clone());
    let b = flow
        .step(
            S::B,
            || async { l.lock().unwrap().push("b"); Ok(2) },
            move || { let u = u.clone(); async move { u.lock().unwrap().push("undo b"); Ok(()) } },
        )
        .await?;
    Ok(a + b)
}

struct At(S, Moment, Verdict<String>, Mutex<u32>);
impl Probe<S, String> for At {
    fn at(&self, step: S, moment: Moment) -> Verdict<String> {
        let mut left = self.3.lock().unwrap();
        if step == self.0 && moment == self.1 && *left > 0 {
            *left -= 1;
            return self.2.clone();
        }
        Verdict::Go
    }
}

fn flow(probe: Option<At>) -> (Flow<'static, S, String>, Log) {
    let probe = probe.map(|p| Arc::new(p) as Arc<dyn Probe<S, String>>);
    (Flow::new(Arc::new(Ticks::default()), probe), Log::default())
}

#[tokio::test]
async fn undoes_backwards_and_owes_from_the_beginning() {
    for (moment, expected) in [
        (Moment::BeforeAction, vec!["a", "undo b", "undo a"]),
        (Moment::AfterAction, vec!["a", "b", "undo b", "undo a"]),
    ] {
        let (mut f, log) = flow(Some(At(S::B, moment, Verdict::Fail("no".into()), Mutex::new(1))));
        assert_eq!(two(&mut f, &log).await, Err("no".into()));
        f.unwind(0).await.unwrap();
        assert_eq!(*log.lock().unwrap(), expected);
        assert_eq!(f.records()[1].error.as_deref(), Some("no"));
    }
}

#[tokio::test]
async fn repeats_actions_and_undos_when_asked() {
    let (mut f, log) = flow(Some(At(S::A, Moment::BeforeAction, Verdict::Twice, Mutex::new(1))));
    assert_eq!(two(&mut f, &log).await, Ok(3));
    assert_eq!(*log.lock().unwrap(), ["a", "a", "b"]);
}

#[tokio::test]
async fn an_undo_that_fails_is_tried_again_then_parks_the_flow_and_stays_owed() {
    for (failures, parked) in [(UNDO_TRIES - 1, false), (UNDO_TRIES, true)] {
        let (mut f, log) = flow(Some(At(S::A, Moment::BeforeUndo, Verdict::Fail("busy".into()), Mutex::new(failures))));
        two(&mut f, &log).await.unwrap();
        assert_eq!(f.unwind(0).await.is_err(), parked);
        assert_eq!(f.mark(), usize::from(parked));
        f.unwind(0).await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["a", "b", "undo b", "undo a"]);
    }
}

#[tokio::test]
async fn an_inner_scope_unwinds_alone() {
    let (mut f, log) = flow(None);
    two(&mut f, &log).await.unwrap();
    f.unwind(1).await.unwrap();
    assert_eq!(*log.lock().unwrap(), ["a", "b", "undo b"]);
}
