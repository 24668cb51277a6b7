//! One image: made, read, changed, removed.

use crate::{Error, Result, Row, Tx, Value, params};
use driver_api::{DiskFormat, Timestamp};
use model::image::{Image, Status, Visibility};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The columns of [`read`], in any query over `images`.
pub(super) const COLUMNS: &str = "id, name, owner, status, visibility, container_format, disk_format, size, \
     virtual_size, checksum, os_hash_algo, os_hash_value, min_disk, min_ram, protected, os_hidden, writer, body, \
     revision, created_at, updated_at";

/// What is only shown.
#[derive(Serialize, Deserialize)]
struct Body {
    tags: BTreeSet<String>,
    properties: BTreeMap<String, String>,
}

fn body(image: &Image) -> Result<Value> {
    Value::json(&Body { tags: image.tags.clone(), properties: image.properties.clone() })
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    let image = read(row)?;
    crate::damage::time(row, "created_at")?;
    crate::damage::time(row, "updated_at")?;
    crate::damage::whole(row, &["min_disk", "min_ram", "revision"])?;
    if image.status.has_data() != image.size.is_some() && image.status != Status::Deactivated {
        return Err(Error::corrupt("columns status, size", "one without the other"));
    }
    for column in ["checksum", "os_hash_value"] {
        let hash: Option<String> = row.get(column)?;
        if hash.is_some_and(|h| h.len() < 32 || h.len() > 128 || !h.bytes().all(|b| b.is_ascii_hexdigit())) {
            return Err(Error::corrupt(format!("column {column}"), "no hash"));
        }
    }
    // Bytes have their hash, and both say which.
    if image.os_hash_algo.is_some() != image.os_hash_value.is_some() {
        return Err(Error::corrupt("columns os_hash_algo, os_hash_value", "one without the other"));
    }
    let named = |a: &str| a.len() <= 32 && a.starts_with(|c: char| c.is_ascii_alphabetic()) && !a.contains(char::is_control);
    if image.os_hash_algo.as_deref().is_some_and(|a| !named(a)) {
        return Err(Error::corrupt("column os_hash_algo", "no name of a hash"));
    }
    Ok(())
}

/// An image of its row.
pub(super) fn read(row: &Row) -> Result<Image> {
    let body: Body = row.json("body")?;
    let status: String = row.get("status")?;
    let visibility: String = row.get("visibility")?;
    let disk_format: Option<String> = row.get("disk_format")?;
    Ok(Image {
        id: row.get("id")?,
        name: row.get("name")?,
        owner: row.get("owner")?,
        status: Status::parse(&status).ok_or_else(|| Error::corrupt("column status", "no status of an image"))?,
        visibility: Visibility::parse(&visibility).ok_or_else(|| Error::corrupt("column visibility", "no visibility"))?,
        container_format: row.get("container_format")?,
        disk_format: disk_format
            .map(|f| DiskFormat::parse(&f).ok_or_else(|| Error::corrupt("column disk_format", "no format")))
            .transpose()?,
        min_disk: row.get("min_disk")?,
        min_ram: row.get("min_ram")?,
        protected: row.get("protected")?,
        os_hidden: row.get("os_hidden")?,
        size: row.get("size")?,
        virtual_size: row.get("virtual_size")?,
        checksum: row.get("checksum")?,
        os_hash_algo: row.get("os_hash_algo")?,
        os_hash_value: row.get("os_hash_value")?,
        tags: body.tags,
        properties: body.properties,
        writer: row.get("writer")?,
        revision: row.get("revision")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// Makes the image.
/// # Errors
/// `Conflict` if the id is in use, or was in use by an image that is deleted.
pub fn insert(tx: &mut Tx, image: &Image) -> Result<()> {
    let exists = || Error::Conflict(format!("Image ID {} already exists!", image.id));
    if tx.query_one("SELECT id FROM image_tombstones WHERE id = $1", params![image.id])?.is_some() {
        return Err(exists());
    }
    let made = tx.execute(
        &format!("INSERT INTO images ({COLUMNS}) VALUES ({}) ON CONFLICT (id) DO NOTHING", crate::placeholders(1, 21)),
        params![
            image.id,
            image.name.clone(),
            image.owner.clone(),
            image.status.as_str(),
            image.visibility.as_str(),
            image.container_format.clone(),
            image.disk_format.map(DiskFormat::as_str),
            image.size,
            image.virtual_size,
            image.checksum.clone(),
            image.os_hash_algo.clone(),
            image.os_hash_value.clone(),
            image.min_disk,
            image.min_ram,
            image.protected,
            image.os_hidden,
            image.writer.clone(),
            body(image)?,
            image.revision,
            image.created_at,
            image.updated_at,
        ],
    )?;
    if made == 0 {
        return Err(exists());
    }
    fill_side_tables(tx, image)
}

fn fill_side_tables(tx: &mut Tx, image: &Image) -> Result<()> {
    for tag in &image.tags {
        tx.execute("INSERT INTO image_tags (image_id, tag) VALUES ($1, $2)", params![image.id, tag])?;
    }
    for (name, value) in &image.properties {
        tx.execute(
            "INSERT INTO image_properties (image_id, name, value) VALUES ($1, $2, $3)",
            params![image.id, name, value],
        )?;
    }
    Ok(())
}

/// The image, if there is one.
pub fn find(tx: &mut Tx, id: Uuid) -> Result<Option<Image>> {
    let row = tx.query_one(&format!("SELECT {COLUMNS} FROM images WHERE id = $1"), params![id])?;
    row.as_ref().map(read).transpose()
}

/// The image.
/// # Errors
/// `NotFound`.
pub fn get(tx: &mut Tx, id: Uuid) -> Result<Image> {
    find(tx, id)?.ok_or_else(|| Error::not_found("image", id))
}

/// Is the project a member of the image, whatever it said to it?
pub fn is_member(tx: &mut Tx, id: Uuid, project: &str) -> Result<bool> {
    let row =
        tx.query_one("SELECT status FROM image_members WHERE image_id = $1 AND member = $2", params![id, project])?;
    Ok(row.is_some())
}

/// Stores what a user may change (all but status, writer and what is known of the bytes), if nobody changed the
/// image since `image.revision`. False: somebody did, or it is gone.
pub fn save(tx: &mut Tx, image: &Image) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE images SET name = $1, owner = $2, visibility = $3, container_format = $4, disk_format = $5, \
         min_disk = $6, min_ram = $7, protected = $8, os_hidden = $9, body = $10, updated_at = $11, \
         revision = revision + 1 WHERE id = $12 AND revision = $13",
        params![
            image.name.clone(),
            image.owner.clone(),
            image.visibility.as_str(),
            image.container_format.clone(),
            image.disk_format.map(DiskFormat::as_str),
            image.min_disk,
            image.min_ram,
            image.protected,
            image.os_hidden,
            body(image)?,
            image.updated_at,
            image.id,
            image.revision,
        ],
    )?;
    if changed == 0 {
        return Ok(false);
    }
    tx.execute("DELETE FROM image_tags WHERE image_id = $1", params![image.id])?;
    tx.execute("DELETE FROM image_properties WHERE image_id = $1", params![image.id])?;
    fill_side_tables(tx, image)?;
    Ok(true)
}

/// Removes the image unless it is protected, and keeps its id from coming back. False: nothing was removed.
pub fn delete(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<bool> {
    let removed = tx.execute("DELETE FROM images WHERE id = $1 AND protected = 0", params![id])?;
    if removed == 0 {
        return Ok(false);
    }
    entomb(tx, id, now)?;
    Ok(true)
}

/// The undo of a snapshot: removes an image that its flow was to write, protected or not. An image that is active
/// already, or gone, is left as it is.
pub fn remove(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<()> {
    let removed = tx.execute("DELETE FROM images WHERE id = $1 AND writer LIKE 'flow:%'", params![id])?;
    if removed > 0 { entomb(tx, id, now) } else { Ok(()) }
}

fn entomb(tx: &mut Tx, id: Uuid, now: Timestamp) -> Result<()> {
    tx.execute(
        "INSERT INTO image_tombstones (id, deleted_at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING",
        params![id, now],
    )?;
    Ok(())
}

/// Forgets ids of images deleted before `before`; how many.
pub fn purge_tombstones(tx: &mut Tx, before: Timestamp) -> Result<u64> {
    tx.execute("DELETE FROM image_tombstones WHERE deleted_at < $1", params![before])
}

/// Bytes that the project's images hold.
pub fn used_bytes(tx: &mut Tx, owner: &str) -> Result<u64> {
    // SUM of BIGINT is NUMERIC on PostgreSQL; no store holds 2^63 bytes.
    let row = tx.query_one(
        "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS used FROM images WHERE owner = $1",
        params![owner],
    )?;
    row.map_or(Ok(0), |r| r.get("used"))
}

/// What start-up and audit need to know of every image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The image.
    pub id: Uuid,
    /// Where it stands.
    pub status: Status,
    /// Bytes recorded.
    pub size: Option<u64>,
    /// Who gives it its bytes.
    pub writer: Option<String>,
}

/// Every image, by id.
pub fn all(tx: &mut Tx) -> Result<Vec<Stored>> {
    tx.records("images", "SELECT id, status, size, writer FROM images ORDER BY id", &[], |row| {
        let status: String = row.get("status")?;
        Ok(Stored {
            id: row.get("id")?,
            status: Status::parse(&status).ok_or_else(|| Error::corrupt("column status", "no status of an image"))?,
            size: row.get("size")?,
            writer: row.get("writer")?,
        })
    })
}
