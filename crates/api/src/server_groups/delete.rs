//! `DELETE /os-server-groups/{id}`. Its servers stay where they are and belong to none.

use super::{find, missing, resource};
use crate::Api;
use crate::ask::Ask;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use model::policy::Rule;
use web::Fault;

/// The handler.
/// # Errors
/// 403, 404.
pub async fn delete(State(api): State<Api>, ask: Ask, Path(id): Path<String>) -> Result<StatusCode, Fault> {
    let group = find(&api, &ask, &id, Rule::ProjectMember, "os_compute_api:os-server-groups:delete").await?;
    let counted = resource(&api);
    let done = api.store().write(move |tx| {
        store::server_groups::delete(tx, group.id)?;
        match &counted {
            Some(resource) => store::quotas::release(tx, &group.project_id, &[(resource, 1)]),
            None => Ok(()),
        }
    });
    match done.await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(store::Error::NotFound { .. }) => Err(missing(&id)),
        Err(e) => Err(e.into()),
    }
}
