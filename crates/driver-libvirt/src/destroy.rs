//! `destroy`: saved memory, domain, files. Repeatable; the absent is no error.

use crate::disks;
use crate::error::from_rpc;
use crate::host::Host;
use crate::rpc::calls::{Domain, State};
use crate::rpc::client::Client;
use crate::rpc::code;
use driver_api::{DestroyMode, Op, Result};
use uuid::Uuid;

/// Removes a guest.
pub(crate) async fn destroy(host: &Host, id: Uuid, mode: DestroyMode, op: &Op) -> Result<()> {
    let work = async {
        let _turn = host.turn(id).await;
        remove(host, id, mode).await
    };
    host.bounded(op, work).await
}

/// As [`destroy`], for those that undo: they hold the guest's turn already and must not be cancelled.
pub(crate) async fn remove(host: &Host, id: Uuid, mode: DestroyMode) -> Result<()> {
    let client = host.client()?;
    // A domain of that identity that is not ours stays, and its files are none of ours.
    if let Some((domain, _)) = host.find(&client, id).await? {
        power_off(&client, &domain).await?;
        match client.undefine(&domain).await {
            Ok(()) => {}
            Err(e) if e.is(code::NO_DOMAIN) => {}
            Err(e) => return Err(from_rpc(e)),
        }
    }
    if mode == DestroyMode::Everything {
        disks::remove(host, id).await?;
    }
    host.forget(id);
    Ok(())
}

/// Pulls the plug; a domain that is off, or gone, stays so.
pub(crate) async fn power_off(client: &Client, domain: &Domain) -> Result<()> {
    match client.destroy(domain).await {
        Ok(()) => Ok(()),
        Err(e) if e.is(code::NO_DOMAIN) => Ok(()),
        Err(e) if e.is(code::OPERATION_INVALID) && client.state(domain).await.is_ok_and(|s| s == State::Off) => Ok(()),
        Err(e) => Err(from_rpc(e)),
    }
}
