//! Parallels and Virtuozzo expanding images (`docs/interop/parallels.txt` of QEMU).

use crate::Refusal;
use crate::bytes::Header;
use crate::inspector::{End, Limits, Plan, Step};

pub(crate) fn head(head: &[u8], limits: &Limits) -> Result<Step, Refusal> {
    let h = Header::new(head, "the ploop header");
    let version = h.le32(16)?;
    if version != 2 {
        return Err(Refusal::unsupported(format!("ploop version {version}")));
    }
    // The older magic leaves the upper half of the sector count undefined.
    let sectors = if head.starts_with(b"WithouFreSpacExt") { h.le64(36)? } else { u64::from(h.le32(36)?) };
    let size = sectors.saturating_mul(512);
    limits.check(size)?;
    let (tracks, entries) = (u64::from(h.le32(28)?), u64::from(h.le32(32)?));
    if tracks == 0 || tracks > u64::from(i32::MAX as u32) / 513 {
        return Err(Refusal::malformed("its cluster size is out of range"));
    }
    if entries > (1 << 29) || entries.saturating_mul(tracks) < sectors {
        return Err(Refusal::malformed("its block map does not fit its size"));
    }
    let end = entries.saturating_mul(4).saturating_add(63);
    Ok(Step::Plan(Plan { virtual_size: Some(size), window: None, end: End::Beyond(end, "the block map") }))
}
