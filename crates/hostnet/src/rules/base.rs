//! What all ports share: the table, its maps and the hooks.

use crate::names::TABLE;
use std::fmt::Write as _;

/// A chain whose name tells the layout of the table; a table without it is replaced as a whole.
pub(crate) const VERSION_CHAIN: &str = "layout_1";

/// The table with maps and hooks. Said again it changes nothing: elements and flows stay.
pub(crate) fn base() -> String {
    let mut out = format!("add table bridge {TABLE}\nadd chain bridge {TABLE} {VERSION_CHAIN}\n");
    for map in ["from_port", "to_port", "host_in", "host_out"] {
        let _ = writeln!(
            out,
            "add map bridge {TABLE} {map} {{ type ifname : verdict; }}"
        );
    }
    for set in ["endpoints", "joins"] {
        let _ = writeln!(out, "add set bridge {TABLE} {set} {{ type ifname; }}");
    }
    let hooks: [(&str, &str, &str, &[&str]); 4] = [
        ("enter", "prerouting", "-300", &["iifname vmap @from_port"]),
        // Every host has its own DHCP and metadata endpoint under the same address: they must not meet.
        (
            "pass",
            "forward",
            "0",
            &[
                "iifname @endpoints oifname @joins drop",
                "iifname @joins oifname @endpoints drop",
                "oifname vmap @to_port",
            ],
        ),
        (
            "local_in",
            "input",
            "0",
            &[
                "iifname @endpoints drop",
                "iifname @joins drop",
                "iifname vmap @host_in",
            ],
        ),
        (
            "local_out",
            "output",
            "0",
            &[
                "oifname @endpoints drop",
                "oifname @joins drop",
                "oifname vmap @host_out",
            ],
        ),
    ];
    for (chain, hook, priority, rules) in hooks {
        let _ = writeln!(
            out,
            "add chain bridge {TABLE} {chain} {{ type filter hook {hook} priority {priority}; policy accept; }}\n\
             flush chain bridge {TABLE} {chain}"
        );
        for rule in rules {
            let _ = writeln!(out, "add rule bridge {TABLE} {chain} {rule}");
        }
    }
    out
}

/// Makes the sets of endpoints and of joins hold exactly these interfaces.
pub(crate) fn members(endpoints: &[&str], joins: &[&str]) -> String {
    let mut out = String::new();
    for (set, names) in [("endpoints", endpoints), ("joins", joins)] {
        let _ = writeln!(out, "flush set bridge {TABLE} {set}");
        if !names.is_empty() {
            let quoted: Vec<String> = names.iter().map(|n| format!("\"{n}\"")).collect();
            let _ = writeln!(
                out,
                "add element bridge {TABLE} {set} {{ {} }}",
                quoted.join(", ")
            );
        }
    }
    out
}
