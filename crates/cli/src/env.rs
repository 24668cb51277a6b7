//! `kilonova env`: lines that a shell evaluates.

use crate::credentials::CloudFile;
use crate::{Error, Output};
use serde_json::json;
use std::path::Path;

/// A word that any shell reads back as it is.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

pub(crate) fn run(out: &Output, dir: &Path) -> Result<(), Error> {
    let (cloud, password) = CloudFile::read(dir)?;
    if !Path::new(&format!("/proc/{}", cloud.pid)).exists() {
        out.note(format_args!("the cloud of {dir} does not run; start it with `kilonova up --data-dir {dir}`", dir = dir.display()));
    }
    let mut pairs = vec![
        ("OS_AUTH_TYPE", "password".to_owned()),
        ("OS_AUTH_URL", cloud.auth_url),
        ("OS_USERNAME", "admin".into()),
        ("OS_PASSWORD", password),
        ("OS_PROJECT_NAME", "admin".into()),
        ("OS_USER_DOMAIN_ID", "default".into()),
        ("OS_PROJECT_DOMAIN_ID", "default".into()),
        ("OS_USER_DOMAIN_NAME", "Default".into()),
        ("OS_PROJECT_DOMAIN_NAME", "Default".into()),
        ("OS_REGION_NAME", cloud.region),
        ("OS_IDENTITY_API_VERSION", "3".into()),
    ];
    if let Some(ca) = cloud.ca {
        pairs.push(("OS_CACERT", ca.display().to_string()));
    }
    if out.is_json() {
        out.json(&json!(pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<std::collections::BTreeMap<_, _>>()));
    } else {
        // A leftover of another cloud would win over these.
        out.line("unset OS_CLOUD OS_TOKEN OS_SYSTEM_SCOPE OS_DOMAIN_ID OS_DOMAIN_NAME OS_PROJECT_ID OS_USER_ID OS_CACERT");
        for (k, v) in pairs {
            out.line(format_args!("export {k}={}", quoted(&v)));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_survive() {
        assert_eq!(super::quoted("a'b $x"), r"'a'\''b $x'");
    }
}
