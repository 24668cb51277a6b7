//! The entry `kilonova` in the user's clouds.yaml: written between two marks, a backup first, other entries untouched.
//!
//! YAML is edited as text, by whole lines, because rewriting it through a parser would lose the user's comments.

use std::io;
use std::path::{Path, PathBuf};

const BEGIN: &str = "  # >>> kilonova";
const END: &str = "  # <<< kilonova";

/// What the entry says.
pub struct Entry<'a> {
    /// Name of the entry.
    pub name: &'a str,
    /// `http://127.0.0.1:8774/identity/v3`.
    pub auth_url: &'a str,
    /// The administrator's password.
    pub password: &'a str,
    /// Region.
    pub region: &'a str,
    /// Certificate to trust, where TLS is on.
    pub ca: Option<&'a Path>,
}

fn quoted(text: &str) -> String {
    // JSON strings are YAML strings.
    serde_json::Value::from(text).to_string()
}

fn block(e: &Entry<'_>) -> String {
    let mut out = format!(
        "{BEGIN}\n  {}:\n    auth_type: password\n    auth:\n      auth_url: {}\n      username: admin\n      password: {}\n      \
         project_name: admin\n      user_domain_id: default\n      project_domain_id: default\n    region_name: {}\n    \
         identity_api_version: 3\n",
        e.name,
        quoted(e.auth_url),
        quoted(e.password),
        quoted(e.region),
    );
    if let Some(ca) = e.ca {
        out.push_str(&format!("    cacert: {}\n", quoted(&ca.display().to_string())));
    }
    out.push_str(END);
    out.push('\n');
    out
}

/// The text with our entry replaced or added. Pure.
/// # Errors
/// When the file has an entry of that name that we did not write, or no place for ours.
pub fn edit(text: &str, entry: &Entry<'_>) -> Result<String, String> {
    let mut kept = remove(text);
    let theirs = format!("  {}:", entry.name);
    if kept.lines().any(|l| l.trim_end() == theirs) {
        return Err(format!("it has an entry {:?} of your own; rename it or use another --cloud-name", entry.name));
    }
    if let Some(at) = kept.lines().position(|l| l.trim_end() == "clouds:") {
        let mut lines: Vec<&str> = kept.lines().collect();
        let ours = block(entry);
        lines.insert(at + 1, ours.trim_end_matches('\n'));
        return Ok(lines.join("\n") + "\n");
    }
    if kept.lines().any(|l| l.starts_with("clouds")) {
        return Err("its `clouds` is not written as a block; add the entry by hand".into());
    }
    if !kept.is_empty() && !kept.ends_with('\n') {
        kept.push('\n');
    }
    Ok(format!("{kept}clouds:\n{}", block(entry)))
}

/// The text without our entry. Pure.
pub fn remove(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for line in text.lines() {
        if line.trim_end() == BEGIN {
            inside = true;
        }
        if !inside {
            out.push_str(line);
            out.push('\n');
        }
        if line.trim_end() == END {
            inside = false;
        }
    }
    out
}

/// Edits the file at `path`; keeps a backup `clouds.yaml.kilonova-backup` of what was there before the first edit.
/// Returns whether it changed.
/// # Errors
/// I/O, or a file that cannot be edited safely.
pub fn write(path: &Path, entry: &Entry<'_>) -> io::Result<bool> {
    let before = match std::fs::read_to_string(path) {
        Ok(t) => Some(t),
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => return Err(e),
    };
    let text = before.clone().unwrap_or_default();
    let edited = edit(&text, entry).map_err(io::Error::other)?;
    if edited == text {
        return Ok(false);
    }
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    if let Some(b) = before {
        let backup = backup_of(path);
        if !backup.exists() {
            private(&backup, &b)?;
        }
    }
    private(path, &edited)?;
    Ok(true)
}

/// Takes our entry out of the file; absent files are fine.
/// # Errors
/// I/O.
pub fn erase(path: &Path) -> io::Result<()> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let left = remove(&text);
            if left.trim() == "clouds:" || left.trim().is_empty() { std::fs::remove_file(path) } else { private(path, &left) }
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".kilonova-backup");
    PathBuf::from(name)
}

/// Writes a file that only its owner reads, all or nothing.
/// # Errors
/// I/O.
pub fn private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let temporary = PathBuf::from(name);
    let _ = std::fs::remove_file(&temporary);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn entry() -> Entry<'static> {
        Entry { name: "kilonova", auth_url: "http://127.0.0.1:1/identity/v3", password: "a\"b", region: "R", ca: None }
    }

    #[test]
    fn leaves_other_entries_and_comments_alone() {
        let theirs = "# mine\nclouds:\n  other:\n    auth: {auth_url: http://x}\n";
        let once = edit(theirs, &entry()).unwrap();
        assert!(once.contains("# mine") && once.contains("other:") && once.contains("\"a\\\"b\""));
        assert_eq!(edit(&once, &entry()).unwrap(), once, "twice is once");
        assert_eq!(remove(&once), theirs);
    }

    #[test]
    fn refuses_to_take_over_a_foreign_entry() {
        assert!(edit("clouds:\n  kilonova:\n    auth: {}\n", &entry()).is_err());
        assert!(edit("clouds: {a: {}}\n", &entry()).is_err());
        assert!(edit("", &entry()).unwrap().starts_with("clouds:\n"));
    }
}
