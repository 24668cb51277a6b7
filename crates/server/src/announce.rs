//! What a started cloud leaves for its clients and says to the newcomer: one screen, three next commands.
//!
//! It writes files and text; it changes nothing in the cloud.

use crate::clouds_yaml::{self, Entry};
use crate::config::{ComputeHost, Config};
use crate::owner::Owner;
use crate::up::{Options, program};
use cli::{CloudFile, Finding, Output, Style};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

/// A cloud that serves.
pub(crate) struct Served<'a> {
    /// As it was asked for.
    pub options: &'a Options,
    /// As it runs.
    pub config: &'a Config,
    /// Hosts that need root.
    pub left_out: &'a [ComputeHost],
    /// Data directory.
    pub data: &'a Path,
    /// For clients on this machine.
    pub file: &'a CloudFile,
    /// To whom it all belongs.
    pub owner: &'a Owner,
    /// When the program began.
    pub started: Instant,
}

/// Writes what clients need, then says it, then tells the parent.
pub(crate) fn tell(s: &Served<'_>, password: &str, ready: Option<File>) -> Result<(), String> {
    let text = serde_json::to_string(s.file).map_err(|e| e.to_string())?;
    let json = s.data.join("cloud.json");
    clouds_yaml::private(&json, &text).map_err(|e| format!("{}: {e}", json.display()))?;
    s.owner.give(s.data);
    // What lies in it, and the directories of images and hosts, but no guest's disk: that is the hypervisor's.
    for entry in std::fs::read_dir(s.data).into_iter().flatten().flatten() {
        s.owner.give(&entry.path());
    }
    let out = Output::new(s.options.json);
    let entry = enter(s, password, &out);
    if s.options.json {
        out.json(&serde_json::json!({"auth_url": s.file.auth_url, "data_dir": s.data, "pid": s.file.pid,
            "cloud": entry.then_some(&s.options.cloud_name), "ms": millis(s)}));
    } else {
        banner(&out, s, entry);
    }
    if let Some(mut parent) = ready {
        match parent.write_all(format!("{text}\n").as_bytes()) {
            // A parent that went away meanwhile does not need to be told.
            Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => return Err(format!("--ready-fd: {e}")),
            _ => {}
        }
    }
    Ok(())
}

fn millis(s: &Served<'_>) -> u64 {
    u64::try_from(s.started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Our entry in clouds.yaml; whether it is there.
fn enter(s: &Served<'_>, password: &str, out: &Output) -> bool {
    if s.options.ephemeral || s.options.no_clouds_yaml {
        return false;
    }
    let path = s.owner.clouds_yaml();
    let entry = Entry {
        name: &s.options.cloud_name,
        auth_url: &s.file.auth_url,
        password,
        region: &s.file.region,
        ca: s.file.ca.as_deref(),
    };
    match clouds_yaml::write(&path, &entry) {
        Ok(_) => {
            let backup = path.with_extension("yaml.kilonova-backup");
            for p in [path.parent().and_then(Path::parent), path.parent(), Some(&path), Some(&backup)].into_iter().flatten() {
                s.owner.give(p);
            }
            true
        }
        Err(e) => {
            out.note(format_args!("{} was not changed: {e}", path.display()));
            false
        }
    }
}

/// The screen.
fn banner(out: &Output, s: &Served<'_>, entry: bool) {
    out.line(format_args!("kilonova serves {} after {} ms", s.file.auth_url, millis(s)));
    let ephemeral = if s.options.ephemeral { " (ephemeral: goes when this process ends)" } else { "" };
    out.line(format_args!("data in {}{ephemeral}", s.data.display()));
    let rows = crate::doctor::driver_checks(s.config)
        .into_iter()
        .map(|c| {
            let (style, word) = if c.finding == Finding::Good { (Style::Good, "usable") } else { (Style::Warn, "no") };
            vec![c.what, out.paint(style, word), c.reason, c.fix.unwrap_or_default()]
        })
        .collect();
    out.table(&["driver", "here", "found", "to mend"], rows);
    let running = s.config.compute.iter().map(|c| format!("{} ({})", c.name, c.driver));
    let left_out = s.left_out.iter().map(|c| format!("{} ({}: not started, needs sudo)", c.name, c.driver));
    out.line(format_args!("hosts: {}", running.chain(left_out).collect::<Vec<_>>().join(", ")));
    let me = program();
    let dir = if s.options.data_dir.is_none() && !s.options.ephemeral { String::new() } else { format!(" --data-dir {}", s.data.display()) };
    out.line("next, in another terminal:");
    let eval = format!("eval \"$({me} env{dir})\"");
    if entry {
        out.line(format_args!("  export OS_CLOUD={}      # or: {eval}", s.options.cloud_name));
    } else {
        out.line(format_args!("  {eval}"));
    }
    out.line("  openstack server list");
    out.line(format_args!("  {me} launch IMAGE.qcow2{dir}      # any image file, or the name of one uploaded before"));
}
