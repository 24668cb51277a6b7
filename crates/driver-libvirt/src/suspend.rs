//! `Suspend`: memory to disk, kept by libvirt beside the domain (managed save), and back.

use crate::error::{from_rpc, wrong_state};
use crate::{Libvirt, list, power, spawn};
use async_trait::async_trait;
use driver_api::{InstanceSpec, Observed, Op, PowerState, Result, Suspend};
use uuid::Uuid;

#[async_trait]
impl Suspend for Libvirt {
    async fn suspend(&self, instance: Uuid, op: &Op) -> Result<Observed> {
        let host = self.host()?;
        let work = async {
            let _turn = host.turn(instance).await;
            let client = host.client()?;
            let (domain, _) = host.must_find(&client, instance).await?;
            match list::power(&client, &domain).await? {
                PowerState::Running | PowerState::Paused => client.managed_save(&domain).await.map_err(from_rpc)?,
                PowerState::Suspended => {}
                PowerState::Shutdown | PowerState::Crashed | PowerState::NoState => {
                    return Err(wrong_state("suspended", "off"));
                }
            }
            list::get(&host, instance).await
        };
        host.bounded(op, work).await
    }

    async fn resume(&self, spec: &InstanceSpec, op: &Op) -> Result<Observed> {
        let host = self.host()?;
        let work = async {
            let _turn = host.turn(spec.id).await;
            let client = host.client()?;
            let (domain, _) = host.must_find(&client, spec.id).await?;
            match list::power(&client, &domain).await? {
                // Its saved memory is gone (the host lost it): a fresh start is the best there is, as in Nova.
                PowerState::Shutdown | PowerState::Crashed | PowerState::NoState => {
                    power::start_anew(&host, &client, spec, op).await?;
                }
                PowerState::Suspended | PowerState::Paused | PowerState::Running => {
                    spawn::run(&client, &domain).await?
                }
            }
            list::get(&host, spec.id).await
        };
        host.bounded(op, work).await
    }
}
