//! What a user may say about an image, at creation and later: one table of fields for both, so that they cannot differ.
//!
//! Texts and statuses are those of `glance/api/v2/images.py`.

use crate::error::{Error, Result};
use crate::{Images, Options, modifiable, visible};
use driver_api::{DiskFormat, Timestamp};
use model::image::{CONTAINER_FORMATS, DISK_FORMATS, Image, Status, Visibility};
use model::{Context, Env};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Known but not for users to set.
const READ_ONLY: &[&str] = &[
    "created_at",
    "updated_at",
    "status",
    "checksum",
    "size",
    "virtual_size",
    "direct_url",
    "self",
    "file",
    "schema",
    "stores",
    "os_hash_algo",
    "os_hash_value",
];
/// Words of an older API.
const RESERVED: &[&str] = &["location", "deleted", "deleted_at"];
/// Prefix of the original's own properties.
const RESERVED_PREFIX: &str = "os_glance";
/// Fields that every image has.
pub(crate) const BASE: &[&str] = &[
    "name",
    "owner",
    "visibility",
    "container_format",
    "disk_format",
    "min_disk",
    "min_ram",
    "protected",
    "os_hidden",
    "tags",
];
/// Characters of a name, tag or property name; Glance's columns.
const NAME_MAX: usize = 255;
/// Bytes of a property's value; Glance's column.
const VALUE_MAX: usize = 65_535;

/// An image about to be made.
#[derive(Debug, Clone)]
pub struct Draft {
    id: Option<Uuid>,
    owner_set: bool,
    image: Image,
}

impl Default for Draft {
    /// Nothing said: the caller's, shared with nobody.
    fn default() -> Draft {
        Draft { id: None, owner_set: false, image: Image::queued(Uuid::nil(), None, Timestamp(0)) }
    }
}

impl Draft {
    /// Reads the body of `POST /v2/images`.
    /// # Errors
    /// `Invalid` naming the field; `Forbidden` for read-only and reserved ones.
    pub fn from_json(body: &Map<String, Value>) -> Result<Draft> {
        let mut draft = Draft::default();
        for (key, value) in body {
            if key == "id" {
                let id = value.as_str().and_then(strict_uuid);
                draft.id = Some(id.ok_or_else(|| mismatch(key, value, "does not match the pattern of a UUID"))?);
                continue;
            }
            check_key(key)?;
            draft.owner_set |= key == "owner";
            set(&mut draft.image, key, value)?;
        }
        Ok(draft)
    }

    /// The image, if the caller may make it.
    pub(crate) fn into_image(self, caller: &Context, env: &Env, options: &Options) -> Result<Image> {
        let mut image = self.image;
        let project = caller.project_id();
        if !self.owner_set {
            image.owner = (!project.is_empty()).then(|| project.to_owned());
        } else if !caller.is_admin() && image.owner.as_deref() != Some(project) {
            return Err(Error::Forbidden(format!(
                "You are not permitted to create images owned by '{}'",
                image.owner.as_deref().unwrap_or("None")
            )));
        }
        if !caller.is_admin() && (project.is_empty() || !caller.has("member")) {
            return Err(Error::denied("add_image"));
        }
        check_visibility(caller, image.visibility)?;
        check_quota(&image, options)?;
        image.id = self.id.unwrap_or_else(|| env.uuid());
        image.created_at = env.now();
        image.updated_at = image.created_at;
        Ok(image)
    }
}

/// A UUID in the one form that Glance takes.
pub(crate) fn strict_uuid(text: &str) -> Option<Uuid> {
    Uuid::try_parse(text).ok().filter(|id| id.to_string().eq_ignore_ascii_case(text))
}

fn check_key(key: &str) -> Result<()> {
    if READ_ONLY.contains(&key) || key == "id" {
        return Err(Error::Forbidden(format!("Attribute '{key}' is read-only.")));
    }
    if RESERVED.contains(&key) || key.starts_with(RESERVED_PREFIX) {
        return Err(Error::Forbidden(format!("Attribute '{key}' is reserved.")));
    }
    if key == "locations" {
        return Err(Error::Forbidden("It's not allowed to add locations if locations are invisible.".into()));
    }
    if key.chars().count() > NAME_MAX {
        return Err(Error::Invalid("Custom property should not be greater than 255 characters.".into()));
    }
    if key.is_empty() || key.contains('\0') {
        return Err(Error::Invalid("A property's name may neither be empty nor contain NUL.".into()));
    }
    Ok(())
}

fn check_visibility(caller: &Context, visibility: Visibility) -> Result<()> {
    if visibility == Visibility::Public && !caller.is_admin() {
        return Err(Error::denied("publicize_image"));
    }
    Ok(())
}

fn check_quota(image: &Image, options: &Options) -> Result<()> {
    let over = |what: &str, attempted: usize, maximum: usize| {
        Error::TooLarge(format!(
            "The limit has been exceeded on the number of allowed image {what}. Attempted: {attempted}, Maximum: {maximum}"
        ))
    };
    if image.properties.len() > options.max_properties {
        return Err(over("properties", image.properties.len(), options.max_properties));
    }
    if image.tags.len() > options.max_tags {
        return Err(over("tags", image.tags.len(), options.max_tags));
    }
    Ok(())
}

/// A value that Glance's schema refuses, named by its field.
fn mismatch(key: &str, value: &Value, why: &str) -> Error {
    let mut shown: String = value.to_string().chars().take(80).collect();
    if shown.len() < value.to_string().len() {
        shown.push('…');
    }
    Error::Invalid(format!("Provided object does not match schema 'image': {shown} {why} (field '{key}')."))
}

fn text(key: &str, value: &Value, max: usize) -> Result<String> {
    let text = value.as_str().ok_or_else(|| mismatch(key, value, "is not of type 'string'"))?;
    if text.chars().count() > max {
        return Err(mismatch(key, value, &format!("is longer than {max} characters")));
    }
    if text.contains('\0') {
        return Err(mismatch(key, value, "contains NUL"));
    }
    Ok(text.to_owned())
}

fn optional(key: &str, value: &Value, max: usize) -> Result<Option<String>> {
    if value.is_null() { Ok(None) } else { text(key, value, max).map(Some) }
}

fn number(key: &str, value: &Value) -> Result<u64> {
    let n = value.as_i64().ok_or_else(|| mismatch(key, value, "is not of type 'integer'"))?;
    if n < 0 {
        return Err(Error::Invalid(format!("Invalid value '{n}' for parameter '{key}': Cannot be a negative value")));
    }
    if n > i64::from(i32::MAX) {
        return Err(mismatch(key, value, &format!("is larger than {}", i32::MAX)));
    }
    Ok(n.unsigned_abs())
}

fn flag(key: &str, value: &Value) -> Result<bool> {
    value.as_bool().ok_or_else(|| mismatch(key, value, "is not of type 'boolean'"))
}

fn word<T>(key: &str, value: &Value, known: &[&str], parse: impl Fn(&str) -> Option<T>) -> Result<T> {
    value.as_str().and_then(parse).ok_or_else(|| mismatch(key, value, &format!("is not one of {known:?}")))
}

fn tags(value: &Value) -> Result<BTreeSet<String>> {
    let list = value.as_array().ok_or_else(|| mismatch("tags", value, "is not of type 'array'"))?;
    list.iter().map(|tag| text("tags", tag, NAME_MAX)).collect()
}

/// Sets one field that users may set, whatever its rules of who may.
fn set(image: &mut Image, key: &str, value: &Value) -> Result<()> {
    match key {
        "name" => image.name = optional(key, value, NAME_MAX)?,
        "owner" => image.owner = optional(key, value, NAME_MAX)?,
        "visibility" => {
            image.visibility = word(key, value, &["community", "public", "private", "shared"], Visibility::parse)?;
        }
        "container_format" if value.is_null() => image.container_format = None,
        "container_format" => {
            let known = |w: &str| CONTAINER_FORMATS.contains(&w).then(|| w.to_owned());
            image.container_format = Some(word(key, value, CONTAINER_FORMATS, known)?);
        }
        "disk_format" if value.is_null() => image.disk_format = None,
        "disk_format" => {
            let names: Vec<&str> = DISK_FORMATS.iter().map(|f| f.as_str()).collect();
            image.disk_format = Some(word(key, value, &names, DiskFormat::parse)?);
        }
        "min_disk" => image.min_disk = number(key, value)?,
        "min_ram" => image.min_ram = number(key, value)?,
        "protected" => image.protected = flag(key, value)?,
        "os_hidden" => image.os_hidden = flag(key, value)?,
        "tags" => image.tags = tags(value)?,
        // An image without a kernel says so by null (`etc/schema-image.json`); absent means the same.
        "kernel_id" | "ramdisk_id" if value.is_null() => {
            image.properties.remove(key);
        }
        "kernel_id" | "ramdisk_id" => {
            let id = text(key, value, NAME_MAX)?;
            if strict_uuid(&id).is_none() {
                return Err(mismatch(key, value, "does not match the pattern of a UUID"));
            }
            image.properties.insert(key.to_owned(), id);
        }
        _ => {
            let value = text(key, value, VALUE_MAX)?;
            image.properties.insert(key.to_owned(), value);
        }
    }
    Ok(())
}

/// What an operation of a patch does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Add,
    Replace,
    Remove,
}

/// One operation of a patch on one field.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) op: Op,
    pub(crate) key: String,
    pub(crate) value: Value,
    /// The older patch format, in which `add` must not replace.
    pub(crate) draft4: bool,
}

impl Change {
    /// Refuses what no image and no caller makes right.
    pub(crate) fn check(&self) -> Result<()> {
        check_key(&self.key)?;
        if self.op != Op::Remove {
            set(&mut Image::queued(Uuid::nil(), None, Timestamp(0)), &self.key, &self.value)?;
        }
        Ok(())
    }

    fn apply(&self, image: &mut Image, caller: &Context) -> Result<()> {
        let key = self.key.as_str();
        let base = BASE.contains(&key);
        let present = base || image.properties.contains_key(key);
        match self.op {
            Op::Remove if base => return Err(Error::Forbidden(format!("Property {key} may not be removed."))),
            Op::Remove | Op::Replace if !present => {
                return Err(Error::Conflict(format!("Property {key} does not exist.")));
            }
            Op::Add if present && self.draft4 => {
                return Err(Error::Conflict(format!("Property {key} already present.")));
            }
            Op::Remove => {
                image.properties.remove(key);
                return Ok(());
            }
            Op::Add | Op::Replace => {}
        }
        if key == "owner" && !caller.is_admin() {
            return Err(Error::Forbidden("Owner can't be updated by non admin.".into()));
        }
        if matches!(key, "disk_format" | "container_format")
            && (image.status != Status::Queued || image.writer.is_some())
        {
            return Err(Error::Forbidden(format!("Attribute {key} can be only replaced for a queued image.")));
        }
        set(image, key, &self.value)?;
        if key == "visibility" {
            check_visibility(caller, image.visibility)?;
        }
        Ok(())
    }
}

/// How often a change is thought out anew because another was first.
const ATTEMPTS: usize = 10;

impl Images {
    pub(crate) async fn patch(&self, caller: &Context, id: Uuid, changes: Vec<Change>) -> Result<Image> {
        if changes.is_empty() {
            return self.get(caller, id).await;
        }
        let who = caller.clone();
        self.edit(caller, id, move |image| changes.iter().try_for_each(|c| c.apply(image, &who))).await
    }
    /// Adds or removes a tag.
    /// # Errors
    /// `NotFound` for the image, or for a tag to be removed that it has not; `Forbidden`; `TooLarge`.
    pub async fn set_tag(&self, caller: &Context, id: Uuid, tag: String, present: bool) -> Result<()> {
        if present {
            text("tags", &Value::String(tag.clone()), NAME_MAX)?;
        }
        let verb = if present { "update" } else { "delete" };
        let edit = self.edit(caller, id, move |image| {
            if present {
                image.tags.insert(tag.clone());
                Ok(())
            } else if image.tags.remove(&tag) {
                Ok(())
            } else {
                Err(Error::NotFound("The resource could not be found.".into()))
            }
        });
        match edit.await {
            Ok(_) => Ok(()),
            Err(Error::Forbidden(_)) => Err(Error::Forbidden(format!("Not allowed to {verb} tags for image {id}."))),
            Err(other) => Err(other),
        }
    }
    /// Changes an image of the caller's and stores it, unless somebody else's change comes between.
    async fn edit(
        &self,
        caller: &Context,
        id: Uuid,
        change: impl Fn(&mut Image) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Image> {
        let (caller, now, options) = (caller.clone(), self.env().now(), self.options().clone());
        let change = std::sync::Arc::new(change);
        for _ in 0..ATTEMPTS {
            let (caller, options, change) = (caller.clone(), options.clone(), change.clone());
            let run = move |tx: &mut store::Tx| {
                let mut image = modifiable(tx, &caller, id, "modify_image")?;
                change(&mut image).and_then(|()| check_quota(&image, &options)).map_err(store::Error::abort)?;
                image.updated_at = now;
                if !store::image::save(tx, &image)? {
                    return Ok(None);
                }
                image.revision += 1;
                Ok(Some(image))
            };
            if let Some(image) = self.store().write(run).await.map_err(Error::from_unit)? {
                return Ok(image);
            }
        }
        Err(Error::Store(store::Error::Busy))
    }
    /// Withholds an active image's bytes from users, or gives them back.
    /// # Errors
    /// `NotFound`; `Forbidden` for others' images and for those without bytes.
    pub async fn set_active(&self, caller: &Context, id: Uuid, active: bool) -> Result<()> {
        let (caller, now) = (caller.clone(), self.env().now());
        let (verb, from, to) = if active {
            ("reactivate", Status::Deactivated, Status::Active)
        } else {
            ("deactivate", Status::Active, Status::Deactivated)
        };
        let run = move |tx: &mut store::Tx| {
            let image = modifiable(tx, &caller, id, verb)?;
            if image.status == to || store::image::change_status(tx, id, from, to, now)? {
                return Ok(());
            }
            Err(store::Error::abort(Error::Forbidden(format!(
                "Not allowed to {verb} image in status '{}'",
                image.status.as_str()
            ))))
        };
        self.store().write(run).await.map_err(Error::from_unit)
    }
    /// The image, if the caller may read its bytes now (`download_image`).
    /// # Errors
    /// `NotFound`; `Forbidden` if it is deactivated and the caller no administrator.
    pub async fn downloadable(&self, caller: &Context, id: Uuid) -> Result<Image> {
        let who = caller.clone();
        let run = move |tx: &mut store::Tx| visible(tx, &who, id);
        let image = self.store().read(run).await.map_err(Error::from_unit)?;
        if image.status == Status::Deactivated && !caller.is_admin() {
            return Err(Error::Forbidden(
                "The requested image has been deactivated. Image data download is forbidden.".into(),
            ));
        }
        Ok(image)
    }
}
