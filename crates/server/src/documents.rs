//! Documents that are derived from the program: written by it, checked in, compared by CI. Nothing is typed twice.

use model::actions::{ACTIONS, After, OnError};
use std::fmt::Write as _;
use std::path::Path;
use web::RouteInfo;

const HEAD: &str = "<!-- Written by `cargo xtask codegen`; do not edit. -->\n\n";

/// Path below the checkout and content of every document.
pub fn all() -> Vec<(&'static str, String)> {
    vec![
        ("docs/generated/actions.md", actions()),
        ("docs/generated/policy.md", policy()),
        ("docs/generated/facets.md", facets()),
        ("docs/generated/not-built.md", not_built()),
    ]
}

/// Writes them below `root`, or only compares.
/// # Errors
/// I/O, or the names of those that differ.
pub fn write(root: &Path, check: bool) -> Result<(), String> {
    let mut differ = Vec::new();
    for (name, text) in all() {
        let path = root.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        if check {
            differ.push(name);
            continue;
        }
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
        }
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
    }
    if differ.is_empty() { Ok(()) } else { Err(format!("{} differ; run cargo xtask codegen", differ.join(", "))) }
}

fn actions() -> String {
    let mut out = format!("{HEAD}# Actions\n\nWhat may happen to a server in which state (`model::ACTIONS`).\n\n");
    out.push_str("| action | from | task_state | after | on error | facet | policy |\n|---|---|---|---|---|---|---|\n");
    for r in ACTIONS {
        let from: Vec<&str> = r.from.iter().map(|s| s.as_str()).collect();
        let then = match r.then {
            After::Set(s) => s.as_str(),
            After::Keep => "as before",
            After::Old => "as before suspend",
        };
        let error = if r.on_error == OnError::Error { "error" } else { "as before" };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {then} | {error} | {} | `{}` |",
            r.action.as_str(),
            from.join(", "),
            r.task_state.unwrap_or(""),
            r.facet.unwrap_or(""),
            r.policy
        );
    }
    out
}

/// Every service and its routes.
pub fn services() -> Vec<(&'static str, Vec<RouteInfo>)> {
    vec![
        ("compute", api::route_infos()),
        ("identity", identity::route_infos()),
        ("image", image::route_infos()),
        ("network", network::http::route_infos()),
        ("placement", placement::http::route_infos()),
        ("kilonova", crate::audit::route_infos()),
    ]
}

fn policy() -> String {
    let mut out = format!("{HEAD}# Policy\n\nWho may call what. Ownership is checked besides, object by object.\n");
    for (service, mut routes) in services() {
        routes.sort_by(|a, b| (a.path, a.method.as_str()).cmp(&(b.path, b.method.as_str())));
        let _ = writeln!(out, "\n## {service}\n\n| method | path | policy | who |\n|---|---|---|---|");
        for r in routes {
            let _ = writeln!(out, "| {} | `{}` | `{}` | {} |", r.method, r.path, r.policy, r.rule.as_str());
        }
    }
    out
}

fn facets() -> String {
    let mut out = format!("{HEAD}# Facets\n\nWhat a driver can do beyond the core, and who has it here.\n\n| facet |");
    let made: Vec<(&str, Box<dyn driver_api::ComputeDriver>)> = drivers::DRIVERS
        .iter()
        .filter_map(|row| {
            let options = if row.name == "libvirt" { serde_json::json!({"virt_type": "qemu"}) } else { serde_json::Value::Null };
            (row.make)(&options).ok().map(|d| (row.name, d))
        })
        .collect();
    for (name, _) in &made {
        let _ = write!(out, " {name} |");
    }
    let _ = write!(out, "\n|---|{}\n", "---|".repeat(made.len()));
    for f in driver_api::FACETS {
        let _ = write!(out, "| {} |", f.name);
        for (_, d) in &made {
            let _ = write!(out, " {} |", if (f.present)(d.as_ref()) { "yes" } else { "" });
        }
        out.push('\n');
    }
    out
}

fn not_built() -> String {
    let mut out = format!("{HEAD}# Not built\n\nRoutes of the originals that answer 501 and name themselves.\n");
    let lists: Vec<(&str, Vec<String>)> = vec![
        ("compute", api::not_built()),
        ("identity", pairs(identity::NOT_BUILT)),
        ("image", pairs(image::NOT_BUILT)),
        ("network", pairs(network::http::NOT_BUILT)),
        ("placement", pairs(placement::http::NOT_BUILT)),
    ];
    for (service, routes) in lists {
        let _ = writeln!(out, "\n## {service}\n");
        for r in routes {
            let _ = writeln!(out, "- `{r}`");
        }
    }
    out.push_str("\n# Built, and less than the original\n\n");
    for (what, how) in api::WEAKER {
        let _ = writeln!(out, "- {what}: {how}");
    }
    out
}

fn pairs(list: &[(&str, &str)]) -> Vec<String> {
    list.iter().map(|(method, path)| format!("{method} {path}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checked_in_documents_are_what_the_program_says() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        assert_eq!(write(&root, true), Ok(()));
    }
}
