//! The one explicit list of drivers. Nothing registers itself: a driver is in the program if it has a row here.
//!
//! A row says what the driver is for, whether it can be used on this machine and, if not, why and what to do about it,
//! and it makes the driver from the `options` of a `[[compute]]` entry. This crate talks to no backend beyond the
//! question whether one is there.

mod fake;
mod libvirt;

use driver_api::ComputeDriver;
use serde_json::Value;

/// Whether a driver can be used on this machine now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Availability {
    /// It can.
    pub usable: bool,
    /// What was found.
    pub reason: String,
    /// What to do, where it cannot.
    pub fix: Option<String>,
}

impl Availability {
    fn yes(reason: impl Into<String>) -> Availability {
        Availability { usable: true, reason: reason.into(), fix: None }
    }

    fn no(reason: impl Into<String>, fix: impl Into<String>) -> Availability {
        Availability { usable: false, reason: reason.into(), fix: Some(fix.into()) }
    }
}

/// One driver. `options` are the table of that name of a `[[compute]]` entry as JSON; `Null` stands for an empty one.
pub struct DriverRow {
    /// Name in configuration.
    pub name: &'static str,
    /// One line for people.
    pub describe: &'static str,
    /// Hosts of this driver wire ports themselves unless told otherwise.
    pub wires_ports: bool,
    /// Looks whether the backend is there. May touch files and sockets of this machine: not for asynchronous threads.
    pub probe: fn(&Value) -> Availability,
    /// Checks options without making a driver.
    pub validate: fn(&Value) -> Result<()>,
    /// Makes a driver that is not started.
    pub make: fn(&Value) -> Result<Box<dyn ComputeDriver>>,
}

/// Every driver of this program.
pub static DRIVERS: &[DriverRow] = &[fake::ROW, libvirt::ROW];

/// Why a driver cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such driver.
    #[error("there is no driver `{name}`; this program has {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// Those there are.
        known: String,
    },
    /// Its options are wrong.
    #[error("options of driver `{driver}`: {problem}")]
    Options {
        /// Which driver.
        driver: &'static str,
        /// Which option, and what would be right.
        problem: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The row of the driver `name`.
/// # Errors
/// `Unknown`, naming those there are.
pub fn find(name: &str) -> Result<&'static DriverRow> {
    DRIVERS.iter().find(|row| row.name == name).ok_or_else(|| {
        let known: Vec<&str> = DRIVERS.iter().map(|row| row.name).collect();
        Error::Unknown { name: name.to_owned(), known: known.join(", ") }
    })
}

/// Options of a driver out of JSON.
fn parse<T: serde::de::DeserializeOwned>(driver: &'static str, options: &Value) -> Result<T> {
    let options = if options.is_null() { Value::Object(serde_json::Map::new()) } else { options.clone() };
    serde_json::from_value(options).map_err(|e| Error::Options { driver, problem: e.to_string() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn names_are_unique_and_every_row_is_found() {
        for row in DRIVERS {
            assert!(std::ptr::eq(find(row.name).unwrap(), row));
            assert!(!row.describe.is_empty());
        }
        let text = find("vmware").err().unwrap().to_string();
        assert_eq!(text, "there is no driver `vmware`; this program has fake, libvirt");
    }

    #[test]
    fn each_driver_is_made_from_its_options_and_names_the_wrong_one() {
        for (name, right, wrong, word) in [
            ("fake", json!({"vcpus": 2}), json!({"vpcus": 2}), "vpcus"),
            ("fake", Value::Null, json!({"nodes": 0}), "nodes"),
            ("libvirt", json!({"virt_type": "qemu"}), json!({}), "virt_type"),
            ("libvirt", json!({"virt_type": "kvm"}), json!({"virt_type": "qemu", "uri": "xen:///"}), "uri"),
        ] {
            let row = find(name).unwrap();
            (row.validate)(&right).unwrap();
            assert_eq!((row.make)(&right).unwrap().info().name, name);
            let problem = (row.validate)(&wrong).unwrap_err().to_string();
            assert!(problem.contains(word) && problem.contains(name), "{problem}");
            assert_eq!((row.make)(&wrong).err().unwrap().to_string(), problem);
        }
    }
}
