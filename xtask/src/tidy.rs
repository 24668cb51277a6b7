//! `cargo xtask tidy`: the house rules that a machine can check.

use crate::command::output;
use crate::root;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

const LINES_OF_A_FILE: usize = 800;
const LINES_OF_A_FUNCTION: usize = 80;

#[derive(Deserialize)]
struct Layers {
    floor: Vec<Floor>,
    #[serde(default)]
    sideways: Vec<Edge>,
}
#[derive(Deserialize)]
struct Floor {
    crates: Vec<String>,
}
#[derive(Deserialize)]
struct Edge {
    from: String,
    to: String,
    why: String,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}
#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}
#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

pub fn run() -> Result<(), String> {
    let mut found = Vec::new();
    layers(&mut found)?;
    crate::deny::check(&mut found)?;
    let mut files = Vec::new();
    rust_files(&root(), &mut files)?;
    for f in &files {
        file(f, &mut found)?;
    }
    words(&mut found)?;
    for f in &found {
        eprintln!("{f}");
    }
    if found.is_empty() {
        println!("tidy: {} files, nothing found", files.len());
        Ok(())
    } else {
        Err(format!("tidy: {} findings", found.len()))
    }
}

fn layers(found: &mut Vec<String>) -> Result<(), String> {
    let text = std::fs::read_to_string(root().join("layers.toml")).map_err(|e| format!("layers.toml: {e}"))?;
    let layers: Layers = toml::from_str(&text).map_err(|e| format!("layers.toml: {e}"))?;
    let json = output(Command::new("cargo").args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(root()))?;
    let metadata: Metadata = serde_json::from_str(&json).map_err(|e| format!("cargo metadata: {e}"))?;
    let floor: BTreeMap<&str, usize> =
        layers.floor.iter().enumerate().flat_map(|(n, f)| f.crates.iter().map(move |c| (c.as_str(), n))).collect();
    for p in &metadata.packages {
        let Some(from) = floor.get(p.name.as_str()) else {
            found.push(format!("layers.toml: crate {} stands on no floor", p.name));
            continue;
        };
        let directory = p.manifest_path.parent().and_then(Path::file_name).and_then(|n| n.to_str());
        if directory != Some(p.name.as_str()) || p.version != "0.0.0" {
            found.push(format!("{}: directory and crate have one name, the version is 0.0.0", p.manifest_path.display()));
        }
        // Tests may look anywhere; what ships may not.
        for d in p.dependencies.iter().filter(|d| d.path.is_some() && d.kind.is_none()) {
            let Some(to) = floor.get(d.name.as_str()) else { continue };
            let excused = layers.sideways.iter().any(|e| e.from == p.name && e.to == d.name && !e.why.is_empty());
            if to <= from && !excused {
                found.push(format!("layers.toml: {} -> {} does not point down and has no reason", p.name, d.name));
            }
        }
    }
    for e in &layers.sideways {
        let used = metadata.packages.iter().any(|p| p.name == e.from && p.dependencies.iter().any(|d| d.name == e.to));
        if !used {
            found.push(format!("layers.toml: {} -> {} is excused but not used", e.from, e.to));
        }
    }
    Ok(())
}

fn rust_files(dir: &Path, out: &mut Vec<PathBuf>) -> Result<(), String> {
    let list = output(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"]).current_dir(dir))?;
    out.extend(list.lines().map(|l| dir.join(l)).filter(|p| p.is_file()));
    Ok(())
}

fn file(path: &Path, found: &mut Vec<String>) -> Result<(), String> {
    let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| format!("{name}: {e}"))?;
    let lines: Vec<&str> = text.lines().collect();
    if lines.len() > LINES_OF_A_FILE {
        found.push(format!("{name}: {} lines, {LINES_OF_A_FILE} at the most; split it by verb", lines.len()));
    }
    let test = name.contains("/tests") || name.contains("/benches/") || name.contains("/examples/") || name.ends_with("tests.rs");
    let begins = lines.iter().find(|l| !l.trim().is_empty() && !l.starts_with("#!["));
    if !test && !begins.is_some_and(|l| l.starts_with("//!")) {
        found.push(format!("{name}: begin with //! and say what it is and what it never does"));
    }
    if !name.starts_with("xtask/") && (text.contains("unimplemented!(") || text.contains("todo!(")) {
        found.push(format!("{name}: a stub"));
    }
    if !name.starts_with("xtask/") && lines.iter().any(|l| l.trim_start().starts_with("#[ignore")) {
        found.push(format!("{name}: an ignored test"));
    }
    // A test tells a story; what ships is read a screenful at a time.
    if !test {
        functions(&name, &lines, found);
    }
    Ok(())
}

/// Functions longer than a screenful. Counted from `fn` to the brace at the same depth, which rustfmt guarantees.
fn functions(name: &str, lines: &[&str], found: &mut Vec<String>) {
    let mut open: Option<(usize, usize, String)> = None;
    for (n, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        if let Some((start, depth, title)) = &open {
            if line.trim_end() == format!("{}}}", " ".repeat(*depth)) {
                if n - start > LINES_OF_A_FUNCTION {
                    found.push(format!("{name}:{}: {title} has {} lines, {LINES_OF_A_FUNCTION} at the most", start + 1, n - start + 1));
                }
                open = None;
            }
            continue;
        }
        let code = line.trim_start();
        let is_fn = ["fn ", "pub fn ", "async fn ", "pub async fn ", "pub(crate) fn ", "pub(crate) async fn ", "pub(super) fn ", "pub(super) async fn ", "const fn ", "pub const fn "]
            .iter()
            .any(|p| code.starts_with(p));
        if is_fn && !code.ends_with(';') && !code.ends_with('}') {
            let title = code.split('(').next().unwrap_or(code).to_owned();
            open = Some((n, indent, title));
        }
    }
}

/// Words that do not belong into the project: it speaks of itself alone.
fn words(found: &mut Vec<String>) -> Result<(), String> {
    let list = output(Command::new("git").args(["ls-files"]).current_dir(root()))?;
    // Put together here, so that this file does not find itself.
    let banned = [["/wo", "rk/ma"].concat(), ["/ro", "ot/.cargo"].concat(), ["farm", "-"].concat()];
    for name in list.lines() {
        let Ok(text) = std::fs::read_to_string(root().join(name)) else { continue };
        for word in &banned {
            if text.contains(word.as_str()) {
                found.push(format!("{name}: a path or a word that is not the project's: {word}"));
            }
        }
    }
    Ok(())
}
