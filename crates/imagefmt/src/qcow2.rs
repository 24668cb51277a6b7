//! QEMU copy on write, versions 2 and 3 (`docs/interop/qcow2.rst` of QEMU; bounds as `block/qcow2.h` has them).

use crate::Refusal;
use crate::bytes::{Header, index};
use crate::inspector::{End, Limits, Plan, Step};

/// Longest area of header extensions that is looked at. Real ones take a few hundred bytes.
const MAX_EXTENSIONS: usize = 64 << 10;
const MAX_L1_BYTES: u64 = 32 << 20;
const MAX_REFTABLE_BYTES: u64 = 8 << 20;
const MAX_SNAPSHOTS: u32 = 65_536;

/// Incompatible feature bits. Known and harmless: dirty, compression type, extended L2 entries.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

struct Fields {
    cluster_bits: u32,
    size: u64,
    l1_size: u32,
    l1_offset: u64,
    header_length: u32,
    extended_l2: bool,
}

pub(crate) fn head(head: &[u8], limits: &Limits) -> Result<Step, Refusal> {
    let h = Header::new(head, "the qcow2 header");
    let fields = fields(h, limits)?;
    let cluster = 1_u64 << fields.cluster_bits;
    l1(&fields, cluster)?;
    let area = index(cluster).min(MAX_EXTENSIONS);
    if head.len() < area {
        // Enough to see the end marker is enough: an image may be shorter than its first cluster only if broken.
        return Ok(Step::Need(area));
    }
    extensions(head.get(..area).unwrap_or(head), fields.header_length)?;
    Ok(Step::Plan(Plan {
        virtual_size: Some(fields.size),
        window: None,
        end: End::Beyond(if fields.l1_size == 0 { 0 } else { fields.l1_offset }, "the L1 table"),
    }))
}

fn fields(h: Header<'_>, limits: &Limits) -> Result<Fields, Refusal> {
    let version = h.be32(4)?;
    if version != 2 && version != 3 {
        return Err(Refusal::unsupported(format!("qcow2 version {version}")));
    }
    if h.be64(8)? != 0 {
        return Err(Refusal::Reference("a backing file"));
    }
    let cluster_bits = h.be32(20)?;
    if !(9..=21).contains(&cluster_bits) {
        return Err(Refusal::malformed(format!("cluster_bits is {cluster_bits}, not 9 to 21")));
    }
    match h.be32(32)? {
        0 => {}
        1 => return Err(Refusal::Encrypted("AES")),
        2 => return Err(Refusal::Encrypted("LUKS")),
        other => return Err(Refusal::unsupported(format!("qcow2 encryption method {other}"))),
    }
    let (mut header_length, mut incompatible) = (72, 0);
    if version == 3 {
        incompatible = features(h)?;
        header_length = h.be32(100)?;
        if header_length < 104 || header_length % 8 != 0 || u64::from(header_length) > 1 << cluster_bits {
            return Err(Refusal::malformed(format!("header_length is {header_length}")));
        }
        if h.be32(96)? > 6 {
            return Err(Refusal::malformed("refcount_order is above 6"));
        }
        let compression = if header_length > 104 { h.u8(104)? } else { 0 };
        if compression > 1 {
            return Err(Refusal::unsupported(format!("qcow2 compression type {compression}")));
        }
        if (compression != 0) != (incompatible & COMPRESSION != 0) {
            return Err(Refusal::malformed("compression type and its feature bit disagree"));
        }
    }
    let size = h.be64(24)?;
    limits.check(size)?;
    tables(h, cluster_bits)?;
    Ok(Fields {
        cluster_bits,
        size,
        l1_size: h.be32(36)?,
        l1_offset: h.be64(40)?,
        header_length,
        extended_l2: incompatible & EXTENDED_L2 != 0,
    })
}

fn features(h: Header<'_>) -> Result<u64, Refusal> {
    let incompatible = h.be64(72)?;
    if incompatible & DATA_FILE != 0 {
        return Err(Refusal::Reference("an external data file"));
    }
    if incompatible & CORRUPT != 0 {
        return Err(Refusal::malformed("it is marked corrupt"));
    }
    let unknown = incompatible & !(DIRTY | COMPRESSION | EXTENDED_L2);
    if unknown != 0 {
        return Err(Refusal::unsupported(format!("qcow2 incompatible features {unknown:#x}")));
    }
    Ok(incompatible)
}

fn tables(h: Header<'_>, cluster_bits: u32) -> Result<(), Refusal> {
    let cluster = 1_u64 << cluster_bits;
    let reftable = h.be64(48)?;
    if u64::from(h.be32(56)?).saturating_mul(cluster) > MAX_REFTABLE_BYTES {
        return Err(Refusal::malformed("its refcount table is too large"));
    }
    if h.be32(60)? > MAX_SNAPSHOTS {
        return Err(Refusal::malformed("its snapshot table is too large"));
    }
    for (offset, what) in [(reftable, "refcount table"), (h.be64(40)?, "L1 table"), (h.be64(64)?, "snapshot table")] {
        if offset % cluster != 0 || offset > i64::MAX as u64 {
            return Err(Refusal::malformed(format!("its {what} begins at no cluster")));
        }
    }
    Ok(())
}

fn l1(f: &Fields, cluster: u64) -> Result<(), Refusal> {
    if u64::from(f.l1_size) * 8 > MAX_L1_BYTES {
        return Err(Refusal::malformed("its L1 table is too large"));
    }
    if f.extended_l2 && f.cluster_bits < 14 {
        return Err(Refusal::malformed("extended L2 entries need clusters of 16 KiB"));
    }
    // One L1 entry maps a table of one cluster, whose entries map one cluster each.
    let entry = if f.extended_l2 { 16 } else { 8 };
    let mapped = (cluster / entry).saturating_mul(cluster);
    if f.size.div_ceil(mapped) > u64::from(f.l1_size) {
        return Err(Refusal::malformed("its L1 table is too small for its size"));
    }
    Ok(())
}

/// Header extensions: type and length, 8-byte padded, up to type 0 or the end of the first cluster.
fn extensions(area: &[u8], mut at: u32) -> Result<(), Refusal> {
    let h = Header::new(area, "the end of the header extensions");
    loop {
        let offset = index(at);
        // An area that is used up to its last byte needs no end marker.
        if offset.saturating_add(8) > area.len() {
            return Ok(());
        }
        let (kind, length) = (h.be32(offset)?, h.be32(offset + 4)?);
        match kind {
            0 => return Ok(()),
            0x4441_5441 => return Err(Refusal::Reference("an external data file")),
            0xe279_2aca => return Err(Refusal::Reference("a backing file (its format is given)")),
            0x0537_be77 => return Err(Refusal::Encrypted("LUKS")),
            // Feature names, bitmaps and what is unknown are compatible by definition.
            _ => {}
        }
        let padded = length.checked_next_multiple_of(8);
        at = padded
            .and_then(|p| p.checked_add(8))
            .and_then(|n| at.checked_add(n))
            .ok_or_else(|| Refusal::malformed("a header extension is too long"))?;
        if index(at) > area.len() {
            return Err(Refusal::malformed("a header extension is too long"));
        }
    }
}
