//! Image headers read without guessing.
//!
//! Given the format that an image *declares*, an [`Inspector`] watches the bytes go by and says whether they are of that
//! format and harmless: no reference to any other file, no absurd size, no feature that this reader does not know.
//! It never asks "what might this be?" in order to use the answer: the class of CVE-2015-7548, CVE-2024-32498 and
//! CVE-2024-40767 begins with that question. Signatures of other formats are looked for only to refuse them.
//!
//! Pure: no I/O, no allocation that the input can make larger than about 1 MiB, no panic whatever the bytes.
//! Behaviour follows `oslo_utils.imageutils.format_inspector`; where it is stricter, the comment at that place says so.

mod bytes;
mod inspector;
mod iso;
mod ploop;
mod qcow2;
mod refusal;
mod signature;
mod vdi;
mod vhd;
mod vhdx;
mod vmdk;

pub use inspector::{Inspection, Inspector, Limits, inspect};
pub use refusal::Refusal;
