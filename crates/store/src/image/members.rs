//! Projects that images are shared with.

use crate::{Error, Result, Row, Tx, params};
use driver_api::Timestamp;
use model::image::{Member, MemberStatus};
use uuid::Uuid;

const COLUMNS: &str = "image_id, member, status, created_at, updated_at";

fn read(row: &Row) -> Result<Member> {
    let status: String = row.get("status")?;
    Ok(Member {
        image_id: row.get("image_id")?,
        member: row.get("member")?,
        status: MemberStatus::parse(&status).ok_or_else(|| Error::corrupt("column status", "no answer of a member"))?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// For [`crate::damage`].
pub(crate) fn check(row: &Row) -> Result<()> {
    read(row)?;
    crate::damage::word(row, &["member"])?;
    crate::damage::time(row, "created_at")?;
    crate::damage::time(row, "updated_at")
}

/// Adds the member. False: it is one already.
pub fn add_member(tx: &mut Tx, member: &Member) -> Result<bool> {
    let made = tx.execute(
        "INSERT INTO image_members (image_id, member, status, created_at, updated_at) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (image_id, member) DO NOTHING",
        params![member.image_id, &member.member, member.status.as_str(), member.created_at, member.updated_at],
    )?;
    Ok(made == 1)
}

/// The image's members, by age.
pub fn members(tx: &mut Tx, image: Uuid) -> Result<Vec<Member>> {
    let sql = format!("SELECT {COLUMNS} FROM image_members WHERE image_id = $1 ORDER BY created_at, member");
    tx.records("image_members", &sql, params![image], read)
}

/// How many members the image has.
pub fn count_members(tx: &mut Tx, image: Uuid) -> Result<u64> {
    let row = tx.query_one("SELECT COUNT(*) AS n FROM image_members WHERE image_id = $1", params![image])?;
    row.map_or(Ok(0), |r| r.get("n"))
}

/// One member.
pub fn get_member(tx: &mut Tx, image: Uuid, member: &str) -> Result<Option<Member>> {
    let row = tx.query_one(
        &format!("SELECT {COLUMNS} FROM image_members WHERE image_id = $1 AND member = $2"),
        params![image, member],
    )?;
    row.as_ref().map(read).transpose()
}

/// What the member says now. False: it is no member.
pub fn set_member_status(tx: &mut Tx, image: Uuid, member: &str, status: MemberStatus, now: Timestamp) -> Result<bool> {
    let changed = tx.execute(
        "UPDATE image_members SET status = $1, updated_at = $2 WHERE image_id = $3 AND member = $4",
        params![status.as_str(), now, image, member],
    )?;
    Ok(changed == 1)
}

/// Takes the image from the member. False: it was no member.
pub fn remove_member(tx: &mut Tx, image: Uuid, member: &str) -> Result<bool> {
    let removed =
        tx.execute("DELETE FROM image_members WHERE image_id = $1 AND member = $2", params![image, member])?;
    Ok(removed == 1)
}
