//! VMware disks in one file: monolithicSparse and streamOptimized. The descriptor inside is text that names files, so
//! every line of it has to be understood (CVE-2022-47951).

use crate::Refusal;
use crate::bytes::{Header, index};
use crate::inspector::{End, Limits, Plan, Step};

const SECTOR: u64 = 512;
const DESCRIPTOR_AT: usize = 512;
const DESCRIPTOR_MAX: u64 = (1 << 20) - 1;
/// The grain directory's place is in a footer.
const AT_END: u64 = u64::MAX;
/// Bytes of a header that header and footer have to agree about.
const HEADER: usize = 64;

pub(crate) fn head(head: &[u8], limits: &Limits) -> Result<Step, Refusal> {
    if head.starts_with(b"COWD") {
        return Err(Refusal::unsupported("VMDK of ESX's sparse kind"));
    }
    if !head.starts_with(b"KDMV") {
        return Err(Refusal::Reference("its data in other files: it is a descriptor only"));
    }
    let h = Header::new(head, "the VMDK header");
    let version = h.le32(4)?;
    if !(1..=3).contains(&version) {
        return Err(Refusal::unsupported(format!("VMDK version {version}")));
    }
    let size = h.le64(12)?.saturating_mul(SECTOR);
    limits.check(size)?;
    let grain = h.le64(20)?;
    if !grain.is_power_of_two() || !(8..=0x20_0000).contains(&grain) {
        return Err(Refusal::malformed("its grain size is out of range"));
    }
    let per_table = h.le32(44)?;
    if per_table == 0 || per_table > 512 {
        return Err(Refusal::malformed("its grain tables are out of range"));
    }
    if (size / SECTOR).div_ceil(grain * u64::from(per_table)) > (512 << 20) / 4 {
        return Err(Refusal::malformed("its grain directory is too large"));
    }
    if h.le64(28)? != 1 {
        return Err(Refusal::malformed("its descriptor is not behind its header"));
    }
    let length = h.le64(36)?.saturating_mul(SECTOR);
    if length == 0 || length > DESCRIPTOR_MAX {
        return Err(Refusal::malformed("its descriptor's length is out of range"));
    }
    let end = DESCRIPTOR_AT + index(length);
    if head.len() < end {
        return Ok(Step::Need(end));
    }
    descriptor(h.slice(DESCRIPTOR_AT, index(length))?)?;
    let end = match h.le64(56)? {
        AT_END => End::VmdkFooter(h.slice(0, HEADER)?.to_vec()),
        sector => End::Beyond(sector.saturating_mul(SECTOR), "the grain directory"),
    };
    Ok(Step::Plan(Plan { virtual_size: Some(size), window: None, end }))
}

/// Holds every line of the descriptor against what is known to be harmless.
fn descriptor(bytes: &[u8]) -> Result<(), Refusal> {
    let used = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = bytes.get(..used).unwrap_or(bytes);
    if !text.is_ascii() {
        return Err(Refusal::malformed("its descriptor is no ASCII text"));
    }
    let text = String::from_utf8_lossy(text).to_lowercase();
    let (mut kinds, mut extents) = (Vec::new(), 0);
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') || line.starts_with("ddb.") {
            continue;
        }
        let first = line.split_ascii_whitespace().next().unwrap_or_default();
        if matches!(first, "rw" | "rdonly" | "noaccess") {
            extent(line)?;
            extents += 1;
            continue;
        }
        let Some((key, value)) = line.split_once('=').map(|(k, v)| (k.trim(), v.trim())) else {
            return Err(Refusal::malformed("its descriptor has a line that is not understood"));
        };
        match key {
            "createtype" => kinds.push(value.trim_matches('"')),
            // QEMU opens the parent wherever its name appears, so the check is stricter than oslo's.
            "parentcid" if value != "ffffffff" => return Err(Refusal::Reference("a parent disk")),
            "parentcid" | "version" | "cid" | "encoding" | "isnativesnapshot" => {}
            _ if key.starts_with("parentfilename") => return Err(Refusal::Reference("a parent disk")),
            _ if key.contains(' ') => {
                return Err(Refusal::malformed("its descriptor has a line that is not understood"));
            }
            _ => {}
        }
    }
    // Whatever line it stands in, even a comment: readers look for the word anywhere.
    if text.contains("parentfilenamehint") {
        return Err(Refusal::Reference("a parent disk"));
    }
    match kinds.as_slice() {
        ["monolithicsparse" | "streamoptimized"] => {}
        [_] => return Err(Refusal::unsupported("VMDK that is neither monolithicSparse nor streamOptimized")),
        _ => return Err(Refusal::malformed("its descriptor does not have exactly one createType")),
    }
    if extents != 1 {
        return Err(Refusal::malformed("it does not have exactly one extent"));
    }
    Ok(())
}

/// `RW 2048 SPARSE "name.vmdk"`: the disk itself under its old name, never a path and never raw data.
fn extent(line: &str) -> Result<(), Refusal> {
    if line.contains('/') || line.contains('\\') {
        return Err(Refusal::Reference("another file by its path"));
    }
    if line.split_ascii_whitespace().nth(2) != Some("sparse") {
        return Err(Refusal::Reference("data outside of it"));
    }
    Ok(())
}

/// The footer takes precedence over the header, so it has to say the same.
pub(crate) fn footer(header: &[u8], tail: &[u8]) -> Result<(), Refusal> {
    if tail.len() < 1536 {
        return Err(Refusal::Truncated("the VMDK footer"));
    }
    let (old, new) = (Header::new(header, "the VMDK header"), Header::new(tail, "the VMDK footer"));
    marker(new, 0, 3)?;
    marker(new, 1024, 0)?;
    if new.le64(0)? > 1 || new.le64(1024)? != 0 {
        return Err(Refusal::malformed("its footer's markers are wrong"));
    }
    // Everything but the place of the grain directories (48 to 64).
    if new.slice(512, 48)? != old.slice(0, 48)? {
        return Err(Refusal::malformed("its footer and header disagree"));
    }
    if new.le64(512 + 56)? == AT_END {
        return Err(Refusal::malformed("its footer points to another footer"));
    }
    Ok(())
}

/// A marker sector: value, size 0, type, and nothing else.
fn marker(h: Header<'_>, at: usize, kind: u32) -> Result<(), Refusal> {
    if h.le32(at + 8)? != 0 || h.le32(at + 12)? != kind || h.slice(at + 16, 496)?.iter().any(|b| *b != 0) {
        return Err(Refusal::malformed("its footer's markers are wrong"));
    }
    Ok(())
}
