//! Numbers at offsets of a byte slice, where every offset may lie outside.

use crate::Refusal;

/// A header with a name for the message when it is too short.
#[derive(Clone, Copy)]
pub(crate) struct Header<'a> {
    bytes: &'a [u8],
    name: &'static str,
}

impl<'a> Header<'a> {
    pub(crate) fn new(bytes: &'a [u8], name: &'static str) -> Header<'a> {
        Header { bytes, name }
    }
    /// `len` bytes at `at`.
    pub(crate) fn slice(&self, at: usize, len: usize) -> Result<&'a [u8], Refusal> {
        at.checked_add(len).and_then(|end| self.bytes.get(at..end)).ok_or(Refusal::Truncated(self.name))
    }
    fn array<const N: usize>(&self, at: usize) -> Result<[u8; N], Refusal> {
        let mut out = [0; N];
        out.copy_from_slice(self.slice(at, N)?);
        Ok(out)
    }
    pub(crate) fn u8(&self, at: usize) -> Result<u8, Refusal> {
        self.array::<1>(at).map(|b| b[0])
    }
    pub(crate) fn be32(&self, at: usize) -> Result<u32, Refusal> {
        self.array(at).map(u32::from_be_bytes)
    }
    pub(crate) fn be64(&self, at: usize) -> Result<u64, Refusal> {
        self.array(at).map(u64::from_be_bytes)
    }
    pub(crate) fn le16(&self, at: usize) -> Result<u16, Refusal> {
        self.array(at).map(u16::from_le_bytes)
    }
    pub(crate) fn le32(&self, at: usize) -> Result<u32, Refusal> {
        self.array(at).map(u32::from_le_bytes)
    }
    pub(crate) fn le64(&self, at: usize) -> Result<u64, Refusal> {
        self.array(at).map(u64::from_le_bytes)
    }
}

/// An index for a 32-bit number of the input; saturates, so that what does not fit is simply outside.
pub(crate) fn index(n: impl TryInto<usize>) -> usize {
    n.try_into().unwrap_or(usize::MAX)
}
