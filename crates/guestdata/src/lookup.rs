//! From the path of a request to the document, as `InstanceMetadata.lookup` routes it.

use crate::{Guest, ec2, openstack};

/// Plain text, as the metadata service labels it.
pub(crate) const TEXT: &str = "text/plain; charset=UTF-8";
/// JSON.
pub(crate) const JSON: &str = "application/json";

/// An answer of the metadata service.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// The body.
    pub bytes: Vec<u8>,
}

impl Document {
    pub(crate) fn text(bytes: impl Into<Vec<u8>>) -> Document {
        Document { content_type: TEXT, bytes: bytes.into() }
    }
    pub(crate) fn json(bytes: Vec<u8>) -> Document {
        Document { content_type: JSON, bytes }
    }
}

/// Only the size: a document may hold user data.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Document({}, {} bytes)", self.content_type, self.bytes.len())
    }
}

/// Parts of a path, percent-decoded, without empty ones, `.` and `..` resolved (`posixpath.normpath`).
pub(crate) fn parts(path: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for part in decode(path).split('/') {
        match part {
            "" | "." => {}
            ".." => {
                out.pop();
            }
            name => out.push(name.to_owned()),
        }
    }
    out
}

fn decode(path: &str) -> String {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|h| std::str::from_utf8(h).ok());
        let byte = hex.filter(|h| !h.starts_with('+')).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[at], byte) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (other, _) => {
                out.push(other);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The document at `path` (without query) of the metadata service; `None` is 404.
/// Whatever does not begin with `/openstack` is the EC2 tree, with or without a leading `/ec2`.
pub fn lookup(guest: &Guest, path: &str) -> Option<Document> {
    match parts(path).first().map(String::as_str) {
        Some("openstack") => openstack(guest, path),
        _ => ec2(guest, path),
    }
}

/// Whether `path` is the place where a guest may post its encrypted password.
pub fn is_password_path(path: &str) -> bool {
    let parts = parts(path);
    parts.len() == 3
        && parts[0] == "openstack"
        && parts[2] == "password"
        && openstack::version_index(&parts[1]).is_some_and(|v| v >= openstack::GRIZZLY)
}

#[cfg(test)]
mod tests {
    use super::{is_password_path, parts};

    #[test]
    fn paths_are_normalised_as_python_does() {
        assert_eq!(parts("//openstack//latest/./x/../meta_data.json/"), ["openstack", "latest", "meta_data.json"]);
        assert_eq!(parts("/../.."), Vec::<String>::new());
        assert_eq!(parts("/lat%65st/%zz%+1"), ["latest", "%zz%+1"]);
        assert_eq!(parts("%2e%2e/a%2fb"), ["a", "b"]);
    }

    #[test]
    fn the_password_came_with_grizzly() {
        assert!(is_password_path("/openstack/latest/password"));
        assert!(is_password_path("/openstack/2013-04-04/password/"));
        assert!(!is_password_path("/openstack/2012-08-10/password"));
        assert!(!is_password_path("/openstack/2000-01-01/password"));
        assert!(!is_password_path("/latest/password"));
    }
}
