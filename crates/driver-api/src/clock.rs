//! Time as an argument: the wall clock, or virtual time under a paused tokio runtime.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    Virtual { epoch: Timestamp, start: tokio::time::Instant },
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Clock {
        Clock(Kind::System)
    }
    /// Time that starts at `epoch` and follows tokio's (paused) clock. Must be called inside a runtime.
    pub fn virtual_from(epoch: Timestamp) -> Clock {
        Clock(Kind::Virtual { epoch, start: tokio::time::Instant::now() })
    }
    /// The present instant.
    #[allow(clippy::disallowed_methods)] // The one place where the machine's clock is read.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
            }
            Kind::Virtual { epoch, start } => epoch.plus(start.elapsed()),
        }
    }
    /// Waits for `d` of this clock's time.
    pub async fn sleep(&self, d: Duration) {
        tokio::time::sleep(d).await;
    }
}
