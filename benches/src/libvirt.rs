//! What we add to a guest's creation on libvirt: the whole, as a client sees it, without the time inside the backend's own
//! calls, which the host writes into its log operation by operation.

use std::path::Path;

/// What the host's log says of one spawn.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Spawn {
    /// On the host, from taking the call up to its answer, ms.
    pub wall_ms: f64,
    /// Inside calls of the backend, ms; calls beside each other count once.
    pub external_ms: f64,
    /// Those calls by name, as the log has them.
    pub parts: String,
}

fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let rest = &line[line.find(&format!(" {name}="))? + name.len() + 2..];
    match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next(),
        None => rest.split_whitespace().next(),
    }
}

/// The spawn of `server` in a host's log.
pub fn spawn(log: &str, server: &str) -> Option<Spawn> {
    let line = log.lines().find(|l| {
        l.contains("external: operation") && field(l, "instance") == Some(server) && field(l, "verb") == Some("Spawn")
    })?;
    let ms = |name: &str| field(line, name)?.parse::<f64>().ok().map(|us| us / 1e3);
    Some(Spawn {
        wall_ms: ms("wall_us")?,
        external_ms: ms("external_us")?,
        parts: field(line, "parts").unwrap_or_default().to_owned(),
    })
}

/// The configuration of a host in front of the daemon at `socket`.
pub fn config(socket: &str, instances: &Path) -> String {
    format!(
        "[[compute]]\nname = \"hvbench\"\ndriver = \"libvirt\"\nnetworking = false\n[compute.options]\nvirt_type = \"qemu\"\n\
         uri = \"qemu+unix:///system?socket={socket}\"\ninstances_dir = \"{}\"\n",
        instances.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_read() {
        let log = "2026-01-01T00:00:00Z DEBUG external: call name=\"qemu-img\" elapsed_us=7 op=a\n\
            2026-01-01T00:00:00Z DEBUG external: operation host=\"h\" instance=s1 op=a verb=Spawn wall_us=1500 external_us=1200 parts=\"qemu-img=1/7 libvirt.create=1/1193\"\n";
        let s = spawn(log, "s1").map(|s| (s.wall_ms, s.external_ms, s.parts));
        assert_eq!(s, Some((1.5, 1.2, "qemu-img=1/7 libvirt.create=1/1193".to_owned())));
        assert_eq!(spawn(log, "s2"), None);
    }
}
