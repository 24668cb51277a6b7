//! Time as an argument: the wall clock, or virtual time under a paused tokio runtime.

use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Microseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This instant moved forward by `d`.
    pub fn plus(self, d: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Where the time comes from. Cheap to clone; injected everywhere, so that a simulation owns time.
///
/// Two readings: [`Clock::now`] is the calendar's, which an operator or NTP may set forward or back at any moment;
/// [`Clock::steady`] never jumps, and is what deadlines and leases are counted in.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    Virtual { epoch: Timestamp, start: tokio::time::Instant, skew: Arc<AtomicI64> },
}

/// The calendar's reading.
#[allow(clippy::disallowed_methods)] // The one place where the machine's clock is read.
fn calendar() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(Kind::System)
    }
    /// Time that starts at `epoch` and follows tokio's (paused) clock. Must be called inside a runtime.
    pub fn virtual_from(epoch: Timestamp) -> Clock {
        Clock(Kind::Virtual { epoch, start: tokio::time::Instant::now(), skew: Arc::default() })
    }
    /// The present instant, by the calendar: for records and what people read.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => calendar(),
            Kind::Virtual { skew, .. } => Timestamp(self.steady().0.saturating_add(skew.load(Relaxed))),
        }
    }
    /// The present instant on a scale that runs on evenly from where the calendar stood when the process began.
    #[allow(clippy::disallowed_methods)] // As above: the one place.
    pub fn steady(&self) -> Timestamp {
        static BEGUN: OnceLock<(Timestamp, Instant)> = OnceLock::new();
        match &self.0 {
            Kind::System => {
                let (epoch, start) = BEGUN.get_or_init(|| (calendar(), Instant::now()));
                epoch.plus(start.elapsed())
            }
            Kind::Virtual { epoch, start, .. } => epoch.plus(start.elapsed()),
        }
    }
    /// Sets the calendar of a virtual clock forward or back; the machine's own clock is never touched.
    pub fn jump(&self, microseconds: i64) {
        if let Kind::Virtual { skew, .. } = &self.0 {
            skew.fetch_add(microseconds, Relaxed);
        }
    }
    /// Waits for `d` of this clock's time.
    pub async fn sleep(&self, d: Duration) {
        tokio::time::sleep(d).await;
    }
}
