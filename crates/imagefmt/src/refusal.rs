//! Why an image is not taken. Every text may be shown to who uploads it.

use driver_api::DiskFormat;

/// Why an image is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The bytes are not what was declared.
    #[error("the data is not in the declared disk_format {}: {}", .declared.as_str(), found_text(.found))]
    Mismatch {
        /// What was declared.
        declared: DiskFormat,
        /// Whose signature the bytes carry instead, if any is known.
        found: Option<&'static str>,
    },
    /// The data ends before what its header promises.
    #[error("the image is truncated: {0} is missing")]
    Truncated(&'static str),
    /// It refers to another file or disk.
    #[error("the image refers to {0}; flatten it first, for example with qemu-img convert")]
    Reference(&'static str),
    /// It is encrypted.
    #[error("the image is encrypted ({0})")]
    Encrypted(&'static str),
    /// It has a feature that is not known to be harmless.
    #[error("the image uses an unsupported feature: {0}")]
    Unsupported(String),
    /// The disk inside is larger than is allowed.
    #[error("the disk inside the image is {size} bytes, more than the {limit} allowed")]
    TooLarge {
        /// Bytes of the disk.
        size: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// The header contradicts itself or the format's rules.
    #[error("the image is malformed: {0}")]
    Malformed(String),
}

fn found_text(found: &Option<&'static str>) -> String {
    match found {
        Some(name) => format!("it looks like {name}; declare what it is"),
        None => "its signature is missing".to_owned(),
    }
}

impl Refusal {
    pub(crate) fn malformed(what: impl Into<String>) -> Refusal {
        Refusal::Malformed(what.into())
    }
    pub(crate) fn unsupported(what: impl Into<String>) -> Refusal {
        Refusal::Unsupported(what.into())
    }
}
