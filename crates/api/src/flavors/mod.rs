//! Flavors: their list, their life, their extra specs and who may use them.

pub mod access;
pub mod create;
pub mod list;
pub mod specs;
mod view;

use crate::Api;
use crate::ask::Ask;
use model::flavor::Flavor;
use web::Fault;

/// Nova's sentence for a flavor that is not there or not the caller's to use.
pub fn missing(id: &str) -> Fault {
    let shown: String = id.chars().take(255).collect();
    Fault::not_found(format!("Flavor {shown} could not be found."))
}

/// The flavor, if the caller may use it.
/// # Errors
/// 404.
pub async fn find(api: &Api, ask: &Ask, id: &str) -> Result<Flavor, Fault> {
    let key = id.to_owned();
    match api.store().read(move |tx| store::flavors::get(tx, &key)).await {
        Ok(f) if f.usable_by(ask.caller.project_id(), ask.is_admin()) => Ok(f),
        Ok(_) | Err(store::Error::NotFound { .. }) => Err(missing(id)),
        Err(e) => Err(e.into()),
    }
}

/// Changes a flavor in one piece.
/// # Errors
/// 404, and what `edit` refuses.
async fn change(
    api: &Api,
    id: &str,
    edit: impl Fn(&mut Flavor) -> Result<(), Fault> + Send + 'static,
) -> Result<Flavor, Fault> {
    let key = id.to_owned();
    let changed = api
        .store()
        .write(move |tx| store::flavors::change(tx, &key, |f| edit(f).map_err(store::Error::abort)))
        .await;
    changed.map_err(|e| match e {
        store::Error::NotFound { .. } => missing(id),
        e => crate::servers::metadata::fault_of(e),
    })
}
