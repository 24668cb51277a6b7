//! What the Compute API asks of the other services, in one place: images, networks, projects.
//!
//! Never decides; turns their refusals into the sentences of the original.

use crate::Api;
use driver_api::ImageRef;
use model::Context;
use model::image::{Image, Status};
use uuid::Uuid;
use web::Fault;

/// An image and what boots with it.
#[derive(Debug, Clone)]
pub struct Bootable {
    /// The image.
    pub image: ImageRef,
    /// Its kernel, for direct boot.
    pub kernel: Option<ImageRef>,
    /// Its ramdisk.
    pub ramdisk: Option<ImageRef>,
    /// Least root disk, GiB.
    min_disk: u64,
    /// Least memory, MiB.
    min_ram: u64,
}

/// The image as the caller may boot it. `missing` is the sentence where there is none.
/// # Errors
/// 400, as the original does on create and rebuild.
pub async fn bootable(api: &Api, ctx: &Context, id: Uuid, missing: &str) -> Result<Bootable, Fault> {
    let found = api.images().get(ctx, id).await;
    bootable_image(api, ctx, id, found, missing).await
}

/// The same of an image that was looked up already.
/// # Errors
/// 400.
pub async fn bootable_image(
    api: &Api,
    ctx: &Context,
    id: Uuid,
    found: image::Result<Image>,
    missing: &str,
) -> Result<Bootable, Fault> {
    let image = active(id, found, missing)?;
    let kernel = part(api, ctx, &image, "kernel_id").await?;
    let ramdisk = part(api, ctx, &image, "ramdisk_id").await?;
    Ok(Bootable { kernel, ramdisk, min_disk: image.min_disk, min_ram: image.min_ram, image: reference(&image)? })
}

fn active(id: Uuid, found: image::Result<Image>, missing: &str) -> Result<Image, Fault> {
    let image = match found {
        Ok(image) => image,
        Err(image::Error::NotFound(_) | image::Error::Forbidden(_)) => return Err(Fault::bad_request(missing)),
        Err(e) => return Err(Fault::from(e)),
    };
    if image.status == Status::Active {
        Ok(image)
    } else {
        Err(Fault::bad_request(format!("Image {id} is not active.")))
    }
}

async fn part(api: &Api, ctx: &Context, image: &Image, property: &str) -> Result<Option<ImageRef>, Fault> {
    let Some(text) = image.properties.get(property).filter(|t| !t.is_empty()) else { return Ok(None) };
    let wrong = format!("The property {property} of image {} names {text}, which is no image that can be used.", image.id);
    let id = Uuid::try_parse(text).map_err(|_| Fault::bad_request(wrong.clone()))?;
    reference(&active(id, api.images().get(ctx, id).await, &wrong)?).map(Some)
}

fn reference(image: &Image) -> Result<ImageRef, Fault> {
    image.reference().ok_or_else(|| Fault::bad_request(format!("Image {} has no recorded format; upload it again.", image.id)))
}

/// Whether a flavor of this size is large enough (`nova/compute/api.py`, `_validate_flavor_image_nostatus`). Pure.
/// # Errors
/// 400 in the original's sentences.
pub fn fits(memory_mib: u64, root_gib: u64, boot: &Bootable) -> Result<(), Fault> {
    const GIB: u64 = 1 << 30;
    if memory_mib < boot.min_ram {
        return Err(Fault::bad_request("Flavor's memory is too small for requested image."));
    }
    // A flavor without a root disk takes the image's size.
    if root_gib == 0 {
        return Ok(());
    }
    let disk = root_gib.saturating_mul(GIB);
    let size = boot.image.virtual_size.unwrap_or(0).max(boot.image.size);
    if size > disk {
        return Err(Fault::bad_request(format!(
            "Flavor's disk is too small for requested image. Flavor disk is {disk} bytes, image is {size} bytes."
        )));
    }
    let least = boot.min_disk.saturating_mul(GIB);
    if least > disk {
        return Err(Fault::bad_request(format!(
            "Flavor's disk is smaller than the minimum size specified in image metadata. Flavor disk is {disk} bytes, minimum size is {least} bytes."
        )));
    }
    Ok(())
}

/// A refusal of the network service to make or bind ports: what is not there is the request's fault (400), a port in
/// use or an ambiguous network a conflict (409), a full quota is 403, as the original maps Neutron's answers.
pub fn network_fault(e: network::Error) -> Fault {
    use network::Error;
    match e {
        e @ (Error::NotFound { .. } | Error::Invalid { .. }) => Fault::bad_request(e.to_string()),
        Error::Conflict { kind: "IpAddressGenerationFailure" | "IpAddressAlreadyAllocated", message } => {
            Fault::bad_request(message)
        }
        Error::Conflict { message, .. } => Fault::conflict(message),
        e @ (Error::Forbidden(_) | Error::OverQuota(_)) => Fault::forbidden(e.to_string()),
        Error::NotBuilt(what) => Fault::not_built(&what),
        Error::Store(e) => e.into(),
    }
}

/// Refuses a project that identity does not know.
/// # Errors
/// 400.
pub fn project(api: &Api, id: &str) -> Result<(), Fault> {
    if api.identity().project_exists(id) {
        Ok(())
    } else {
        Err(Fault::bad_request(format!("Project ID {id} is not a valid project.")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driver_api::DiskFormat;

    #[test]
    fn a_flavor_must_hold_the_image() {
        let image = ImageRef {
            id: Uuid::nil(),
            name: String::new(),
            disk_format: DiskFormat::Qcow2,
            container_format: "bare".into(),
            size: 1,
            virtual_size: Some(2 << 30),
            hash: None,
            properties: Default::default(),
        };
        let boot = Bootable { image, kernel: None, ramdisk: None, min_disk: 3, min_ram: 64 };
        let text = |root, memory| fits(memory, root, &boot).err().map(|e| e.message).unwrap_or_default();
        assert!(text(1, 512).contains("image is 2147483648 bytes"));
        assert!(text(2, 512).contains("minimum size is 3221225472 bytes"));
        assert!(text(3, 32).contains("memory is too small"));
        assert!(fits(64, 3, &boot).is_ok());
        assert!(fits(64, 0, &boot).is_ok());
    }
}
