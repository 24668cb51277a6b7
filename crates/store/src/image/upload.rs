//! From queued to active and back: who writes an image's bytes, and what they turned out to be.

use crate::{Result, Tx, params};
use driver_api::Timestamp;
use model::image::{Status, Written};
use uuid::Uuid;

/// queued → saving for `writer`. False: it is not queued, somebody else is to write it, or its formats are not set.
pub fn begin_upload(tx: &mut Tx, id: Uuid, writer: &str, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE images SET status = 'saving', writer = $1, updated_at = $2, revision = revision + 1 \
         WHERE id = $3 AND status = 'queued' AND writer IS NULL AND disk_format IS NOT NULL \
         AND container_format IS NOT NULL",
        params![writer, now, id],
    )?;
    Ok(changed == 1)
}

/// saving → queued, if `writer` still has it.
pub fn abort_upload(tx: &mut Tx, id: Uuid, writer: &str, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE images SET status = 'queued', writer = NULL, updated_at = $1, revision = revision + 1 \
         WHERE id = $2 AND status = 'saving' AND writer = $3",
        params![now, id, writer],
    )?;
    Ok(changed == 1)
}

/// saving (or queued, for a snapshot) → active with what its bytes are, if `writer` still has it: `upload:<uuid>` or
/// `flow:<uuid>`. False: the image was deleted meanwhile and its bytes are to be removed, or this was done before.
pub fn activate(tx: &mut Tx, id: Uuid, writer: &str, written: &Written, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE images SET status = 'active', writer = NULL, disk_format = $1, size = $2, virtual_size = $3, \
         checksum = $4, os_hash_algo = 'sha512', os_hash_value = $5, updated_at = $6, revision = revision + 1 \
         WHERE id = $7 AND writer = $8 AND status IN ('queued', 'saving')",
        params![
            written.format.as_str(),
            written.size,
            written.virtual_size,
            &written.checksum,
            &written.sha512,
            now,
            id,
            writer,
        ],
    )?;
    Ok(changed == 1)
}

/// `from` → `to`. False: it was not in `from`.
pub fn change_status(tx: &mut Tx, id: Uuid, from: Status, to: Status, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE images SET status = $1, updated_at = $2, revision = revision + 1 WHERE id = $3 AND status = $4",
        params![to.as_str(), now, id, from.as_str()],
    )?;
    Ok(changed == 1)
}

/// At start: uploads that a client was sending when the process ended go back to queued; snapshots belong to their
/// flows and stay. How many.
pub fn release_interrupted(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    tx.execute(
        "UPDATE images SET status = 'queued', writer = NULL, updated_at = $1, revision = revision + 1 \
         WHERE status = 'saving' AND writer LIKE 'upload:%'",
        params![now],
    )
}
