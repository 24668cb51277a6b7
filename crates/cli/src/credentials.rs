//! Whom to talk to: the cloud of a data directory, or what the OS_* variables say.

use crate::Error;
use client::Credentials;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `cloud.json` of a data directory: what a client needs beside the password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CloudFile {
    /// Identity endpoint.
    pub auth_url: String,
    /// Region.
    pub region: String,
    /// Certificate to trust.
    pub ca: Option<PathBuf>,
    /// Process that serves.
    pub pid: u32,
}

impl CloudFile {
    /// Reads it and the administrator's password beside it.
    /// # Errors
    /// No cloud there, or not ours to read.
    pub fn read(dir: &Path) -> Result<(CloudFile, String), Error> {
        let file = dir.join("cloud.json");
        let text = std::fs::read_to_string(&file).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::Local(format!(
                "no cloud in {}; start one with `kilonova up`, or name its --data-dir",
                dir.display()
            )),
            std::io::ErrorKind::PermissionDenied => {
                Error::Local(format!("cannot read {}: {e}; run this as the user who started the cloud", file.display()))
            }
            _ => Error::Local(format!("cannot read {}: {e}", file.display())),
        })?;
        let cloud = serde_json::from_str(&text).map_err(|e| Error::Local(format!("{}: {e}", file.display())))?;
        let secret = dir.join("admin-password");
        let password = std::fs::read_to_string(&secret)
            .map_err(|e| Error::Local(format!("cannot read {}: {e}; run this as the user who started the cloud", secret.display())))?;
        Ok((cloud, password.trim().to_owned()))
    }
}

/// Credentials of the environment: OS_* variables with a password.
fn from_environment() -> bool {
    ["OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD"].iter().all(|n| std::env::var_os(n).is_some_and(|v| !v.is_empty()))
}

/// What to do where the login failed.
pub(crate) fn advise(e: client::Error, named: Option<&Path>, dir: &Path) -> Error {
    let ours = named.is_some() || !from_environment();
    match e {
        e if e.is_unreachable() && ours => {
            Error::Local(format!("{e}; the cloud of {dir} does not run: start it with `kilonova up --data-dir {dir}`", dir = dir.display()))
        }
        e if e.is_unreachable() => Error::Local(format!("{e}; look at OS_AUTH_URL, or name a --data-dir")),
        client::Error::Refused { status: 401, .. } if ours => Error::Local(format!(
            "the cloud refuses the password in {dir}/admin-password; `kilonova up --reset-admin-password --data-dir {dir}` makes it valid again",
            dir = dir.display()
        )),
        client::Error::Refused { status: 401, message, .. } => {
            Error::Local(format!("{message}; look at OS_USERNAME, OS_PASSWORD, OS_PROJECT_NAME and OS_USER_DOMAIN_ID"))
        }
        e => Error::Cloud(e),
    }
}

/// The credentials: a named data directory first, then OS_* variables, then the default directory.
/// # Errors
/// None of them is there.
pub fn find(named: Option<&Path>, default: &Path) -> Result<Credentials, Error> {
    let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
    if named.is_none()
        && let (Some(auth_url), Some(username), Some(password)) = (var("OS_AUTH_URL"), var("OS_USERNAME"), var("OS_PASSWORD"))
    {
        let ca = match var("OS_CACERT") {
            Some(p) => Some(std::fs::read(&p).map_err(|e| Error::Local(format!("OS_CACERT {p}: {e}")))?),
            None => None,
        };
        return Ok(Credentials {
            auth_url,
            username,
            password,
            project: var("OS_PROJECT_NAME").unwrap_or_default(),
            domain: var("OS_USER_DOMAIN_ID").unwrap_or_else(|| "default".into()),
            region: var("OS_REGION_NAME").unwrap_or_default(),
            ca,
        });
    }
    let (cloud, password) = CloudFile::read(named.unwrap_or(default))?;
    let ca = match &cloud.ca {
        Some(p) => Some(std::fs::read(p).map_err(|e| Error::Local(format!("{}: {e}", p.display())))?),
        None => None,
    };
    Ok(Credentials {
        auth_url: cloud.auth_url,
        username: "admin".into(),
        password,
        project: "admin".into(),
        domain: "default".into(),
        region: cloud.region,
        ca,
    })
}
