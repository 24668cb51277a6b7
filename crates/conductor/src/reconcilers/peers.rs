//! Memory follows the database where several controllers share it: what the log of changes names is read again, the own
//! beat is kept up, and flows that others handed over are run. Never runs where a controller is alone.

use crate::Conductor;
use std::collections::BTreeSet;
use std::time::Duration;
use store::changes::{self, Cursor, News, Topic};
use tokio::sync::watch;
use uuid::Uuid;

/// How often the log is looked at when nothing is heard.
const POLL: Duration = Duration::from_secs(1);
/// How long the log is kept, and for how long a reader may be away and still follow it, seconds.
const KEPT: i64 = 3600;

/// Where this controller stands in following the others.
pub(super) struct Follower {
    cursor: Cursor,
    grown: Option<watch::Receiver<u64>>,
    /// Providers that are read once more: what this controller counted itself may have come after the reading.
    again: BTreeSet<Uuid>,
    looked: driver_api::Timestamp,
    beaten: driver_api::Timestamp,
    lost: Vec<String>,
}

impl Conductor {
    /// Takes the controller's name for this life and stands at the end of the log, before anything is read into memory.
    pub(super) async fn enter(&self) -> Result<Follower, store::Error> {
        let (name, owner, now) = (self.options.controller.clone(), self.options.name.clone(), self.env.now());
        let grown = self.store.listen()?;
        let cursor = self.store.read(changes::here).await?;
        self.store.write(move |tx| store::controllers::enter(tx, &name, &owner, now)).await?;
        let steady = self.env.clock.steady();
        self.peers.see(self.store.read(store::controllers::list).await?, steady);
        let follower = Follower { cursor, grown, again: BTreeSet::new(), looked: steady, beaten: steady, lost: Vec::new() };
        Ok(follower)
    }

    pub(super) async fn keep_peers(&self, mut f: Follower) {
        let poll = POLL.min(self.options.lease / 8);
        loop {
            let heard = async {
                match &mut f.grown {
                    Some(grown) => match grown.changed().await {
                        Ok(()) => {}
                        Err(_) => std::future::pending().await,
                    },
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => break,
                () = heard => {}
                () = self.env.clock.sleep(poll) => {}
            }
            if let Err(error) = self.follow(&mut f).await {
                tracing::error!(%error, "the other controllers cannot be followed now; trying again");
            }
        }
        let (name, owner) = (self.options.controller.clone(), self.options.name.clone());
        if let Err(error) = self.store.write(move |tx| store::controllers::leave(tx, &name, &owner)).await {
            tracing::warn!(%error, "the others are not told that this controller leaves; they will find out");
        }
    }

    async fn follow(&self, f: &mut Follower) -> Result<(), store::Error> {
        let now = self.env.clock.steady();
        if now.since(f.beaten) >= self.options.lease / 4 {
            self.beat().await?;
            f.beaten = now;
        }
        let cursor = f.cursor.clone();
        let (news, cursor, controllers) = self
            .store
            .read(move |tx| {
                let (news, cursor) = changes::since(tx, &cursor)?;
                Ok((news, cursor, store::controllers::list(tx)?))
            })
            .await?;
        let lives = self.peers.see(controllers, now);
        if now.since(f.looked) > Duration::from_secs(KEPT.unsigned_abs() / 2) {
            // Too long away: the log may have been shortened meanwhile.
            self.read_all().await?;
        }
        let lost = self.peers.lost(now, self.options.lease);
        if lives || lost != f.lost {
            tracing::info!(?lost, "controllers came or went");
            self.read_peers().await?;
            // What one of them did and could not tell any more is told to this controller's hosts now.
            self.rewire_all().await;
        }
        self.apply(&news, &mut f.again).await?;
        // Only what was followed is passed over.
        (f.cursor, f.looked, f.lost) = (cursor, now, lost);
        Ok(())
    }

    async fn apply(&self, news: &News, again: &mut BTreeSet<Uuid>) -> Result<(), store::Error> {
        let ids = |topic: Topic| news.iter().filter(move |(t, _)| *t == topic).filter_map(|(_, k)| Uuid::try_parse(k).ok());
        let has = |topic: Topic| news.iter().any(|(t, _)| *t == topic);
        if has(Topic::Identity) {
            self.identity_news.send_modify(|n| *n += 1);
        }
        self.fetch(ids(Topic::Flow).collect()).await?;
        if has(Topic::Service) {
            self.read_peers().await?;
        }
        if has(Topic::Aggregates) {
            let all = self.store.read(store::aggregates::list).await?;
            self.placement.set_aggregates(&all);
        }
        let changed: BTreeSet<Uuid> = ids(Topic::Provider).collect();
        let stale: BTreeSet<Uuid> = changed.union(&std::mem::replace(again, changed.clone())).copied().collect();
        if !stale.is_empty() {
            self.placement.refresh(stale.into_iter().collect()).await.map_err(|placement::Error::Store(e)| e)?;
        }
        let servers: BTreeSet<Uuid> = ids(Topic::Server).collect();
        if !servers.is_empty() {
            let me = self.clone();
            self.running.spawn(async move { me.rewire(&servers, false).await });
        }
        Ok(())
    }

    /// Everything that memory has of the database, read anew.
    async fn read_all(&self) -> Result<(), store::Error> {
        self.identity_news.send_modify(|n| *n += 1);
        self.placement.load().await.map_err(|placement::Error::Store(e)| e)?;
        let all = self.store.read(store::aggregates::list).await?;
        self.placement.set_aggregates(&all);
        self.read_peers().await?;
        self.rewire_all().await;
        Ok(())
    }

    /// Who holds which host, whether it is up, and what operators switched.
    pub(super) async fn read_peers(&self) -> Result<(), store::Error> {
        let held = self.store.read(store::services::held).await?;
        for h in held.iter().filter(|h| self.hosts.get(&h.service.host).is_some()) {
            let known = self.hosts.get(&h.service.host).and_then(|own| own.service);
            if known.is_some_and(|k| (k.disabled, k.forced_down, &k.disabled_reason) != (h.service.disabled, h.service.forced_down, &h.service.disabled_reason)) {
                self.service_changed(h.service.clone());
            }
        }
        self.peers.set_hosts(held);
        for view in self.peer_views() {
            let adopted = self.placement.adopt(&view.service, view.up).await;
            adopted.map_err(|placement::Error::Store(e)| e)?;
        }
        Ok(())
    }

    async fn beat(&self) -> Result<(), store::Error> {
        let (name, owner) = (self.options.controller.clone(), self.options.name.clone());
        let beat = move |tx: &mut store::Tx| {
            store::changes::forget(tx, KEPT)?;
            store::controllers::beat(tx, &name, &owner)
        };
        if !self.store.write(beat).await? {
            tracing::error!(controller = self.options.controller, "another process took this controller's name; this one stops its work");
            self.stop.cancel();
        }
        Ok(())
    }

    /// Runs flows that others handed over.
    async fn fetch(&self, flows: Vec<Uuid>) -> Result<(), store::Error> {
        for id in flows {
            let me = self.options.name.clone();
            let found = self
                .store
                .read(move |tx| {
                    let row = store::flows::get(tx, id)?;
                    if row.owner != me || !matches!(row.state, model::flow::FlowState::Running | model::flow::FlowState::Unwinding) {
                        return Ok(None);
                    }
                    let server = store::servers::get(tx, row.server_id)?;
                    Ok((server.flow_id == Some(id)).then_some((row, server)))
                })
                .await;
            match found {
                Ok(Some((row, server))) if !self.tasks.runs(server.id, row.id) => self.launch(row, server),
                Ok(_) | Err(store::Error::NotFound { .. }) => {}
                Err(error @ store::Error::Corrupt { .. }) => tracing::error!(flow = %id, %error, "a flow that was handed over cannot be read"),
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// Tells the controllers that hold these servers' hosts to look at them again.
    pub(super) async fn tell_peers(&self, servers: Vec<Uuid>) {
        let told = self.store.write(move |tx| {
            servers.iter().for_each(|id| tx.note(Topic::Server, id));
            Ok(())
        });
        if let Err(error) = told.await {
            tracing::error!(%error, "a change of wiring could not be told to other controllers");
        }
    }
}
