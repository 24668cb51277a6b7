//! Lasting properties, one file each: no input, idempotent, on a timer and on a nudge.

mod flows;
mod hosts;
mod orphans;
mod ownerless;
mod passwords;
mod peers;
mod power_state;
mod wiring;

use crate::Conductor;
use messaging::{ComputeClient, HostReport, Reports};

impl Conductor {
    /// Gives the conductor a host: its calls and its reports. Work on it begins when it registers.
    pub fn attach(&self, client: ComputeClient, mut reports: Reports) {
        let name = client.host().to_owned();
        let attached = self.hosts.attach(client, self.env.now());
        let me = self.clone();
        self.running.spawn(async move {
            loop {
                let report = tokio::select! {
                    biased;
                    () = me.stop.cancelled() => break,
                    r = reports.recv() => r,
                };
                if me.hosts.get(&name).is_none_or(|h| h.attached != attached) {
                    // It is attached anew; this was the earlier connection.
                    break;
                }
                match report {
                    Some(HostReport::Up(registration)) => me.host_up(&name, *registration).await,
                    Some(HostReport::Down { reason }) => me.host_down(&name, &reason).await,
                    Some(HostReport::Event(event)) => me.host_event(&name, &event).await,
                    Some(HostReport::Password { instance, password }) => me.keep_password(&name, instance, &password).await,
                    None => {
                        me.host_down(&name, "its agent ended").await;
                        break;
                    }
                }
            }
        });
    }

    /// Begins to work: takes up what a crash left, then keeps every lasting property.
    /// # Errors
    /// The database's.
    pub async fn start(&self) -> Result<(), crate::Error> {
        // The log's end is noted before anything is read, so that nothing changes unseen.
        let follower = if self.options.alone { None } else { Some(self.enter().await?) };
        self.placement.load().await.map_err(|placement::Error::Store(e)| e)?;
        let aggregates = self.store.read(store::aggregates::list).await?;
        self.placement.set_aggregates(&aggregates);
        if let Some(follower) = follower {
            self.read_peers().await?;
            let me = self.clone();
            self.running.spawn(async move { me.keep_peers(follower).await });
        }
        let me = self.clone();
        self.running.spawn(async move { me.keep_flows().await });
        let me = self.clone();
        self.running.spawn(async move { me.keep_wiring().await });
        let me = self.clone();
        self.running.spawn(async move { me.keep_hosts().await });
        Ok(())
    }

    /// An operation of a reconciler: bounded, so that what hangs on one host delays nothing for long.
    fn errand(&self) -> driver_api::Op {
        let mut op = driver_api::Op::new(self.env.uuid());
        op.deadline = Some(self.env.clock.steady().plus(self.options.lease / 2));
        op
    }

    /// Waits for `period` or the end; false at the end.
    async fn rest(&self, period: std::time::Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = self.env.clock.sleep(period) => true,
        }
    }
}
