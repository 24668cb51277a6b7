//! Rebuild: new disks from an image, the same ports, and off again if it was off.

use super::{Ending, Flow, Run, Step};
use crate::request::RebuildRequest;
use driver_api::{Error, Power};
use model::server::{Server, VmState};
use std::time::Duration;

/// What commit 1 changes in the server's record: the request is complete, so a crash needs nothing else.
pub(crate) fn apply(server: &mut Server, r: &RebuildRequest) {
    let body = &mut server.body;
    body.image = Some(r.image.id);
    body.image_name = Some(r.image.name.clone());
    body.image_properties = r.image.properties.clone();
    body.kernel = r.kernel.as_ref().map(|i| i.id);
    body.ramdisk = r.ramdisk.as_ref().map(|i| i.id);
    body.admin_pass = Some(r.admin_pass.clone());
    if let Some(name) = &r.name {
        server.name.clone_from(name);
    }
    if let Some(m) = &r.metadata {
        body.metadata.clone_from(m);
    }
    if let Some(d) = &r.description {
        body.description.clone_from(d);
    }
    if let Some(k) = &r.key {
        body.key.clone_from(k);
    }
    if let Some(u) = &r.user_data {
        body.user_data.clone_from(u);
    }
    if let Some(h) = &r.hostname {
        body.hostname.clone_from(h);
    }
    if let Some(a) = &r.access_ipv4 {
        body.access_ipv4.clone_from(a);
    }
    if let Some(a) = &r.access_ipv6 {
        body.access_ipv6.clone_from(a);
    }
    if let Some(d) = &r.disk_config {
        body.disk_config.clone_from(d);
    }
    if let Some(t) = &r.trusted_certs {
        body.trusted_certs.clone_from(t);
    }
    body.fault = None;
}

pub(crate) async fn run(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let (host, assignment) = (run.host()?, run.assignment().await?);
    let mut observed = flow
        .forward(Step::Rebuild, || {
            let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
            async move { client.rebuild(assignment, &op).await }
        })
        .await?;
    let mut vm_state = VmState::Active;
    if run.input.was == Some(VmState::Stopped) {
        let off = Power::Off { grace: Duration::ZERO };
        observed = flow
            .forward(Step::PowerOff, || {
                let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
                async move { client.power(assignment, off, &op).await }
            })
            .await?;
        vm_state = VmState::Stopped;
    }
    Ok(Ending { vm_state: Some(vm_state), ..Ending::of(observed) })
}
