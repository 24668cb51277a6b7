//! Which projects may use a flavor that is not public: `…/os-flavor-access` and the actions on flavors.

use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::outside;
use crate::query::known;
use crate::table::refuse_action;
use api_types::flavors::access;
use api_types::server_actions::action_of;
use axum::Json;
use axum::extract::{Path, State};
use model::flavor::Flavor;
use serde_json::{Value, json};
use web::{Body, Fault, Query};

/// Path of the actions.
pub const PATH: &str = "/flavors/{id}/action";

fn view(f: &Flavor) -> Json<Value> {
    let rows: Vec<Value> = f.access.iter().map(|p| json!({ "flavor_id": f.id, "tenant_id": p })).collect();
    Json(json!({ "flavor_access": rows }))
}

/// `GET`.
/// # Errors
/// 404.
pub async fn list(State(api): State<Api>, ask: Ask, Path(id): Path<String>, query: Query) -> Result<Json<Value>, Fault> {
    known(&ask, &query, 102, &[])?;
    let f = super::find(&api, &ask, &id).await?;
    if f.is_public {
        return Err(Fault::not_found("Access list not available for public flavors."));
    }
    Ok(view(&f))
}

/// `POST /flavors/{id}/action`.
/// # Errors
/// 400, 404, 409.
pub async fn act(
    State(api): State<Api>,
    ask: Ask,
    Path(id): Path<String>,
    Body(body): Body<Value>,
) -> Result<Json<Value>, Fault> {
    match action_of(&body) {
        Some("addTenantAccess") => add(&api, &ask, &id, access(&body, "addTenantAccess").map_err(bad)?).await,
        Some("removeTenantAccess") => remove(&api, &id, access(&body, "removeTenantAccess").map_err(bad)?).await,
        Some(other) => Err(refuse_action(&ask, PATH, other)),
        None => Err(Fault::bad_request("Malformed request body: too many body keys")),
    }
}

async fn add(api: &Api, ask: &Ask, id: &str, project: String) -> Result<Json<Value>, Fault> {
    outside::project(api, &project)?;
    let strict = ask.at_least(7);
    let flavor = id.to_owned();
    let changed = super::change(api, id, move |f| {
        if strict && f.is_public {
            return Err(Fault::conflict("Can not add access to a public flavor."));
        }
        if f.access.contains(&project) {
            return Err(Fault::conflict(format!(
                "Flavor access already exists for flavor {flavor} and project {project} combination."
            )));
        }
        f.access.push(project.clone());
        f.access.sort();
        Ok(())
    });
    Ok(view(&changed.await?))
}

async fn remove(api: &Api, id: &str, project: String) -> Result<Json<Value>, Fault> {
    let flavor = id.to_owned();
    let changed = super::change(api, id, move |f| {
        let before = f.access.len();
        f.access.retain(|p| *p != project);
        if f.access.len() < before {
            return Ok(());
        }
        Err(Fault::not_found(format!("Flavor access not found for {flavor} / {project} combination.")))
    });
    Ok(view(&changed.await?))
}
