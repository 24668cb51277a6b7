//! Where a libvirt daemon is, read from the URI forms that Nova's operators know.

use std::path::PathBuf;

/// TCP port of libvirtd without TLS.
const TCP_PORT: u16 = 16509;

/// A daemon's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A unix socket.
    Unix(PathBuf),
    /// TCP in clear; only for trusted networks and labs.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
}

/// An endpoint with the driver's URI that is opened there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Where to connect.
    pub endpoint: Endpoint,
    /// What to open, such as `qemu:///system`.
    pub open: String,
}

/// Reads `qemu:///system`, `qemu+unix:///system?socket=PATH` and `qemu+tcp://HOST[:PORT]/system`.
///
/// # Errors
/// A sentence that says what is wrong.
pub fn parse(uri: &str) -> Result<Address, String> {
    let (scheme, rest) = uri.split_once("://").ok_or_else(|| format!("uri '{uri}' has no '://'"))?;
    let (driver, transport) = scheme.split_once('+').unwrap_or((scheme, ""));
    if driver != "qemu" {
        return Err(format!("uri '{uri}': only qemu is driven, not '{driver}'"));
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = rest.split_once('/').ok_or_else(|| format!("uri '{uri}' has no path such as /system"))?;
    if path != "system" && path != "session" {
        return Err(format!("uri '{uri}': the path must be /system or /session"));
    }
    let mut socket = None;
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        match pair.split_once('=') {
            Some(("socket", value)) if value.starts_with('/') => socket = Some(PathBuf::from(value)),
            Some(("socket", _)) => return Err(format!("uri '{uri}': socket must be an absolute path")),
            _ => return Err(format!("uri '{uri}': '{pair}' is not understood (socket=PATH is)")),
        }
    }
    let endpoint = match (transport, authority) {
        ("" | "unix", "") => Endpoint::Unix(socket.unwrap_or_else(default_socket)),
        ("tcp", host) if !host.is_empty() && socket.is_none() => {
            tcp(host).ok_or_else(|| format!("uri '{uri}': bad port"))?
        }
        _ => {
            return Err(format!(
                "uri '{uri}': use qemu:///system, qemu+unix:///system?socket=PATH or qemu+tcp://HOST/system"
            ));
        }
    };
    Ok(Address { endpoint, open: format!("qemu:///{path}") })
}

/// The monolithic daemon's socket, or the modular one's where only that is there.
fn default_socket() -> PathBuf {
    let modular = PathBuf::from("/run/libvirt/virtqemud-sock");
    let whole = PathBuf::from("/run/libvirt/libvirt-sock");
    if !whole.exists() && modular.exists() { modular } else { whole }
}

fn tcp(authority: &str) -> Option<Endpoint> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        let port = match port.strip_prefix(':') {
            Some(p) => p.parse().ok()?,
            None if port.is_empty() => TCP_PORT,
            None => return None,
        };
        return Some(Endpoint::Tcp { host: host.into(), port });
    }
    match authority.split_once(':') {
        Some((host, port)) => Some(Endpoint::Tcp { host: host.into(), port: port.parse().ok()? }),
        None => Some(Endpoint::Tcp { host: authority.into(), port: TCP_PORT }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn forms() {
        let a = parse("qemu+unix:///system?socket=/tmp/x/libvirt-sock").unwrap();
        assert_eq!(a.endpoint, Endpoint::Unix("/tmp/x/libvirt-sock".into()));
        assert_eq!(a.open, "qemu:///system");
        let a = parse("qemu+tcp://10.0.0.1/system").unwrap();
        assert_eq!(a.endpoint, Endpoint::Tcp { host: "10.0.0.1".into(), port: 16509 });
        let a = parse("qemu+tcp://[fd00::1]:99/system").unwrap();
        assert_eq!(a.endpoint, Endpoint::Tcp { host: "fd00::1".into(), port: 99 });
        assert!(matches!(parse("qemu:///system").unwrap().endpoint, Endpoint::Unix(_)));
    }

    #[test]
    fn wrong_ones_are_named() {
        for uri in [
            "",
            "qemu",
            "xen:///system",
            "qemu+ssh://h/system",
            "qemu+unix:///system?socket=rel",
            "qemu+tcp:///system",
            "qemu:///other",
            "qemu:///system?x=1",
            "qemu+tcp://h:x/system",
        ] {
            assert!(parse(uri).is_err(), "{uri}");
        }
    }
}
