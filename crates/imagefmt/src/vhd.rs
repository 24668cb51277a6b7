//! Hyper-V's older disks, fixed and dynamic (Microsoft's Virtual Hard Disk Image Format Specification).

use crate::Refusal;
use crate::bytes::Header;
use crate::inspector::{End, Limits, Plan, Step};

const FOOTER: usize = 512;
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;
const DIFFERENCING: u32 = 4;

/// A dynamic disk begins with a copy of its footer; anything else must be a fixed one, which ends with it.
pub(crate) fn head(head: &[u8], limits: &Limits) -> Result<Step, Refusal> {
    if !head.starts_with(b"conectix") {
        return Ok(Step::Plan(Plan { virtual_size: None, window: None, end: End::VhdFooter }));
    }
    if head.len() < FOOTER * 3 {
        return Ok(Step::Need(FOOTER * 3));
    }
    let (kind, size) = footer(head.get(..FOOTER).unwrap_or(head))?;
    if kind != DYNAMIC {
        return Err(Refusal::malformed("it begins with a footer, which only dynamic disks do"));
    }
    limits.check(size)?;
    let h = Header::new(head, "the dynamic disk header");
    if h.be64(16)? != FOOTER as u64 || h.slice(FOOTER, 8)? != b"cxsparse" {
        return Err(Refusal::malformed("its dynamic disk header is not behind its footer"));
    }
    let (table, entries, block) = (h.be64(FOOTER + 16)?, h.be32(FOOTER + 28)?, h.be32(FOOTER + 32)?);
    if !block.is_power_of_two() || block < 512 {
        return Err(Refusal::malformed("its block size is no power of two"));
    }
    if u64::from(entries).saturating_mul(block.into()) < size {
        return Err(Refusal::malformed("its block table does not fit its size"));
    }
    if entries > (32 << 20) {
        return Err(Refusal::malformed("its block table is too large"));
    }
    // A differencing disk with its type changed would still carry its parent's identity.
    if h.slice(FOOTER + 40, 16)?.iter().any(|b| *b != 0) {
        return Err(Refusal::Reference("a parent disk"));
    }
    let end = table.saturating_add(u64::from(entries) * 4).saturating_sub(1);
    Ok(Step::Plan(Plan { virtual_size: Some(size), window: None, end: End::Beyond(end, "the block table") }))
}

/// The size of a fixed disk of `total` bytes that ends with `tail`.
pub(crate) fn fixed(tail: &[u8], total: u64) -> Result<u64, Refusal> {
    let start = tail.len().checked_sub(FOOTER).ok_or(Refusal::Truncated("the VHD footer"))?;
    let tail = tail.get(start..).unwrap_or(tail);
    if !tail.starts_with(b"conectix") {
        return Err(Refusal::Mismatch { declared: driver_api::DiskFormat::Vhd, found: None });
    }
    let (kind, size) = footer(tail)?;
    if kind != FIXED {
        return Err(Refusal::malformed("it ends with the footer of a dynamic disk but does not begin with it"));
    }
    if size > total - FOOTER as u64 {
        return Err(Refusal::Truncated("a part of the disk"));
    }
    Ok(size)
}

/// Kind and size of the disk, from its footer.
fn footer(bytes: &[u8]) -> Result<(u32, u64), Refusal> {
    let h = Header::new(bytes, "the VHD footer");
    if h.be32(12)? != 0x0001_0000 {
        return Err(Refusal::unsupported("VHD version"));
    }
    let sum = bytes
        .iter()
        .enumerate()
        .filter(|(at, _)| !(64..68).contains(at))
        .fold(0_u32, |sum, (_, b)| sum.wrapping_add(u32::from(*b)));
    if h.be32(64)? != !sum {
        return Err(Refusal::malformed("the checksum of its footer is wrong"));
    }
    match h.be32(60)? {
        kind @ (FIXED | DYNAMIC) => Ok((kind, h.be64(48)?)),
        DIFFERENCING => Err(Refusal::Reference("a parent disk")),
        other => Err(Refusal::unsupported(format!("VHD disk type {other}"))),
    }
}
