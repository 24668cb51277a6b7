//! The entry `kilonova` in the user's clouds.yaml: written between two marks, a backup first, other entries untouched.
//!
//! YAML is edited as text, by whole lines, because rewriting it through a parser would lose the user's comments.
//! What cannot be edited safely is left alone and said.

use std::io;
use std::path::{Path, PathBuf};

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

/// A name that is a plain word in YAML, in a shell and on a line of ours.
/// # Errors
/// Which characters may stand.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.len() <= 64 && name.chars().all(plain) {
        return Ok(());
    }
    Err(format!("--cloud-name {name:?}: use a letter and then up to 63 letters, digits, '-', '_' or '.'"))
}

fn begin(name: &str) -> String {
    format!("# >>> kilonova: {name}")
}

fn end(name: &str) -> String {
    format!("# <<< kilonova: {name}")
}

fn quoted(text: &str) -> String {
    // JSON strings are YAML strings.
    serde_json::Value::from(text).to_string()
}

/// Our lines, `indent` spaces deep, each ended by `newline`.
fn block(e: &Entry<'_>, indent: usize, newline: &str) -> String {
    let mut lines = vec![
        (0, begin(e.name)),
        (0, format!("{}:", e.name)),
        (2, "auth_type: password".to_owned()),
        (2, "auth:".to_owned()),
        (4, format!("auth_url: {}", quoted(e.auth_url))),
        (4, "username: admin".to_owned()),
        (4, format!("password: {}", quoted(e.password))),
        (4, "project_name: admin".to_owned()),
        (4, "user_domain_id: default".to_owned()),
        (4, "project_domain_id: default".to_owned()),
        (2, format!("region_name: {}", quoted(e.region))),
        (2, "identity_api_version: 3".to_owned()),
    ];
    if let Some(ca) = e.ca {
        lines.push((2, format!("cacert: {}", quoted(&ca.display().to_string()))));
    }
    lines.push((0, end(e.name)));
    lines.iter().map(|(deep, text)| format!("{}{text}{newline}", " ".repeat(indent + deep))).collect()
}

/// The key of a line `key: …`, without its quotes.
fn key(line: &str) -> Option<&str> {
    let (key, rest) = line.trim().split_once(':')?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then(|| key.trim().trim_matches(['"', '\'']))
}

/// Blank, or a comment only.
fn empty(line: &str) -> bool {
    let text = line.trim();
    text.is_empty() || text.starts_with('#')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The text with our entry replaced or added. Pure.
/// # Errors
/// When the file has an entry of that name that we did not write, or no place for ours.
pub fn edit(text: &str, entry: &Entry<'_>) -> Result<String, String> {
    let mut kept = remove(text, entry.name)?;
    let newline = if kept.contains("\r\n") { "\r\n" } else { "\n" };
    if !kept.is_empty() && !kept.ends_with('\n') {
        kept.push_str(newline);
    }
    let lines: Vec<&str> = kept.split_inclusive('\n').collect();
    let Some(at) = lines.iter().position(|l| indent(l) == 0 && !empty(l) && key(l) == Some("clouds")) else {
        let ours = block(entry, 2, newline);
        return Ok(format!("{kept}clouds:{newline}{ours}"));
    };
    let value = lines[at].split_once(':').map_or("", |(_, v)| v).trim();
    if !value.is_empty() && !value.starts_with('#') {
        return Err("its `clouds` is not written as a block of lines; add the entry by hand, as `kilonova env` has it".into());
    }
    let below = || lines[at + 1..].iter().filter(|l| !empty(l)).take_while(|l| l.starts_with([' ', '\t']));
    if below().any(|l| l.trim_start_matches(' ').starts_with('\t')) {
        return Err("its lines are indented with tabs, which YAML forbids; mend that first".into());
    }
    let deep = below().next().map_or(2, |l| indent(l));
    if below().any(|l| indent(l) == deep && key(l) == Some(entry.name)) {
        return Err(format!("it has an entry {:?} of your own; rename it or use another --cloud-name", entry.name));
    }
    let ours = block(entry, deep, newline);
    Ok([&lines[..=at].concat(), &ours, &lines[at + 1..].concat()].map(String::as_str).concat())
}

/// The text without our entry of that name. Pure.
/// # Errors
/// When the end of our entry cannot be found: what follows may be the user's.
pub fn remove(text: &str, name: &str) -> Result<String, String> {
    let (begin, end) = (begin(name), end(name));
    let mut out = String::new();
    let mut inside = false;
    for line in text.split_inclusive('\n') {
        inside |= line.trim() == begin;
        if !inside {
            out.push_str(line);
        }
        inside &= line.trim() != end;
    }
    if inside {
        return Err(format!("the line {end:?} is gone from it; put it behind the entry {name:?}, or remove that entry"));
    }
    Ok(out)
}

/// Edits the file at `path`; keeps a backup `clouds.yaml.kilonova-backup` of what was there before the first edit.
/// Returns whether it changed.
/// # Errors
/// I/O, or a file that cannot be edited safely.
pub fn write(path: &Path, entry: &Entry<'_>) -> io::Result<bool> {
    let path = &followed(path);
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

/// Takes our entry of that name out of the file; returns whether it was there. An absent file is fine.
/// # Errors
/// I/O, or a file that cannot be edited safely.
pub fn erase(path: &Path, name: &str) -> io::Result<bool> {
    let path = &followed(path);
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    let left = remove(&text, name).map_err(io::Error::other)?;
    if left == text {
        return Ok(false);
    }
    if left.trim() == "clouds:" || left.trim().is_empty() { std::fs::remove_file(path) } else { private(path, &left) }?;
    Ok(true)
}

/// The file itself where `path` is a link to it, as those who keep their dotfiles elsewhere have it.
fn followed(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
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
    std::fs::rename(&temporary, path)?;
    // The name is durable only when its directory is.
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(dir)?.sync_all()
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
        for theirs in [
            "# mine\nclouds:\n  other:\n    auth: {auth_url: http://x}\n",
            "---\nclouds: # mine\n\n    # four deep\n    other:\n        auth: {auth_url: http://x}\n\nmore: 1\n",
            "clouds:\r\n  other:\r\n    region_name: x\r\n",
            "clouds:\nclient:\n  force_ipv4: true\n",
        ] {
            let once = edit(theirs, &entry()).unwrap();
            assert!(once.contains("\"a\\\"b\""), "{once}");
            assert_eq!(edit(&once, &entry()).unwrap(), once, "twice is once");
            assert_eq!(remove(&once, "kilonova").unwrap(), theirs);
        }
    }

    #[test]
    fn is_as_deep_as_its_neighbours() {
        let four = edit("clouds:\n    other:\n        region_name: x\n", &entry()).unwrap();
        assert!(four.contains("\n    kilonova:\n      auth_type"), "{four}");
        let alone = edit("clouds:\nclient:\n  a: 1\n", &entry()).unwrap();
        assert!(alone.contains("\n  kilonova:\n    auth_type"), "{alone}");
    }

    #[test]
    fn two_clouds_of_one_user_do_not_take_each_other_out() {
        let two = edit(&edit("", &entry()).unwrap(), &Entry { name: "other", ..entry() }).unwrap();
        assert!(two.contains("  kilonova:\n") && two.contains("  other:\n"), "{two}");
        assert_eq!(remove(&two, "other").unwrap(), edit("", &entry()).unwrap());
    }

    #[test]
    fn refuses_what_it_cannot_edit_safely() {
        for theirs in [
            "clouds:\n  kilonova:\n    auth: {}\n",
            "clouds:\n    'kilonova': {}\n",
            "clouds:\n  \"kilonova\" :\n    auth: {}\n",
            "clouds: {a: {}}\n",
            "clouds:\n\tother: {}\n",
            "clouds:\n  # >>> kilonova: kilonova\n  kilonova: {}\n  mine: {}\n",
        ] {
            assert!(edit(theirs, &entry()).is_err(), "{theirs}");
        }
        assert!(edit("", &entry()).unwrap().starts_with("clouds:\n"));
        assert!(check_name("a b").is_err() && check_name("").is_err() && check_name("no:").is_err() && check_name("k-1").is_ok());
    }
}
