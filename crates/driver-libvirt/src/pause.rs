//! `Pause`: the CPUs stop, the memory stays.

use crate::error::{from_rpc, wrong_state};
use crate::{Libvirt, list};
use async_trait::async_trait;
use driver_api::{Observed, Op, Pause, PowerState, Result};
use uuid::Uuid;

#[async_trait]
impl Pause for Libvirt {
    async fn pause(&self, instance: Uuid, op: &Op) -> Result<Observed> {
        self.change(instance, op, true).await
    }
    async fn unpause(&self, instance: Uuid, op: &Op) -> Result<Observed> {
        self.change(instance, op, false).await
    }
}

impl Libvirt {
    async fn change(&self, instance: Uuid, op: &Op, pause: bool) -> Result<Observed> {
        let host = self.host()?;
        let work = async {
            let _turn = host.turn(instance).await;
            let client = host.client()?;
            let (domain, _) = host.must_find(&client, instance).await?;
            match (list::power(&client, &domain).await?, pause) {
                (PowerState::Running, true) => client.suspend(&domain).await.map_err(from_rpc)?,
                (PowerState::Paused, false) => client.resume(&domain).await.map_err(from_rpc)?,
                (PowerState::Paused, true) | (PowerState::Running, false) => {}
                (_, true) => return Err(wrong_state("paused", "not running")),
                (_, false) => return Err(wrong_state("unpaused", "not paused")),
            }
            list::get(&host, instance).await
        };
        host.bounded(op, work).await
    }
}
