//! Finding the server that a path names: the first thing every verb on a server does.

use crate::Api;
use crate::ask::Ask;
use crate::fault::no_server;
use crate::table::forbidden;
use model::policy::Rule;
use model::server::Server;
use uuid::Uuid;
use web::Fault;

/// Which rule is held, under the original's name of it.
#[derive(Debug, Clone, Copy)]
pub struct Policy(pub Rule, pub &'static str);

/// The living server of that id, if the caller may do `policy` to it. One of another project is as absent as one
/// that never was; in the own project a missing role is 403.
/// # Errors
/// 404, 403.
pub async fn server(api: &Api, ask: &Ask, id: &str, policy: Policy) -> Result<Server, Fault> {
    find(api, ask, id, policy, false).await
}

/// The same, gone servers included (instance actions from 2.21 on).
/// # Errors
/// 404, 403.
pub async fn even_gone(api: &Api, ask: &Ask, id: &str, policy: Policy) -> Result<Server, Fault> {
    find(api, ask, id, policy, true).await
}

async fn find(api: &Api, ask: &Ask, text: &str, policy: Policy, gone: bool) -> Result<Server, Fault> {
    let shown: String = text.chars().take(64).collect();
    let id = Uuid::try_parse(text).map_err(|_| no_server(&shown))?;
    let found = api.store().read(move |tx| store::servers::find(tx, id)).await?;
    let server = found.filter(|s| gone || !s.is_deleted()).ok_or_else(|| no_server(&id))?;
    if policy.0.allows(&ask.caller, &server.project_id) {
        Ok(server)
    } else if ask.caller.project_id() == server.project_id {
        Err(forbidden(policy.1))
    } else {
        Err(no_server(&id))
    }
}
