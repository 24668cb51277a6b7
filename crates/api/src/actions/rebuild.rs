//! `rebuild`: the same server from an image, perhaps another.

use super::Call;
use crate::fault::{bad, refused};
use crate::outside;
use crate::servers::create::{decode, key};
use crate::servers::get::{Policy, server};
use crate::servers::metadata::{fault_of, within_quota};
use crate::servers::name::password;
use crate::servers::show::Wrapped;
use crate::servers::view::{Kind, Look, user_data};
use api_types::servers::Rebuild;
use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use conductor::{ActionRequest, RebuildRequest};
use model::Secret;
use model::server::Server;
use web::Fault;

pub(super) async fn rebuild(call: &Call<'_>) -> Result<Response, Fault> {
    let wanted = Rebuild::read(call.body, call.ask.mv).map_err(bad)?;
    let s = call.server().await?;
    let request = resolve(call, &s, wanted).await?;
    let pass = request.admin_pass.reveal().clone();
    let action = ActionRequest::Rebuild(Box::new(request));
    call.api.conductor().act(&call.ask.caller, s.id, action).await.map_err(refused)?;
    let s = server(call.api, call.ask, call.id, Policy(call.row.rule, call.row.policy)).await?;
    let look = Look::new(call.api, call.ask).beside(call.api, &s).await?;
    let mut view = look.view(&s, Kind::Rebuild);
    view.admin_pass = Some(&pass);
    view.user_data = call.ask.at_least(57).then(|| user_data(&s));
    let location = call.ask.base.own(format_args!("servers/{}", s.id));
    Ok((StatusCode::ACCEPTED, [("location", location)], Json(Wrapped { server: view })).into_response())
}

async fn resolve(call: &Call<'_>, s: &Server, w: Rebuild) -> Result<RebuildRequest, Fault> {
    if w.personality > 0 {
        return Err(Fault::not_built("File injection (personality); use user_data. It"));
    }
    if w.preserve_ephemeral {
        return Err(Fault::bad_request("The current driver does not support preserving ephemeral partitions."));
    }
    let boot = outside::bootable(call.api, &call.ask.caller, w.image, "Cannot find image for rebuild").await?;
    outside::fits(s.body.flavor.memory_mib, s.body.flavor.root_gib, &boot)?;
    if let Some(metadata) = &w.metadata {
        let (project, items) = (s.project_id.clone(), metadata.len());
        call.api.store().read(move |tx| within_quota(tx, &project, items)).await.map_err(fault_of)?;
    }
    let key = match w.key_name {
        None => None,
        Some(name) => Some(key(call.api, call.ask, name.as_deref()).await?),
    };
    let data = match w.user_data {
        None => None,
        Some(None) => Some(None),
        Some(Some(text)) => Some(Some(decode(&text)?)),
    };
    Ok(RebuildRequest {
        image: boot.image,
        kernel: boot.kernel,
        ramdisk: boot.ramdisk,
        name: w.name.map(|n| n.trim().to_owned()),
        metadata: w.metadata,
        description: w.description,
        key,
        user_data: data,
        admin_pass: Secret::new(w.admin_pass.unwrap_or_else(|| password(&call.api.env().random))),
        hostname: w.hostname,
        access_ipv4: w.access_ipv4,
        access_ipv6: w.access_ipv6,
        disk_config: w.disk_config,
        trusted_certs: w.trusted_certs,
    })
}
