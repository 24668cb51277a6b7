//! `spawn`: disks, description, start; all of it or nothing.

use crate::disks::{self, Layout};
use crate::domain_xml::{self, Request};
use crate::error::from_rpc;
use crate::hardware::{self, Hardware};
use crate::host::Host;
use crate::rpc::calls::{Domain, State};
use crate::rpc::client::Client;
use crate::{destroy, list};
use driver_api::{DestroyMode, Error, ErrorKind, InstanceSpec, Observed, Op, Phase, Result};
use uuid::Uuid;

/// Makes and starts a guest.
pub(crate) async fn spawn(host: &Host, spec: &InstanceSpec, op: &Op) -> Result<Observed> {
    hardware::check(spec)?;
    let hardware = Hardware::of(spec, &host.options)?;
    let client = host.client()?;
    let _turn = host.bounded(op, async { Ok(host.turn(spec.id).await) }).await?;
    if let Some(domain) = client.lookup(spec.id).await.map_err(from_rpc)? {
        let Some(_) = host.meta(&client, &domain).await? else {
            return Err(Error::new(ErrorKind::AlreadyExists, "a guest of that identity is there and is not ours"));
        };
        return host.bounded(op, take_up(host, &client, spec, &domain)).await;
    }
    host.learn(spec.id);
    let kept = disks_are_there(host, spec).await?;
    match host.bounded(op, build(host, &client, spec, &hardware, op)).await {
        Ok(observed) => Ok(observed),
        Err(e) => {
            // Disks that were there before this call are not this call's to remove.
            let mode = if kept { DestroyMode::KeepDisks } else { DestroyMode::Everything };
            if let Err(undo) = destroy::remove(host, spec.id, mode).await {
                tracing::warn!(instance = %spec.id, error = %undo, detail = undo.detail, "a failed spawn left something");
            }
            Err(e)
        }
    }
}

/// A guest of that identity is there already: it shall run.
async fn take_up(host: &Host, client: &Client, spec: &InstanceSpec, domain: &Domain) -> Result<Observed> {
    run(client, domain).await?;
    list::get(host, spec.id).await
}

/// Brings a defined domain to running, from whatever state.
pub(crate) async fn run(client: &Client, domain: &Domain) -> Result<()> {
    match client.state(domain).await.map_err(from_rpc)? {
        State::Running => Ok(()),
        State::Paused => client.resume(domain).await.map_err(from_rpc),
        State::None | State::ShuttingDown | State::Off | State::Crashed | State::Asleep => {
            client.create(domain).await.map(drop).map_err(from_rpc)
        }
    }
}

/// Whether an earlier guest of that identity, of the same image, left its disks on purpose.
async fn disks_are_there(host: &Host, spec: &InstanceSpec) -> Result<bool> {
    let layout = disks::read_layout(&disks::dir_of(host, spec.id)).await?;
    Ok(layout.is_some_and(|l| l.image == spec.image.as_ref().map(|i| i.id)))
}

async fn build(host: &Host, client: &Client, spec: &InstanceSpec, hardware: &Hardware, op: &Op) -> Result<Observed> {
    let dir = disks::dir_of(host, spec.id);
    let layout = if disks_are_there(host, spec).await? {
        let layout = disks::read_layout(&dir).await?.ok_or_else(|| Error::no_instance(spec.id))?;
        disks::repair(host, spec, &dir, &layout, op).await?;
        layout
    } else {
        disks::remove(host, spec.id).await?;
        disks::make(host, spec, &dir, op).await?
    };
    op.check()?;
    op.report(Phase::Spawning);
    let domain = define(host, client, spec, hardware, &layout).await?;
    op.check()?;
    client.create(&domain).await.map_err(from_rpc)?;
    list::get(host, spec.id).await
}

/// Defines the domain of `spec`, or defines it anew.
pub(crate) async fn define(
    host: &Host,
    client: &Client,
    spec: &InstanceSpec,
    hardware: &Hardware,
    layout: &Layout,
) -> Result<Domain> {
    let dir = disks::dir_of(host, spec.id);
    let name = name_for(client, spec.id).await?;
    let xml = domain_xml::describe(&Request {
        name: &name,
        host: &host.context.host,
        spec,
        hardware,
        options: &host.options,
        layout,
        dir: &dir,
        cache: host.cache_mode,
    })?;
    client.define(&xml).await.map_err(from_rpc)
}

/// `instance-` and the last eight digits of the identity (its first are the time); all digits where a guest with the same
/// eight is there.
async fn name_for(client: &Client, id: Uuid) -> Result<String> {
    let digits = id.simple().to_string();
    let short = format!("{}{}", domain_xml::NAME_PREFIX, digits.get(24..).unwrap_or(&digits));
    match client.lookup(id).await.map_err(from_rpc)? {
        // A redefinition must not rename.
        Some(domain) => Ok(domain.name),
        None => match client.lookup_name(&short).await.map_err(from_rpc)? {
            Some(_) => Ok(format!("{}{digits}", domain_xml::NAME_PREFIX)),
            None => Ok(short),
        },
    }
}
