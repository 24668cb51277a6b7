//! Records as Glance shows them.

use model::image::{Image, Member};
use model::time::seconds_z;
use serde_json::{Map, Value, json};

/// One image.
pub(super) fn image(image: &Image) -> Value {
    let mut view = Map::new();
    // Properties first: none can stand in for a field, whatever its name.
    for (name, value) in &image.properties {
        view.insert(name.clone(), Value::String(value.clone()));
    }
    let link = format!("/v2/images/{}", image.id);
    let base = json!({
        "id": image.id,
        "name": image.name,
        "status": image.status.as_str(),
        "visibility": image.visibility.as_str(),
        "owner": image.owner,
        "container_format": image.container_format,
        "disk_format": image.disk_format.map(driver_api::DiskFormat::as_str),
        "size": image.size,
        "virtual_size": image.virtual_size,
        "checksum": image.checksum,
        "os_hash_algo": image.os_hash_algo,
        "os_hash_value": image.os_hash_value,
        "min_disk": image.min_disk,
        "min_ram": image.min_ram,
        "protected": image.protected,
        "os_hidden": image.os_hidden,
        "tags": image.tags,
        "created_at": seconds_z(image.created_at),
        "updated_at": seconds_z(image.updated_at),
        "file": format!("{link}/file"),
        "self": link,
        "schema": "/v2/schemas/image",
    });
    if let Value::Object(base) = base {
        view.extend(base);
    }
    Value::Object(view)
}

/// One member.
pub(super) fn member(member: &Member) -> Value {
    json!({
        "image_id": member.image_id,
        "member_id": member.member,
        "status": member.status.as_str(),
        "created_at": seconds_z(member.created_at),
        "updated_at": seconds_z(member.updated_at),
        "schema": "/v2/schemas/member",
    })
}
