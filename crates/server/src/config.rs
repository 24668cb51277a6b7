//! What the operator says: one TOML file, overridden by flags. Unknown keys are refused with their line.
//!
//! Nothing here acts; [`crate::cloud`] does what it says.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

/// The whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address and port of the one listener. Any other address than a loopback one is served with TLS only.
    pub listen: SocketAddr,
    /// Name or address that clients use to reach this cloud, where it differs from `listen` (`https://cloud.example`).
    pub public_url: Option<String>,
    /// `sqlite` (in the data directory) or a PostgreSQL URL.
    pub database: String,
    /// Connections to PostgreSQL.
    pub database_connections: usize,
    /// Name of this controller among those that share a PostgreSQL database; it stays from start to start. Made at the
    /// first start and kept in the data directory where nothing is said.
    pub controller: Option<String>,
    /// Seconds after which a controller that gives no sign of life is lost: its hosts are down, its work is taken over.
    pub lease_seconds: u64,
    /// Directory of the images' bytes, where it is not in the data directory. Controllers that share a database must share it.
    pub image_dir: Option<PathBuf>,
    /// Region that the catalog names.
    pub region: String,
    /// Validity of tokens, seconds.
    pub token_seconds: u64,
    /// Seconds a connection may take for a request's head, and may be idle between two requests.
    pub header_seconds: u64,
    /// What clients may take of this cloud.
    pub limits: Limits,
    /// The seeded network.
    pub network: SeedNetwork,
    /// Default quotas; -1 is unlimited.
    pub quota: BTreeMap<String, i64>,
    /// Hosts, each with its own driver.
    pub compute: Vec<ComputeHost>,
    /// Certificate and key (PEM) for TLS; made at the first start where none is named.
    pub tls: Tls,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            listen: SocketAddr::from(([127, 0, 0, 1], 8774)),
            public_url: None,
            database: "sqlite".into(),
            database_connections: 8,
            controller: None,
            lease_seconds: 60,
            image_dir: None,
            region: "RegionOne".into(),
            token_seconds: 3600,
            header_seconds: 75,
            limits: Limits::default(),
            network: SeedNetwork::default(),
            quota: BTreeMap::new(),
            compute: Vec::new(),
            tls: Tls::default(),
        }
    }
}

/// What clients may take of this cloud; `docs/limits.md` says what happens at each.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections at once. Never more than three quarters of the descriptors that the process may have.
    pub connections: usize,
    /// Requests in hand at once. Never more than an eighth of the descriptors.
    pub requests: usize,
    /// Seconds in which `body_bytes` of a request's body must come, or the rest of it.
    pub body_seconds: u64,
    /// See `body_seconds`.
    pub body_bytes: u64,
    /// Seconds for which a client may take nothing of its answer.
    pub answer_seconds: u64,
    /// Failed logins that an address may have in a minute; 0 is any number.
    pub failed_logins: u32,
    /// Tokens that are none, of an address in a minute; 0 is any number.
    pub failed_tokens: u32,
    /// Failed logins after which an account is closed; 0 never (Keystone's option of this name).
    pub lockout_failure_attempts: u32,
    /// Seconds for which it is closed (Keystone's option of this name).
    pub lockout_duration: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 8192,
            requests: 1024,
            body_seconds: 60,
            body_bytes: 4096,
            answer_seconds: 60,
            failed_logins: 64,
            failed_tokens: 1000,
            lockout_failure_attempts: 0,
            lockout_duration: 1800,
        }
    }
}

impl Config {
    /// The listener's part of the limits, within so many descriptors.
    pub fn listener_limits(&self, descriptors: u64) -> crate::listener::Limits {
        let (l, seconds) = (&self.limits, std::time::Duration::from_secs);
        let limits = crate::listener::Limits {
            connections: l.connections,
            requests: l.requests,
            head_time: seconds(self.header_seconds),
            body_time: seconds(l.body_seconds),
            body_bytes: l.body_bytes,
            answer_time: seconds(l.answer_seconds),
        };
        limits.within(descriptors)
    }
}

/// The network that is there after the first start, shared by all projects.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SeedNetwork {
    /// Its name.
    pub name: String,
    /// Its range; empty makes none.
    pub cidr: String,
    /// Name servers that guests are told.
    pub dns: Vec<IpAddr>,
}

impl Default for SeedNetwork {
    fn default() -> Self {
        SeedNetwork { name: "private".into(), cidr: "10.42.0.0/22".into(), dns: Vec::new() }
    }
}

/// Files of TLS.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Certificate chain, PEM.
    pub certificate: Option<PathBuf>,
    /// Private key, PEM.
    pub key: Option<PathBuf>,
    /// Authority that clients shall trust, PEM, where they do not trust the certificate anyway.
    pub ca: Option<PathBuf>,
}

/// One `[[compute]]` entry: a host with its own driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ComputeHost {
    /// Host name, unique.
    pub name: String,
    /// Driver's name in the list of drivers.
    pub driver: String,
    /// Network namespace the host lives in (`/run/netns/NAME`); the machine's own if absent.
    #[serde(default)]
    pub netns: Option<String>,
    /// Address of this host for VXLAN, where networks shall span hosts.
    #[serde(default)]
    pub vtep: Option<IpAddr>,
    /// The host wires ports (bridges, taps, DHCP, metadata). `None` follows the driver: libvirt yes, fake no.
    #[serde(default)]
    pub networking: Option<bool>,
    /// `provider:physical_network` → interface of the host.
    #[serde(default)]
    pub physical_networks: BTreeMap<String, String>,
    /// Options of the driver.
    #[serde(default)]
    pub options: toml::Table,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path}:{line}:{column}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// What.
        message: String,
    },
    /// Values contradict each other.
    #[error("{0}")]
    Invalid(String),
}

impl Config {
    /// Reads a file.
    /// # Errors
    /// Unreadable, malformed, unknown keys, double host names.
    pub fn read(path: &Path) -> Result<Config, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let config = parse(&text).map_err(|(line, column, message)| Error::Parse { path: path.into(), line, column, message })?;
        config.check()?;
        Ok(config)
    }
    /// Holds every host's driver and its options against the list of drivers. Makes nothing.
    /// # Errors
    /// The host, the option and what would be right.
    pub fn check_drivers(&self) -> Result<(), Error> {
        for host in &self.compute {
            let wrong = |e: &dyn std::fmt::Display| Error::Invalid(format!("[[compute]] {}: {e}", host.name));
            let row = drivers::find(&host.driver).map_err(|e| wrong(&e))?;
            let options = serde_json::to_value(&host.options).map_err(|e| wrong(&e))?;
            (row.validate)(&options).map_err(|e| wrong(&e))?;
        }
        Ok(())
    }
    /// Holds the values against each other.
    /// # Errors
    /// What contradicts.
    pub fn check(&self) -> Result<(), Error> {
        for (i, h) in self.compute.iter().enumerate() {
            if h.name.is_empty() || h.name.len() > 64 || !h.name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
                return Err(Error::Invalid(format!(
                    "[[compute]] name {:?}: use 1 to 64 letters, digits, '-', '_' or '.'",
                    h.name
                )));
            }
            if self.compute[..i].iter().any(|o| o.name == h.name) {
                return Err(Error::Invalid(format!("[[compute]] name {:?} stands twice; each host needs its own", h.name)));
            }
        }
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            return Err(Error::Invalid("[tls] needs both certificate and key, or neither".into()));
        }
        if self.tls.ca.is_some() && self.tls.certificate.is_none() {
            return Err(Error::Invalid("[tls] ca is for a certificate of your own: name certificate and key too".into()));
        }
        if self.token_seconds == 0 || self.header_seconds == 0 || self.database_connections == 0 {
            return Err(Error::Invalid("token_seconds, header_seconds and database_connections must be above 0".into()));
        }
        let l = &self.limits;
        let each = [
            ("connections", l.connections as u64),
            ("requests", l.requests as u64),
            ("body_seconds", l.body_seconds),
            ("body_bytes", l.body_bytes),
            ("answer_seconds", l.answer_seconds),
        ];
        if let Some((name, _)) = each.into_iter().find(|(_, value)| *value == 0) {
            return Err(Error::Invalid(format!("[limits] {name} must be above 0")));
        }
        if let Some(url) = &self.public_url
            && !["http://", "https://"].iter().any(|s| url.strip_prefix(s).is_some_and(|host| !host.is_empty()))
        {
            return Err(Error::Invalid(format!("public_url {url:?}: begin with http:// or https://")));
        }
        if self.database != "sqlite" && !self.database.starts_with("postgres://") && !self.database.starts_with("postgresql://") {
            return Err(Error::Invalid("database: use \"sqlite\" or a postgres:// URL".into()));
        }
        for name in self.quota.keys() {
            let known = model::quota::COMPUTE.iter().chain(model::quota::NETWORK).any(|r| r.name == name);
            if !known {
                return Err(Error::Invalid(format!("[quota] {name}: no such resource")));
            }
        }
        Ok(())
    }
}

/// The text as a configuration, or line, column and what is wrong there, in one line of text. Pure.
fn parse(text: &str) -> Result<Config, (usize, usize, String)> {
    toml::from_str(text).map_err(|e: toml::de::Error| {
        let before = e.span().and_then(|s| text.get(..s.start)).unwrap_or_default();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let line = before.matches('\n').count();
        let message = e.message().lines().map(str::trim).collect::<Vec<_>>().join("; ");
        // The key, never the value: it may be a secret in the wrong place.
        let key = text.lines().nth(line).and_then(|l| l.split_once('=')).map(|(k, _)| k.trim().to_owned());
        let message = match key {
            Some(key) if !message.contains(&format!("`{key}`")) => format!("{key}: {message}"),
            _ => message,
        };
        (line + 1, column, message)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        let c = super::parse(text).map_err(|(line, column, message)| format!("{line}:{column}: {message}"))?;
        c.check().map_err(|e| e.to_string())?;
        c.check_drivers().map_err(|e| e.to_string())?;
        Ok(c)
    }

    #[test]
    fn refuses_what_it_does_not_know_and_says_where() {
        let e = parse("listen = \"127.0.0.1:1\"\nlisten_on = 3\n").unwrap_err();
        assert!(e.contains("listen_on") && e.starts_with("2:1: ") && !e.contains('\n'), "{e}");
        let e = parse("[[compute]]\nname = 'a'\ndriver = 'fake'\noption.x = 1\n").unwrap_err();
        assert!(e.contains("option") && e.starts_with("4:"), "{e}");
        let e = parse("listen = 'here'\n").unwrap_err();
        assert!(e.starts_with("1:10: listen: "), "{e}");
        let e = parse("listen = [\n").unwrap_err();
        assert!(!e.contains('\n'), "{e}");
        let e = parse("[[compute]]\nname = 'a'\ndriver = 'vmware'\n").unwrap_err();
        assert!(e.contains("vmware") && e.contains("fake, libvirt"), "{e}");
        let e = parse("[[compute]]\nname = 'a'\ndriver = 'fake'\noptions.vpcus = 1\n").unwrap_err();
        assert!(e.contains("[[compute]] a") && e.contains("vpcus"), "{e}");
        assert!(parse("[tls]\nkey = 'k'\n").unwrap_err().contains("certificate"));
        assert!(parse("public_url = 'cloud'\n").unwrap_err().contains("https://"));
        assert!(parse("header_seconds = 0\n").is_err());
        assert!(parse("[limits]\nrequests = 0\n").unwrap_err().contains("requests must be above 0"));
        assert!(parse("[quota]\ninstance = 4\n").unwrap_err().contains("no such resource"));
        let two = "[[compute]]\nname='a'\ndriver='fake'\n[[compute]]\nname='a'\ndriver='fake'\n";
        assert!(parse(two).unwrap_err().contains("twice"));
        assert!(parse("[[compute]]\nname='../a'\ndriver='fake'\n").is_err());
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(parse("").unwrap().listen, Config::default().listen);
    }
}
