//! The row of the libvirt driver.

use crate::{Availability, DriverRow, Error, Result, parse};
use driver_api::ComputeDriver;
use driver_libvirt::rpc::address::{self, Endpoint};
use driver_libvirt::{Libvirt, Options};
use serde_json::Value;
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::Path;

const NAME: &str = "libvirt";
const INSTALL: &str = "apt-get install libvirt-daemon-system qemu-system-x86 qemu-utils";

pub(crate) const ROW: DriverRow = DriverRow {
    name: NAME,
    describe: "QEMU guests through a libvirt daemon",
    wires_ports: true,
    probe,
    validate: |options| read(options).map(drop),
    make: |options| Ok(Box::new(read(options)?) as Box<dyn ComputeDriver>),
};

fn read(options: &Value) -> Result<Libvirt> {
    let options: Options = parse(NAME, options)?;
    Libvirt::new(options).map_err(|e| {
        let problem = e.message.strip_prefix("libvirt options: ").unwrap_or(&e.message).to_owned();
        Error::Options { driver: NAME, problem }
    })
}

/// Whether the daemon of `uri` (the default one if there is none) takes a connection, and the disk tool is there.
fn probe(options: &Value) -> Availability {
    let uri = options.get("uri").and_then(Value::as_str).unwrap_or("qemu:///system");
    let endpoint = match address::parse(uri) {
        Ok(address) => address.endpoint,
        Err(problem) => return Availability::no(problem, "correct `uri` in the options of the compute entry"),
    };
    let found = match endpoint {
        // A daemon elsewhere is asked when the host starts: a name may take its time to resolve.
        Endpoint::Tcp { host, port } => Availability::yes(format!("{host}:{port}, not asked yet")),
        Endpoint::Unix(path) => judge(&path, UnixStream::connect(&path).map(drop)),
    };
    if found.usable && !on_path("qemu-img") {
        return Availability::no("the program qemu-img is not installed", "apt-get install qemu-utils");
    }
    found
}

fn judge(path: &Path, answer: io::Result<()>) -> Availability {
    let path = path.display();
    match answer {
        Ok(()) => Availability::yes(format!("a daemon answers at {path}")),
        Err(e) => match e.kind() {
            ErrorKind::NotFound => Availability::no(format!("there is no daemon at {path}"), INSTALL),
            ErrorKind::PermissionDenied => {
                Availability::no(format!("this user may not use {path}"), "run with sudo, or join the group libvirt")
            }
            ErrorKind::ConnectionRefused => {
                Availability::no(format!("the daemon at {path} is not running"), "systemctl start libvirtd")
            }
            _ => Availability::no(format!("{path}: {e}"), "see the daemon's log: journalctl -u libvirtd"),
        },
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn every_way_to_fail_has_its_reason_and_its_fix() {
        let path = Path::new("/run/x");
        for (kind, reason, fix) in [
            (ErrorKind::NotFound, "no daemon", "apt-get"),
            (ErrorKind::PermissionDenied, "may not", "sudo"),
            (ErrorKind::ConnectionRefused, "not running", "systemctl"),
            (ErrorKind::TimedOut, "/run/x", "log"),
        ] {
            let found = judge(path, Err(kind.into()));
            assert!(!found.usable && found.reason.contains(reason), "{found:?}");
            assert!(found.fix.unwrap().contains(fix));
        }
        assert!(judge(path, Ok(())).usable);
    }

    #[test]
    fn an_absent_socket_and_a_wrong_uri_are_told() {
        let found = probe(&json!({"uri": "qemu+unix:///system?socket=/nonexistent/s"}));
        assert!(!found.usable && found.reason.contains("/nonexistent/s"), "{found:?}");
        assert!(!probe(&json!({"uri": "xen:///"})).usable);
    }
}
