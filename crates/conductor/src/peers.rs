//! Other controllers on the same database: which hosts they hold, whether they live, and who is to run a flow.
//!
//! In memory, read from the database by [`crate::reconcilers`]. Whether a controller lives is judged by its beat and this
//! controller's own clock: what has not moved for a lease is lost, and its hosts are down. Where a controller is alone
//! there are no peers, and nothing here costs anything.

use crate::hosts::{Host, HostView};
use crate::{Conductor, Error};
use driver_api::Timestamp;
use model::server::Server;
use model::service::Service;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use store::controllers::Controller;
use store::services::Held;

/// A controller as it was last seen.
#[derive(Debug, Clone)]
struct Seen {
    row: Controller,
    /// When its beat last moved, by our clock.
    moved: Timestamp,
}

impl Seen {
    fn lives(&self, now: Timestamp, lease: Duration) -> bool {
        !self.row.ended && now.since(self.moved) < lease
    }
}

#[derive(Debug, Default)]
struct State {
    controllers: BTreeMap<String, Seen>,
    hosts: BTreeMap<String, Held>,
}

/// The others.
#[derive(Debug, Default)]
pub(crate) struct Peers(Mutex<State>);

/// A host that another controller holds.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub service: Service,
    /// The controller's name.
    pub controller: String,
    /// The life that runs its flows.
    pub owner: String,
    /// Why it takes no work.
    pub down_reason: Option<String>,
    pub last_seen: Timestamp,
}

impl Peers {
    fn with<T>(&self, f: impl FnOnce(&mut State) -> T) -> T {
        f(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// Notes how the controllers are now; true if a life began or ended.
    pub fn see(&self, rows: Vec<Controller>, now: Timestamp) -> bool {
        self.with(|s| {
            let mut news = false;
            for row in rows {
                let before = s.controllers.get(&row.name);
                news |= before.is_none_or(|b| b.row.owner != row.owner || b.row.ended != row.ended);
                let moved = before.filter(|b| b.row == row).map_or(now, |b| b.moved);
                s.controllers.insert(row.name.clone(), Seen { row, moved });
            }
            news
        })
    }
    /// Notes who holds which host.
    pub fn set_hosts(&self, hosts: Vec<Held>) {
        self.with(|s| s.hosts = hosts.into_iter().map(|h| (h.service.host.clone(), h)).collect());
    }
    /// Controllers that are lost or have left.
    pub fn lost(&self, now: Timestamp, lease: Duration) -> Vec<String> {
        self.with(|s| s.controllers.values().filter(|c| !c.lives(now, lease)).map(|c| c.row.name.clone()).collect())
    }
    fn peer(s: &State, held: &Held, me: &str, now: Timestamp, lease: Duration) -> Option<Peer> {
        let controller = held.controller.clone().filter(|c| c != me)?;
        let seen = s.controllers.get(&controller)?;
        let lost = || format!("controller {controller}, which holds it, does not answer");
        let down_reason = if seen.lives(now, lease) { held.down_reason.clone() } else { Some(lost()) };
        let service = held.service.clone();
        Some(Peer { service, owner: seen.row.owner.clone(), down_reason, last_seen: seen.moved, controller })
    }
    /// The host, if another controller holds it.
    pub fn find(&self, host: &str, me: &str, now: Timestamp, lease: Duration) -> Option<Peer> {
        self.with(|s| Peers::peer(s, s.hosts.get(host)?, me, now, lease))
    }
    /// Every host of another controller.
    pub fn all(&self, me: &str, now: Timestamp, lease: Duration) -> Vec<Peer> {
        self.with(|s| s.hosts.values().filter_map(|h| Peers::peer(s, h, me, now, lease)).collect())
    }
    /// Whether that life of a controller goes on.
    fn lives(&self, owner: &str, now: Timestamp, lease: Duration) -> bool {
        self.with(|s| s.controllers.values().any(|c| c.row.owner == owner && c.lives(now, lease)))
    }
}

/// Where a server's host is.
pub(crate) enum Reach {
    /// This controller holds it.
    Here(Box<Host>),
    /// Another does.
    There(Box<Peer>),
}

impl Conductor {
    pub(crate) fn peer(&self, host: &str) -> Option<Peer> {
        if self.options.alone || self.hosts.get(host).is_some() {
            return None;
        }
        self.peers.find(host, &self.options.controller, self.env.clock.steady(), self.options.lease)
    }
    /// Who runs a flow on a server of `host`: the life that holds the host; this one where nobody does that lives.
    pub(crate) fn owner_of(&self, host: Option<&str>) -> String {
        let now = self.env.clock.steady();
        host.and_then(|h| self.peer(h))
            .filter(|p| self.peers.lives(&p.owner, now, self.options.lease))
            .map_or_else(|| self.options.name.clone(), |p| p.owner)
    }
    /// The host of `server`, if it is up, whoever holds it.
    pub(crate) fn reach(&self, server: &Server) -> Result<Reach, Error> {
        let Some(peer) = server.host.as_deref().and_then(|h| self.peer(h)) else {
            return self.host_of(server).map(|h| Reach::Here(Box::new(h)));
        };
        match peer.down_reason {
            Some(reason) => Err(Error::HostDown { host: peer.service.host, reason }),
            None => Ok(Reach::There(Box::new(peer))),
        }
    }
    /// Hosts of other controllers as operators see them.
    pub(crate) fn peer_views(&self) -> Vec<HostView> {
        if self.options.alone {
            return Vec::new();
        }
        let all = self.peers.all(&self.options.controller, self.env.clock.steady(), self.options.lease);
        let others = all.into_iter().filter(|p| self.hosts.get(&p.service.host).is_none());
        others
            .map(|p| HostView {
                service: p.service,
                up: p.down_reason.is_none(),
                down_reason: p.down_reason,
                last_seen: p.last_seen,
                here: false,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(beat: i64, ended: bool) -> Controller {
        Controller { name: "b".into(), owner: format!("b#{}", i64::from(ended)), beat, ended }
    }

    #[test]
    fn a_beat_that_stands_still_for_a_lease_is_lost() {
        let (peers, lease) = (Peers::default(), Duration::from_secs(60));
        let at = |s: i64| Timestamp(s * 1_000_000);
        assert!(peers.see(vec![row(1, false)], at(0)), "a life began");
        assert!(!peers.see(vec![row(2, false)], at(50)));
        assert!(peers.lost(at(100), lease).is_empty());
        assert!(!peers.see(vec![row(2, false)], at(100)), "the beat did not move");
        assert_eq!(peers.lost(at(110), lease), ["b"]);
        assert!(!peers.see(vec![row(3, false)], at(120)));
        assert!(peers.lost(at(121), lease).is_empty(), "it beats again");
        assert!(peers.see(vec![row(3, true)], at(122)));
        assert_eq!(peers.lost(at(122), lease), ["b"], "it left");
    }
}
