//! `/os-server-groups`: servers that shall share a host, or shall not. The policy is kept by the units that give servers
//! their hosts, in the conductor; here groups are only made, shown and removed.

pub mod create;
pub mod delete;
pub mod list;

use crate::Api;
use crate::ask::Ask;
use crate::table::forbidden;
use api_types::server_groups::{Group, View};
use model::policy::Rule;
use model::quota::Resource;
use model::server_group::ServerGroup;
use serde_json::Value;
use uuid::Uuid;
use web::Fault;

fn missing(id: &str) -> Fault {
    let shown: String = id.chars().take(64).collect();
    Fault::not_found(format!("Instance group {shown} could not be found."))
}

/// The group, if the caller may do this to it. One of another project is not there.
async fn find(api: &Api, ask: &Ask, text: &str, rule: Rule, policy: &'static str) -> Result<ServerGroup, Fault> {
    let id = Uuid::try_parse(text).map_err(|_| missing(text))?;
    match api.store().read(move |tx| store::server_groups::get(tx, id)).await {
        Ok(g) if rule.allows(&ask.caller, &g.project_id) => Ok(g),
        Ok(g) if g.project_id == ask.caller.project_id() => Err(forbidden(policy)),
        Ok(_) | Err(store::Error::NotFound { .. }) => Err(missing(text)),
        Err(e) => Err(e.into()),
    }
}

fn view(ask: &Ask, g: &ServerGroup, members: Vec<Uuid>) -> Result<Value, Fault> {
    let group = Group {
        id: g.id,
        name: &g.name,
        policy: g.policy.as_str(),
        max_per_host: g.max_per_host,
        project_id: &g.project_id,
        user_id: &g.user_id,
    };
    serde_json::to_value(View::of(group, members, ask.mv)).map_err(Fault::internal)
}

/// The counted resource.
fn resource(api: &Api) -> Option<Resource> {
    crate::limits::resources(api).into_iter().find(|r| r.name == "server_groups")
}
