//! A writer of small ISO 9660 images, level 2 with Rock Ridge and Joliet: what `genisoimage -J -r` makes.
//!
//! Long lower-case names are read through Rock Ridge by Linux and through Joliet by Windows; a reader that
//! knows neither finds the upper-case names of level 2. Never reads an image, never makes a bootable one.

mod directory;
mod tree;
mod volume;

use driver_api::Timestamp;

/// Bytes of a logical sector.
const SECTOR: usize = 2048;

/// A file of the image. Parts of the path longer than 64 characters are cut (the limit of Joliet).
#[derive(Clone, PartialEq, Eq)]
pub struct FileEntry {
    /// Path below the root, with `/`, without a leading one.
    pub path: String,
    /// The file's bytes.
    pub contents: Vec<u8>,
}

/// Only the size: a file may hold a password.
impl std::fmt::Debug for FileEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FileEntry({}, {} bytes)", self.path, self.contents.len())
    }
}

/// What an image says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Label, up to 16 characters.
    pub label: String,
    /// Publisher, up to 64 characters.
    pub publisher: String,
    /// Stamp of the volume and of all its files.
    pub created: Timestamp,
}

/// The two hierarchies of names over the same files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Naming {
    /// Level 2 names with Rock Ridge entries.
    RockRidge,
    /// 16-bit characters, big endian.
    Joliet,
}

/// A number in both byte orders, as the format wants it.
fn both32(n: u32) -> [u8; 8] {
    let mut out = [0; 8];
    out[..4].copy_from_slice(&n.to_le_bytes());
    out[4..].copy_from_slice(&n.to_be_bytes());
    out
}

fn both16(n: u16) -> [u8; 4] {
    let mut out = [0; 4];
    out[..2].copy_from_slice(&n.to_le_bytes());
    out[2..].copy_from_slice(&n.to_be_bytes());
    out
}

/// Calendar fields of the stamp, in UTC.
struct Stamp {
    year: i32,
    rest: [u8; 5],
}

impl Stamp {
    fn of(at: Timestamp) -> Stamp {
        let at = time::OffsetDateTime::from_unix_timestamp(at.0.div_euclid(1_000_000))
            .unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
        Stamp { year: at.year(), rest: [at.month() as u8, at.day(), at.hour(), at.minute(), at.second()] }
    }
    /// As in a directory record: 7 bytes.
    fn short(&self) -> [u8; 7] {
        let [month, day, hour, minute, second] = self.rest;
        [u8::try_from(self.year - 1900).unwrap_or(0), month, day, hour, minute, second, 0]
    }
    /// As in a volume descriptor: digits and an offset.
    fn long(&self) -> [u8; 17] {
        let [month, day, hour, minute, second] = self.rest;
        let year = self.year.clamp(1, 9999);
        let digits = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}00");
        let mut out = [0; 17];
        out[..16].copy_from_slice(&digits.as_bytes()[..16]);
        out
    }
}

/// The bytes of an image with these files. The same arguments give the same bytes.
pub fn write_iso(volume: &Volume, files: &[FileEntry]) -> Vec<u8> {
    let tree = tree::Tree::new(files);
    volume::write(volume, &tree)
}

#[cfg(test)]
mod tests;
