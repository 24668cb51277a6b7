//! Time that an operation spends in others' hands: the hypervisor's daemon, helper programs, the kernel's tools.
//!
//! Who obeys an operation runs it under [`metered`]; who calls out wraps the call in [`external`]. Each call becomes a
//! debug event of target `external`, and the operation learns how long at least one such call was under way: calls
//! beside each other count once, so that wall time minus this is our own.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Target of the events.
pub const EXTERNAL: &str = "external";

tokio::task_local! {
    static METER: Arc<Meter>;
}

/// What one operation spent outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExternalTime {
    /// How long at least one call was under way.
    pub total: Duration,
    /// Calls and their time by name; calls beside each other count each.
    pub by_name: BTreeMap<&'static str, (u32, Duration)>,
}

impl ExternalTime {
    /// `name=calls/microseconds`, by name, with a space between.
    pub fn parts(&self) -> String {
        let parts: Vec<String> = self.by_name.iter().map(|(n, (calls, d))| format!("{n}={calls}/{}", micros(*d))).collect();
        parts.join(" ")
    }
}

#[derive(Debug)]
struct Meter {
    op: Uuid,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    under_way: u32,
    since: Option<Instant>,
    time: ExternalTime,
}

impl Meter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole microseconds.
fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

/// One call under way; ends when dropped, so that a call that is cut off counts too.
struct Call {
    name: &'static str,
    began: Instant,
    meter: Option<Arc<Meter>>,
}

impl Call {
    fn begin(name: &'static str) -> Call {
        let (began, meter) = (Instant::now(), METER.try_with(Arc::clone).ok());
        if let Some(meter) = &meter {
            let mut state = meter.state();
            if state.under_way == 0 {
                state.since = Some(began);
            }
            state.under_way += 1;
        }
        Call { name, began, meter }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let now = Instant::now();
        let elapsed = now.duration_since(self.began);
        if let Some(meter) = &self.meter {
            let mut state = meter.state();
            let (calls, sum) = state.time.by_name.entry(self.name).or_default();
            *calls += 1;
            *sum += elapsed;
            state.under_way = state.under_way.saturating_sub(1);
            if state.under_way == 0
                && let Some(since) = state.since.take()
            {
                state.time.total += now.duration_since(since);
            }
        }
        let op = self.meter.as_ref().map(|m| tracing::field::display(m.op));
        tracing::debug!(target: EXTERNAL, name = self.name, elapsed_us = micros(elapsed), op, "call");
    }
}

/// Runs a call to something outside, named `name`.
pub async fn external<T>(name: &'static str, call: impl Future<Output = T>) -> T {
    let _call = Call::begin(name);
    call.await
}

/// Runs the operation `op` and tells what it spent outside. Calls made on tasks that it spawns are not counted.
pub async fn metered<T>(op: Uuid, work: impl Future<Output = T>) -> (T, ExternalTime) {
    let meter = Arc::new(Meter { op, state: Mutex::default() });
    let done = METER.scope(Arc::clone(&meter), work).await;
    let time = meter.state().time.clone();
    (done, time)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[tokio::test(start_paused = true)]
    async fn calls_beside_each_other_count_once_and_our_own_time_not_at_all() {
        let work = async {
            tokio::time::sleep(ms(100)).await;
            let a = external("a", tokio::time::sleep(ms(30)));
            let b = external("b", tokio::time::sleep(ms(50)));
            tokio::join!(a, b);
            external("a", tokio::time::sleep(ms(7))).await;
            "done"
        };
        let (done, time) = metered(Uuid::nil(), work).await;
        assert_eq!(done, "done");
        assert_eq!(time.total, ms(57));
        assert_eq!(time.parts(), "a=2/37000 b=1/50000");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_is_cut_off_counts_until_then() {
        let work = async {
            let _ = tokio::time::timeout(ms(20), external("slow", std::future::pending::<()>())).await;
        };
        let ((), time) = metered(Uuid::nil(), work).await;
        assert_eq!(time.parts(), "slow=1/20000");
        assert_eq!(time.total, ms(20));
    }
}
