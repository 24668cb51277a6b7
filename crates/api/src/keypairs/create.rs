//! `POST /os-keypairs`: imports a public key, or (until 2.91) makes a pair and tells the private key once.

use super::{owner, ssh, view};
use crate::Api;
use crate::ask::Ask;
use crate::fault::bad;
use crate::servers::metadata::fault_of;
use api_types::keypairs::Create;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::Secret;
use model::keypair::Keypair;
use model::quota;
use serde_json::{Value, json};
use web::{Body, Fault};

/// The handler.
/// # Errors
/// 400, 403, 409, 501.
pub async fn create(State(api): State<Api>, ask: Ask, Body(body): Body<Value>) -> Result<Response, Fault> {
    let w = Create::read(&body, ask.mv).map_err(bad)?;
    let user = owner(&ask, w.user_id.as_deref(), "os_compute_api:os-keypairs:create")?;
    if w.kind == "x509" {
        return Err(Fault::not_built("Keypairs of type x509; use ssh. It"));
    }
    let (public_key, private) = match w.public_key {
        Some(key) => (key, None),
        None => {
            let pair = ssh::generate(&api.env().random, "Generated-by-Nova");
            let pair = pair.ok_or_else(|| Fault::internal("no key could be made"))?;
            (pair.public, Some(pair.private))
        }
    };
    let fingerprint = ssh::fingerprint(&public_key)
        .ok_or_else(|| Fault::bad_request("Keypair data is invalid: failed to generate fingerprint of public_key"))?;
    let name = w.name.trim().to_owned();
    let key = Keypair { user_id: user, name, kind: w.kind, fingerprint, public_key, created_at: api.env().now() };
    insert(&api, &ask, key.clone()).await?;
    let mut shown = view(&ask, &key);
    shown.user_id = Some(&key.user_id);
    shown.private_key = private.as_ref().map(Secret::reveal).map(String::as_str);
    let status = if ask.at_least(2) { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(json!({ "keypair": shown }))).into_response())
}

async fn insert(api: &Api, ask: &Ask, key: Keypair) -> Result<(), Fault> {
    let project = ask.caller.project_id().to_owned();
    let stored = api.store().write(move |tx| {
        let limit = match quota::COMPUTE.iter().find(|r| r.name == "key_pairs") {
            Some(resource) => store::quotas::usage(tx, &project, resource)?.limit,
            None => -1,
        };
        if limit >= 0 && store::keypairs::count(tx, &key.user_id)? >= limit {
            return Err(store::Error::abort(Fault::forbidden("Quota exceeded, too many key pairs.")));
        }
        match store::keypairs::get(tx, &key.user_id, &key.name) {
            Ok(_) => return Err(store::Error::abort(Fault::conflict(format!("Key pair '{}' already exists.", key.name)))),
            Err(store::Error::NotFound { .. }) => {}
            Err(e) => return Err(e),
        }
        store::keypairs::insert(tx, &key)
    });
    stored.await.map_err(fault_of)
}
