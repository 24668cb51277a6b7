//! VirtualBox disks (bounds as `block/vdi.c` of QEMU has them).

use crate::Refusal;
use crate::bytes::Header;
use crate::inspector::{End, Limits, Plan, Step};

const HEADER: usize = 512;

pub(crate) fn head(head: &[u8], limits: &Limits) -> Result<Step, Refusal> {
    if head.len() < HEADER {
        return Ok(Step::Need(HEADER));
    }
    let h = Header::new(head, "the VDI header");
    let version = h.le32(0x44)?;
    if version != 0x0001_0001 {
        return Err(Refusal::unsupported(format!("VDI version {version:#x}")));
    }
    match h.le32(0x4c)? {
        1 | 2 => {}
        3 | 4 => return Err(Refusal::Reference("a parent disk")),
        other => return Err(Refusal::unsupported(format!("VDI image type {other}"))),
    }
    // uuid_link and uuid_parent.
    if h.slice(0x1a8, 32)?.iter().any(|b| *b != 0) {
        return Err(Refusal::Reference("a parent disk"));
    }
    let (size, block, blocks) = (h.le64(0x170)?, h.le32(0x178)?, h.le32(0x180)?);
    limits.check(size)?;
    if h.le32(0x168)? != 512 || block != 1 << 20 {
        return Err(Refusal::unsupported("VDI with sectors or blocks of unusual size"));
    }
    if blocks > 0x3fff_ffff || u64::from(blocks) * u64::from(block) < size {
        return Err(Refusal::malformed("its number of blocks does not fit its size"));
    }
    let map = u64::from(h.le32(0x154)?);
    let end = map.saturating_add(u64::from(blocks) * 4);
    Ok(Step::Plan(Plan {
        virtual_size: Some(size),
        window: None,
        end: End::Beyond(end.saturating_sub(1), "the block map"),
    }))
}
