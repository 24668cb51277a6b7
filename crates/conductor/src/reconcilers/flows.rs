//! No flow is stuck: leases of long ones are renewed, lapsed ones are taken up, at start all of them where alone.

use crate::Conductor;

impl Conductor {
    pub(super) async fn keep_flows(&self) {
        let period = self.options.lease / 4;
        // Hosts register within moments of the start; flows taken up before would find them down.
        let mut first = true;
        loop {
            if first {
                self.hosts_settle().await;
            }
            // Once a life: what is damaged later is found by the audit.
            if first && let Err(error) = self.end_ownerless().await {
                tracing::error!(%error, "actions without a flow cannot be looked for");
            }
            if let Err(error) = self.take_up(first).await {
                tracing::error!(%error, "unfinished flows cannot be read; trying again");
            } else {
                first = false;
            }
            if let Err(error) = self.renew().await {
                tracing::error!(%error, "leases cannot be renewed; trying again");
            }
            if !self.rest(period).await {
                return;
            }
        }
    }

    /// Waits until `host` has said something since the start, at most half a lease.
    pub(crate) async fn hear(&self, host: Option<&str>) {
        let Some(host) = host else { return };
        let until = self.env.clock.steady().plus(self.options.lease / 2);
        let silent = || self.hosts.get(host).is_some_and(|h| h.down_reason.as_deref() == Some(crate::hosts::SILENT));
        while silent() && self.env.clock.steady() < until {
            if !self.rest(std::time::Duration::from_millis(50)).await {
                return;
            }
        }
    }

    /// Waits until every configured host has said something, at most a few seconds.
    async fn hosts_settle(&self) {
        for _ in 0..100 {
            let silent = self.hosts.names().iter().any(|n| {
                self.hosts.get(n).is_some_and(|h| h.down_reason.as_deref() == Some(crate::hosts::SILENT))
            });
            if !silent || !self.rest(std::time::Duration::from_millis(50)).await {
                return;
            }
        }
    }
}
