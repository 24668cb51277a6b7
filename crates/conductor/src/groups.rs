//! Server groups in the units that give servers their hosts: a group is held, asked, and joined there and nowhere else.

use crate::{Conductor, Error};
use model::Context;
use model::server::Server;
use model::server_group::ServerGroup;
use placement::GroupSpec;
use std::collections::BTreeMap;
use store::{Tx, server_groups};
use uuid::Uuid;

/// The group of the hints.
pub(crate) fn hinted(hints: &BTreeMap<String, serde_json::Value>) -> Result<Option<Uuid>, Error> {
    let Some(value) = hints.get("group") else { return Ok(None) };
    let text = value.as_str().unwrap_or_default();
    Uuid::try_parse(text).map(Some).map_err(|_| Error::Invalid(missing(text)))
}

fn missing(group: impl std::fmt::Display) -> String {
    format!("Instance group {group} could not be found.")
}

/// The group of a server, held until the unit ends.
pub(crate) fn held(tx: &mut Tx, server: &Server) -> Result<Option<ServerGroup>, store::Error> {
    // Only who asked for a group at its birth is in one.
    if !server.body.hints.contains_key("group") {
        return Ok(None);
    }
    let Some(id) = server_groups::of_server(tx, server.id)? else { return Ok(None) };
    match server_groups::lock(tx, id) {
        Ok(group) => Ok(Some(group)),
        // Removed meanwhile: nothing binds the server any more.
        Err(store::Error::NotFound { .. }) => Ok(None),
        Err(e) => Err(e),
    }
}

/// What a server that goes, or that has no host any more, gives back to its group.
pub(crate) fn release(tx: &mut Tx, server: &Server, gone: bool) -> Result<(), store::Error> {
    if !server.body.hints.contains_key("group") {
        return Ok(());
    }
    if gone { server_groups::leave(tx, server.id).map(|_| ()) } else { server_groups::unplace(tx, server.id) }
}

impl Conductor {
    /// Holds the group, with the hosts of its members, and admits `count` more.
    pub(crate) fn enter_group(&self, tx: &mut Tx, ctx: &Context, id: Uuid, count: usize) -> Result<GroupSpec, store::Error> {
        let group = match server_groups::lock(tx, id) {
            Ok(g) if g.project_id == ctx.project_id() => g,
            Ok(_) | Err(store::Error::NotFound { .. }) => return Err(store::Error::abort(Error::Invalid(missing(id)))),
            Err(e) => return Err(e),
        };
        let limit = store::quotas::usage(tx, &group.project_id, &self.resource("server_group_members"))?.limit;
        let more = i64::try_from(count).unwrap_or(i64::MAX);
        if limit >= 0 && server_groups::count(tx, id)?.saturating_add(more) > limit {
            let message = "Quota exceeded, too many servers in group".to_owned();
            return Err(store::Error::abort(Error::Limit(message)));
        }
        Ok(GroupSpec { hosts: server_groups::hosts(tx, id)?, group })
    }
}
