//! ISO 9660 and UDF. The first 32 KiB are free for boot code, so the signatures of other formats are refused there.

use crate::Refusal;
use crate::bytes::Header;
use crate::inspector::{End, Plan, Step};
use driver_api::DiskFormat;

const SYSTEM_AREA: usize = 32 << 10;
const DESCRIPTOR: usize = 2048;

pub(crate) fn head(head: &[u8]) -> Result<Step, Refusal> {
    if head.len() < SYSTEM_AREA + DESCRIPTOR {
        return Ok(Step::Need(SYSTEM_AREA + DESCRIPTOR));
    }
    let h = Header::new(head, "the volume descriptor");
    let found = h.slice(SYSTEM_AREA + 1, 5)?;
    if ![b"CD001", b"NSR02", b"NSR03", b"BEA01"].iter().any(|magic| found == magic.as_slice()) {
        return Err(Refusal::Mismatch { declared: DiskFormat::Iso, found: None });
    }
    // A guest sees the file as its medium, whatever the volume descriptor says.
    Ok(Step::Plan(Plan { virtual_size: None, window: None, end: End::Any }))
}
