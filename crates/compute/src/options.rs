//! What may be tuned on an agent.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Options of the host agent. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// Guests that are built at the same time; others wait (`max_concurrent_builds`).
    pub max_concurrent_builds: usize,
    /// Seconds between two looks at what the host offers while its backend answers.
    pub inventory_seconds: u64,
    /// Seconds between two looks at a backend that does not answer.
    pub retry_seconds: u64,
    /// Seconds that a change may take if its caller sets no deadline.
    pub change_seconds: u64,
    /// Seconds that a question may take if its caller sets no deadline.
    pub question_seconds: u64,
    /// Seconds that running changes get to end when the agent stops.
    pub stop_seconds: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            max_concurrent_builds: 10,
            inventory_seconds: 60,
            retry_seconds: 2,
            change_seconds: 3600,
            question_seconds: 60,
            stop_seconds: 5,
        }
    }
}

impl Options {
    pub(crate) fn inventory(&self) -> Duration {
        Duration::from_secs(self.inventory_seconds.max(1))
    }
    pub(crate) fn retry(&self) -> Duration {
        Duration::from_secs(self.retry_seconds.max(1))
    }
    pub(crate) fn change(&self) -> Duration {
        Duration::from_secs(self.change_seconds.max(1))
    }
    pub(crate) fn question(&self) -> Duration {
        Duration::from_secs(self.question_seconds.max(1))
    }
}
