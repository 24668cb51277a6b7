//! createImage: the root disk goes into the image that commit 1 queued; commit 2 makes it active.

use super::{Ending, Flow, Run, Step};
use crate::Conductor;
use driver_api::{Error, ErrorKind};
use model::Context;
use model::image::Image;
use model::server::Server;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(crate) async fn run(flow: &mut Flow<'_>, run: &mut Run<'_>) -> Result<Ending, Error> {
    let image = run.input.image.ok_or_else(|| Error::new(ErrorKind::Internal, "the snapshot names no image"))?;
    let (host, assignment) = (run.host()?, run.assignment().await?);
    let images = run.conductor.images.clone();
    flow.step(
        Step::Snapshot,
        || {
            let (client, assignment, op) = (host.client.clone(), assignment.clone(), run.op.clone());
            async move { client.snapshot(assignment, image, &op).await }
        },
        move || {
            let images = images.clone();
            async move { images.discard(image).await.map_err(|e| Error::internal("the image's bytes cannot be removed", e)) }
        },
    )
    .await?;
    let seen = host.client.get(run.server.id, &run.op).await.ok();
    Ok(Ending { observed: seen, image: Some(image), ..Ending::default() })
}

impl Conductor {
    /// The queued image of a snapshot, as commit 1 stores it (`nova/compute/utils.py`, `create_image`).
    pub(crate) fn snapshot_image(
        &self,
        ctx: &Context,
        server: &Server,
        flow: Uuid,
        name: String,
        metadata: BTreeMap<String, String>,
    ) -> Image {
        let mut image = Image::snapshot(self.env.uuid(), server.project_id.clone(), name, flow, self.env.now());
        image.min_ram = 0;
        image.min_disk = server.body.flavor.root_gib;
        // What the image asked of the hardware holds for the copy; what was said about its own bytes does not.
        let own = ["image_type", "instance_uuid", "base_image_ref", "user_id", "image_location", "image_state"];
        for (k, v) in &server.body.image_properties {
            if !own.contains(&k.as_str()) {
                image.properties.insert(k.clone(), v.clone());
            }
        }
        image.properties.extend(metadata);
        let mut put = |k: &str, v: String| image.properties.insert(k.to_owned(), v);

        put("instance_uuid", server.id.to_string());
        put("user_id", ctx.user_id.clone());
        put("base_image_ref", server.body.image.map(|i| i.to_string()).unwrap_or_default());
        put("boot_roles", ctx.roles.iter().cloned().collect::<Vec<_>>().join(","));
        for (key, id) in [("kernel_id", server.body.kernel), ("ramdisk_id", server.body.ramdisk)] {
            if let Some(id) = id {
                put(key, id.to_string());
            }
        }
        image
    }
}
