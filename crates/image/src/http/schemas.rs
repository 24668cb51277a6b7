//! JSON schemas of what is shown: some clients build their objects from them.

use axum::Json;
use axum::extract::Path;
use model::image::{CONTAINER_FORMATS, DISK_FORMATS};
use serde_json::{Value, json};
use web::Fault;

const UUID: &str = "^([0-9a-fA-F]){8}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){4}-([0-9a-fA-F]){12}$";

/// `GET /v2/schemas/{name}`
pub(super) async fn show(Path(name): Path<String>) -> Result<Json<Value>, Fault> {
    let schema = match name.as_str() {
        "image" => image(),
        "images" => collection("images", image()),
        "member" => json!({"name": "member", "properties": member()}),
        "members" => json!({
            "name": "members",
            "properties": {
                "members": {"type": "array", "items": {"name": "member", "properties": member()}},
                "schema": {"type": "string"},
            },
            "links": [{"rel": "describedby", "href": "{schema}"}],
        }),
        _ => return Err(Fault::not_found("The resource could not be found.")),
    };
    Ok(Json(schema))
}

fn collection(name: &str, item: Value) -> Value {
    json!({
        "name": name,
        "properties": {
            name: {"type": "array", "items": item},
            "first": {"type": "string"},
            "next": {"type": "string"},
            "schema": {"type": "string"},
        },
        "links": [
            {"rel": "first", "href": "{first}"},
            {"rel": "next", "href": "{next}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    })
}

/// The words with null among them, as a value that is not set yet is shown.
fn or_null<'a>(words: impl Iterator<Item = &'a str>) -> Value {
    std::iter::once(Value::Null).chain(words.map(Value::from)).collect()
}

fn image() -> Value {
    let mut properties = json!({
        "id": {"type": "string", "description": "An identifier for the image", "pattern": UUID},
        "name": {"type": ["null", "string"], "description": "Descriptive name for the image", "maxLength": 255},
        "visibility": {
            "type": "string", "description": "Scope of image accessibility",
            "enum": ["community", "public", "private", "shared"],
        },
        "protected": {"type": "boolean", "description": "If true, image will not be deletable."},
        "os_hidden": {
            "type": "boolean", "description": "If true, image will not appear in default image list response.",
        },
        "owner": {"type": ["null", "string"], "description": "Owner of the image", "maxLength": 255},
        "container_format": {
            "type": ["null", "string"], "description": "Format of the container",
            "enum": or_null(CONTAINER_FORMATS.iter().copied()),
        },
        "disk_format": {
            "type": ["null", "string"], "description": "Format of the disk",
            "enum": or_null(DISK_FORMATS.iter().map(|f| f.as_str())),
        },
        "tags": {
            "type": "array", "description": "List of strings related to the image",
            "items": {"type": "string", "maxLength": 255},
        },
        "min_ram": {"type": "integer", "description": "Amount of ram (in MB) required to boot image."},
        "min_disk": {"type": "integer", "description": "Amount of disk space (in GB) required to boot image."},
        "kernel_id": {
            "type": ["null", "string"], "pattern": UUID, "is_base": false,
            "description": "ID of the image that is the kernel when an AMI-style image boots.",
        },
        "ramdisk_id": {
            "type": ["null", "string"], "pattern": UUID, "is_base": false,
            "description": "ID of the image that is the ramdisk when an AMI-style image boots.",
        },
    });
    for (name, kind, description) in [
        ("status", json!("string"), "Status of the image"),
        ("checksum", json!(["null", "string"]), "md5 hash of image contents."),
        ("os_hash_algo", json!(["null", "string"]), "Algorithm to calculate the os_hash_value"),
        ("os_hash_value", json!(["null", "string"]), "Hexdigest of the image contents using os_hash_algo"),
        ("size", json!(["null", "integer"]), "Size of image file in bytes"),
        ("virtual_size", json!(["null", "integer"]), "Virtual size of image in bytes"),
        ("created_at", json!("string"), "Date and time of image registration"),
        ("updated_at", json!("string"), "Date and time of the last image modification"),
        ("self", json!("string"), "An image self url"),
        ("file", json!("string"), "An image file url"),
        ("schema", json!("string"), "An image schema url"),
    ] {
        properties[name] = json!({"type": kind, "readOnly": true, "description": description});
    }
    properties["status"]["enum"] = json!(["queued", "saving", "active", "deactivated"]);
    json!({
        "name": "image",
        "properties": properties,
        "additionalProperties": {"type": "string"},
        "links": [
            {"rel": "self", "href": "{self}"},
            {"rel": "enclosure", "href": "{file}"},
            {"rel": "describedby", "href": "{schema}"},
        ],
    })
}

fn member() -> Value {
    json!({
        "member_id": {"type": "string", "description": "An identifier for the image member (tenantId)"},
        "image_id": {"type": "string", "description": "An identifier for the image", "pattern": UUID},
        "created_at": {"type": "string", "description": "Date and time of image member creation"},
        "updated_at": {"type": "string", "description": "Date and time of last modification of image member"},
        "status": {
            "type": "string", "description": "The status of this image member",
            "enum": ["pending", "accepted", "rejected"],
        },
        "schema": {"readOnly": true, "type": "string"},
    })
}
