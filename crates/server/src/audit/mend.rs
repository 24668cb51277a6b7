//! One right answer for each kind of finding, or none. Every mending looks once more in the unit that writes, so that
//! it never undoes what a flow did meanwhile; again is harmless.

use super::Auditor;
use super::records::UNREAD;
use conductor::Conductor;
use model::server::Server;
use placement::Claimant;
use store::{Error, Result, Tx};
use uuid::Uuid;

/// What can be done about a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mend {
    /// Nothing, and why.
    Leave(&'static str),
    /// Count what a project uses of a resource.
    Quota(String, String),
    /// Take a server that is not there out of its group.
    Member(Uuid),
    /// Give back what a server that is not there holds.
    Allocations(Uuid),
    /// Count what is allocated of a provider's class.
    Use(Uuid, String),
    /// Claim for a server what its flavor says, where it is.
    Claim(Uuid),
    /// Release the ports of a server that is not there.
    Ports(Uuid),
    /// Take a port that is not there out of a server's record.
    PortOf(Uuid, Uuid),
    /// Give an address back whose port is not there.
    Address(String, String, String),
    /// End actions that no flow owns.
    Ownerless,
    /// End a flow whose server another owns, or nobody.
    Supersede(Uuid, Uuid),
    /// Destroy what a host runs without a record.
    Guests(String, Uuid),
    /// Let the record follow the guest.
    Power(String),
    /// Let the host wire exactly what is assigned to it.
    Wires(String),
    /// Remove bytes that no image claims.
    Bytes(Uuid),
    /// Remove an image whose bytes a flow owed that is finished.
    Unwritten(Uuid, Uuid),
}

/// What was done, or why nothing was.
type Outcome = std::result::Result<String, String>;

/// It does not hold any more.
const MOVED: &str = "it was put right meanwhile";

fn done(rows: bool, how: impl Into<String>) -> Outcome {
    if rows { Ok(how.into()) } else { Err(MOVED.into()) }
}

/// The server, if it lives and no flow owns it.
fn idle(tx: &mut Tx, id: Uuid) -> Result<Option<Server>> {
    match store::servers::lock(tx, id) {
        Ok(server) => Ok(Some(server).filter(|s| s.action.is_none())),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// No server of that id holds anything: it is gone, or on no host and in nobody's hands.
fn holds_nothing(tx: &mut Tx, id: Uuid) -> Result<bool> {
    if store::damage::any(tx, "servers")? {
        return Ok(false);
    }
    match store::servers::lock(tx, id) {
        Ok(server) => Ok(server.host.is_none() && server.action.is_none()),
        Err(Error::NotFound { .. }) => Ok(true),
        Err(e) => Err(e),
    }
}

impl Auditor {
    pub(super) async fn mend(&self, mend: &Mend) -> Result<Outcome> {
        let now = self.env.now();
        match mend.clone() {
            Mend::Leave(why) => Ok(Err(why.into())),
            Mend::Quota(project, resource) => {
                let counted = self.store.write(move |tx| store::quotas::recount(tx, &project, &resource)).await?;
                Ok(counted.map_or(Err(MOVED.into()), |n| Ok(format!("counted again: {n}"))))
            }
            Mend::Member(server) => self.leave_group(server).await,
            Mend::Allocations(consumer) => self.release(consumer).await,
            Mend::Use(provider, class) => {
                let counted = self.store.write(move |tx| store::placement::inventories::recount(tx, provider, &class)).await?;
                self.placement.reload(provider).await.map_err(|placement::Error::Store(e)| e)?;
                Ok(counted.map_or(Err(MOVED.into()), |n| Ok(format!("counted again: {n}"))))
            }
            Mend::Claim(server) => self.claim(server).await,
            Mend::Ports(server) => self.unbind(server).await,
            Mend::PortOf(server, port) => {
                let took = self.store.write(move |tx| {
                    let Some(mut s) = idle(tx, server)? else { return Ok(false) };
                    if store::network::ports::get(tx, port)?.is_some() {
                        return Ok(false);
                    }
                    s.body.ports.retain(|own| own.port_id != port);
                    s.updated_at = now;
                    store::servers::update(tx, &s, None)?;
                    Ok(true)
                });
                Ok(done(took.await?, "taken out of the server's record"))
            }
            Mend::Address(subnet, ip, port) => {
                let gave = self.store.write(move |tx| store::network::subnets::drop_adrift(tx, &subnet, &ip, &port));
                Ok(done(gave.await?, "given back"))
            }
            Mend::Ownerless => Ok(done(self.conductor.end_ownerless().await? > 0, "ended in ERROR; its owner may delete, start or rebuild it")),
            Mend::Supersede(flow, server) => {
                let ended = self.store.write(move |tx| {
                    let owned = match store::servers::lock(tx, server) {
                        Ok(s) => s.flow_id == Some(flow),
                        Err(Error::NotFound { .. }) => false,
                        Err(e) => return Err(e),
                    };
                    if owned { Ok(false) } else { store::flows::supersede(tx, flow, now) }
                });
                Ok(done(ended.await?, "ended as superseded"))
            }
            Mend::Guests(host, guest) => self.destroy(&host, guest).await,
            Mend::Power(host) => {
                self.conductor.reconcile(&host).await;
                Ok(Ok("the record follows the guest: the server is stopped".into()))
            }
            Mend::Wires(host) => {
                self.conductor.rewire_host(&host).await;
                Ok(Ok("the host wires what is assigned to it, and nothing else".into()))
            }
            Mend::Unwritten(image, flow) => {
                let removed = self.store.write(move |tx| {
                    if store::flows::unfinished(tx)?.iter().any(|f| f.id == flow) {
                        return Ok(false);
                    }
                    store::image::remove(tx, image, now)?;
                    Ok(store::image::find(tx, image)?.is_none())
                });
                let removed = removed.await?;
                if removed && let Err(error) = self.images.discard(image).await {
                    tracing::warn!(%image, %error, "bytes of a snapshot that was given up stay until the next start");
                }
                Ok(done(removed, "removed: its snapshot was given up"))
            }
            Mend::Bytes(id) => match self.images.remove_unclaimed(id).await {
                Ok(removed) => Ok(done(removed, "removed")),
                Err(e) => Ok(Err(e.to_string())),
            },
        }
    }

    async fn leave_group(&self, server: Uuid) -> Result<Outcome> {
        let left = self.store.write(move |tx| {
            // A server that lives keeps its place in the group.
            match store::servers::lock(tx, server) {
                Err(Error::NotFound { .. }) if !store::damage::any(tx, "servers")? => store::server_groups::leave(tx, server),
                Ok(_) | Err(Error::NotFound { .. }) => Ok(false),
                Err(e) => Err(e),
            }
        });
        Ok(done(left.await?, "taken out of its group"))
    }

    async fn release(&self, consumer: Uuid) -> Result<Outcome> {
        let released = self.store.write(move |tx| {
            if holds_nothing(tx, consumer)? { placement::release(tx, consumer).map(Some) } else { Ok(None) }
        });
        match released.await? {
            Some(given) => {
                self.placement.note_released(&given);
                Ok(done(!given.is_empty(), "given back"))
            }
            None => Ok(Err(MOVED.into())),
        }
    }

    async fn claim(&self, server: Uuid) -> Result<Outcome> {
        let now = self.env.now();
        let claimed = self.store.write(move |tx| {
            let Some(s) = idle(tx, server)? else { return Ok(Err(MOVED)) };
            if !store::placement::allocations::of_consumer(tx, server)?.is_empty() {
                return Ok(Err(MOVED));
            }
            let providers = store::placement::providers::all(tx)?;
            let here = |p: &&model::placement::Provider| p.host.is_some() && p.host == s.host && p.node == s.node;
            let Some(provider) = providers.iter().find(here).map(|p| p.id) else {
                return Ok(Err("its host has no resource provider of that node"));
            };
            let resources = placement::flavor_resources(&s.body.flavor);
            let who = Claimant { consumer: server, project_id: s.project_id.clone(), user_id: s.user_id.clone() };
            if !placement::claim(tx, now, &who, provider, &resources)? {
                return Ok(Err("its host has no room for it: move other servers away first"));
            }
            Ok(Ok((provider, resources)))
        });
        Ok(match claimed.await? {
            Ok((provider, resources)) => {
                self.placement.note_claimed(provider, &resources);
                Ok("claimed what its flavor says".into())
            }
            Err(why) => Err(why.into()),
        })
    }

    async fn unbind(&self, server: Uuid) -> Result<Outcome> {
        let network = self.network.clone();
        let released = self.store.write(move |tx| {
            if !holds_nothing(tx, server)? {
                return Ok(None);
            }
            network.release_server(tx, server).map(Some).map_err(network::Error::into_store)
        });
        Ok(match released.await? {
            Some(released) => {
                let any = !released.networks.is_empty();
                self.network.notify_released(released);
                done(any, "the ports made for the server are deleted, the others are free")
            }
            None => Err(MOVED.into()),
        })
    }

    async fn destroy(&self, host: &str, guest: Uuid) -> Result<Outcome> {
        if self.store.read(|tx| store::damage::any(tx, "servers")).await? {
            return Ok(Err(UNREAD.into()));
        }
        self.conductor.reconcile(host).await;
        let there = |c: &Conductor| {
            let c = c.clone();
            let host = host.to_owned();
            async move { c.guests(&host).await.is_ok_and(|all| all.iter().any(|g| g.id == guest)) }
        };
        if there(&self.conductor).await {
            return Ok(Err("the host's own comparison keeps it: a record may still mean it".into()));
        }
        Ok(Ok(format!("destroyed on {host}")))
    }
}
