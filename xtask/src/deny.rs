//! Holds Cargo's resolution against `deny.toml`: forbidden crates, doubled ones, licences, sources. cargo-deny reads
//! the same file and knows advisories too; this needs nothing installed.

use crate::command::output;
use crate::root;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

#[derive(Deserialize)]
struct Rules {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
}
#[derive(Deserialize)]
struct Graph {
    targets: Vec<String>,
}
#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}
#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}
#[derive(Deserialize)]
struct Ban {
    name: String,
    #[serde(default, rename = "deny-multiple-versions")]
    doubled: bool,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}
#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
}
#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}
#[derive(Deserialize)]
struct Node {
    id: String,
}

pub fn check(found: &mut Vec<String>) -> Result<(), String> {
    let text = std::fs::read_to_string(root().join("deny.toml")).map_err(|e| format!("deny.toml: {e}"))?;
    let rules: Rules = toml::from_str(&text).map_err(|e| format!("deny.toml: {e}"))?;
    let mut cargo = Command::new("cargo");
    cargo.args(["metadata", "--format-version", "1", "--locked", "--all-features"]).current_dir(root());
    for target in &rules.graph.targets {
        cargo.args(["--filter-platform", target]);
    }
    let metadata: Metadata = serde_json::from_str(&output(&mut cargo)?).map_err(|e| format!("cargo metadata: {e}"))?;
    judge(&rules, &metadata, found);
    Ok(())
}

fn judge(rules: &Rules, metadata: &Metadata, found: &mut Vec<String>) {
    let used: BTreeSet<&str> = metadata.resolve.nodes.iter().map(|n| n.id.as_str()).collect();
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for p in metadata.packages.iter().filter(|p| used.contains(p.id.as_str())) {
        versions.entry(&p.name).or_default().push(&p.version);
        // Our own have no source.
        let Some(source) = &p.source else { continue };
        if source != "registry+https://github.com/rust-lang/crates.io-index" {
            found.push(format!("deny.toml: {} {} comes from {source}", p.name, p.version));
        }
        if !p.license.as_deref().is_some_and(|l| fits(l, &rules.licenses.allow)) {
            found.push(format!("deny.toml: {} {} has the licence {:?}", p.name, p.version, p.license));
        }
    }
    for ban in &rules.bans.deny {
        match versions.get(ban.name.as_str()) {
            Some(there) if !ban.doubled => found.push(format!("deny.toml: {} {} is forbidden", ban.name, there.join(", "))),
            Some(there) if there.len() > 1 => found.push(format!("deny.toml: {} twice: {}", ban.name, there.join(", "))),
            _ => {}
        }
    }
}

/// Whether an SPDX expression can be met with `allowed`: OR by one side, AND by both. Pure.
fn fits(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    any(&words, &mut at, allowed) && at == words.len()
}

fn any(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut ok = all(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        ok |= all(words, at, allowed);
    }
    ok
}

fn all(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut ok = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        ok &= one(words, at, allowed);
    }
    ok
}

fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let ok = any(words, at, allowed);
        *at += 1;
        return ok;
    }
    let mut name = (*word).to_owned();
    if words.get(*at) == Some(&"WITH")
        && let Some(exception) = words.get(*at + 1)
    {
        name = format!("{name} WITH {exception}");
        *at += 2;
    }
    allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::{Metadata, Rules, fits, judge};

    #[test]
    fn licences_are_read_as_spdx_means_them() {
        let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        for good in ["MIT", "GPL-2.0 OR MIT", "MIT/Apache-2.0", "(MIT OR GPL-3.0) AND Apache-2.0", "Apache-2.0 WITH LLVM-exception OR X"] {
            assert!(fits(good, &allowed), "{good}");
        }
        for bad in ["GPL-3.0", "MIT AND GPL-3.0", "", "(MIT AND GPL-2.0) OR LGPL-3.0", "MIT MIT"] {
            assert!(!fits(bad, &allowed), "{bad}");
        }
    }

    #[test]
    fn what_is_forbidden_doubled_foreign_or_unlicensed_is_found() {
        let rules: Rules = toml::from_str(
            "[graph]\ntargets = []\n[licenses]\nallow = ['MIT']\n[bans]\ndeny = [{ name = 'openssl' }, { name = 'ring', deny-multiple-versions = true }]",
        )
        .expect("the rules read");
        let package = |id: &str, name: &str, license: &str, source: &str| {
            serde_json::json!({"id": id, "name": name, "version": id, "license": license, "source": source})
        };
        let home = "registry+https://github.com/rust-lang/crates.io-index";
        let metadata: Metadata = serde_json::from_value(serde_json::json!({
            "packages": [
                package("1", "openssl", "MIT", home), package("2", "ring", "MIT", home), package("3", "ring", "MIT", home),
                package("4", "far", "MIT", "git+https://example.org/far"), package("5", "closed", "GPL-3.0", home),
                package("6", "good", "MIT", home), package("7", "unused", "GPL-3.0", home),
            ],
            "resolve": {"nodes": [{"id": "1"}, {"id": "2"}, {"id": "3"}, {"id": "4"}, {"id": "5"}, {"id": "6"}]},
        }))
        .expect("the metadata reads");
        let mut found = Vec::new();
        judge(&rules, &metadata, &mut found);
        for word in ["openssl 1 is forbidden", "ring twice: 2, 3", "far 4 comes from git", "closed 5 has the licence"] {
            assert!(found.iter().any(|f| f.contains(word)), "{word}: {found:?}");
        }
        assert_eq!(found.len(), 4, "{found:?}");
    }
}
