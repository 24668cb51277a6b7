//! Hyper-V's disks ([MS-VHDX]): a region table at 192 KiB says where the metadata is, which says size and parent.

use crate::Refusal;
use crate::bytes::{Header, index};
use crate::inspector::{End, Plan, Step};

const TABLE: usize = 192 << 10;
const TABLE_SIZE: usize = 64 << 10;
/// Metadata begins with its table; the items come behind it, all of them small.
const METADATA: usize = 1 << 20;
const MAX_ENTRIES: u32 = 2047;

/// GUIDs as they lie on disk: the first three fields are little endian.
const REGION_METADATA: [u8; 16] = guid(0x8b7c_a206, 0x4790, 0x4b9a, 0xb8fe_575f_050f_886e);
const REGION_BAT: [u8; 16] = guid(0x2dc2_7766, 0xf623, 0x4200, 0x9d64_115e_9bfd_4a08);
const FILE_PARAMETERS: [u8; 16] = guid(0xcaa1_6737, 0xfa36, 0x4d43, 0xb3b6_33f0_aa44_e76b);
const DISK_SIZE: [u8; 16] = guid(0x2fa5_4224, 0xcd1b, 0x4876, 0xb211_5dbe_d83b_f4b8);
const PAGE_83: [u8; 16] = guid(0xbeca_12ab, 0xb2e6, 0x4523, 0x93ef_c309_e000_c746);
const LOGICAL_SECTOR: [u8; 16] = guid(0x8141_bf1d, 0xa96f, 0x4709, 0xba47_f233_a8fa_ab5f);
const PHYSICAL_SECTOR: [u8; 16] = guid(0xcda3_48c7, 0x445d, 0x4471, 0x9cc9_e988_5251_c556);
const PARENT_LOCATOR: [u8; 16] = guid(0xa8d3_5f2d, 0xb30b, 0x454d, 0xabf7_d3d8_4834_ab0c);

const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    let (a, b, c, d) = (a.to_le_bytes(), b.to_le_bytes(), c.to_le_bytes(), d.to_be_bytes());
    [a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6], d[7]]
}

pub(crate) fn head(head: &[u8]) -> Result<Step, Refusal> {
    if head.len() < TABLE + 2 * TABLE_SIZE {
        return Ok(Step::Need(TABLE + 2 * TABLE_SIZE));
    }
    let whole = Header::new(head, "the region table");
    let (first, second) = (whole.slice(TABLE, TABLE_SIZE)?, whole.slice(TABLE + TABLE_SIZE, TABLE_SIZE)?);
    let (offset, length) = region(first)?;
    // Readers may prefer either copy: they have to say the same, where both are there.
    if second.starts_with(b"regi") && region(second)? != (offset, length) {
        return Err(Refusal::malformed("its two region tables disagree"));
    }
    // The standard keeps the first MiB for headers, so the metadata is still to come.
    if offset < 1 << 20 || offset % (1 << 20) != 0 {
        return Err(Refusal::malformed("its metadata region begins at no MiB"));
    }
    let window = Some((offset, index(length).min(METADATA)));
    Ok(Step::Plan(Plan { virtual_size: None, window, end: End::VhdxMetadata }))
}

/// Offset and length of the metadata region.
fn region(table: &[u8]) -> Result<(u64, u32), Refusal> {
    let h = Header::new(table, "the region table");
    if h.slice(0, 4)? != b"regi" {
        return Err(Refusal::malformed("its region table has no signature"));
    }
    let count = h.le32(8)?;
    if count > MAX_ENTRIES {
        return Err(Refusal::malformed("its region table has too many entries"));
    }
    let mut found = None;
    for n in 0..index(count) {
        let at = 16 + n * 32;
        let (kind, offset, length, required) = (h.slice(at, 16)?, h.le64(at + 16)?, h.le32(at + 24)?, h.le32(at + 28)?);
        if kind == REGION_METADATA {
            if found.replace((offset, length)).is_some() {
                return Err(Refusal::malformed("it has two metadata regions"));
            }
        } else if kind != REGION_BAT && required & 1 != 0 {
            return Err(Refusal::unsupported("an unknown VHDX region"));
        }
    }
    found.ok_or_else(|| Refusal::malformed("it has no metadata region"))
}

/// The disk's size, from the metadata region.
pub(crate) fn metadata(window: &[u8]) -> Result<u64, Refusal> {
    let h = Header::new(window, "the metadata region");
    if h.slice(0, 8)? != b"metadata" {
        return Err(Refusal::malformed("its metadata region has no signature"));
    }
    let count = h.le16(10)?;
    if u32::from(count) > MAX_ENTRIES {
        return Err(Refusal::malformed("its metadata table has too many entries"));
    }
    let (mut size, mut parameters) = (None, None);
    for n in 0..usize::from(count) {
        let at = 32 + n * 32;
        let (kind, item, flags) = (h.slice(at, 16)?, index(h.le32(at + 16)?), h.le32(at + 24)?);
        let twice = if kind == DISK_SIZE {
            size.replace(h.le64(item)?).is_some()
        } else if kind == FILE_PARAMETERS {
            parameters.replace(h.le32(item.saturating_add(4))?).is_some()
        } else if kind == PARENT_LOCATOR {
            return Err(Refusal::Reference("a parent disk"));
        } else if kind != PAGE_83 && kind != LOGICAL_SECTOR && kind != PHYSICAL_SECTOR && flags & 4 != 0 {
            return Err(Refusal::unsupported("an unknown VHDX metadata item"));
        } else {
            false
        };
        if twice {
            return Err(Refusal::malformed("a metadata item is there twice"));
        }
    }
    let parameters = parameters.ok_or_else(|| Refusal::malformed("it has no file parameters"))?;
    if parameters & 2 != 0 {
        return Err(Refusal::Reference("a parent disk"));
    }
    size.ok_or_else(|| Refusal::malformed("it says no size"))
}
