//! Reports that wait for the control plane. The agent never blocks on them: a control plane that does not read must
//! not stop a host from obeying.

use messaging::HostReport;
use std::collections::VecDeque;

/// Events that wait before they are given up for a registration, whose answer is a full `Sync`.
const DEPTH: usize = 4096;

/// The queue of one host's reports.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<HostReport>,
    /// Last `Up` or `Down` that was queued: what the control plane will believe.
    last: Option<HostReport>,
}

impl Outbox {
    /// Queues a report. Up and down are queued when they are news; too many events give way to the last `Up`.
    pub(crate) fn push(&mut self, report: HostReport) {
        match report {
            HostReport::Event(_) if self.waiting.len() >= DEPTH => {
                self.waiting.clear();
                self.waiting.extend(self.last.clone());
            }
            HostReport::Event(_) | HostReport::Password { .. } => self.waiting.push_back(report),
            HostReport::Up(_) | HostReport::Down { .. } => {
                if self.last.as_ref() != Some(&report) {
                    self.last = Some(report.clone());
                    self.waiting.push_back(report);
                }
            }
        }
    }

    /// What was reported may have been lost: the next report is news, whatever it is.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<HostReport> {
        self.waiting.pop_front()
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}
