//! What this machine is and how busy it is: without it no figure means anything. Reads `/proc`, writes one scratch file.

use serde::Serialize;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Writes of the probe.
const PROBES: usize = 512;

/// The machine.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Processors.
    pub cpus: usize,
    /// Kernel.
    pub kernel: String,
    /// Memory, MiB.
    pub memory_mib: u64,
    /// Load averages before the first measurement.
    pub load: String,
    /// What a flush costs.
    pub flush: Flush,
}

/// 512 times 4 KiB written and flushed (`fdatasync`) into a file that has its size already.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Flush {
    /// Flushes per second.
    pub per_second: f64,
    /// Median, ms.
    pub p50_ms: f64,
    /// 99th of 100, ms.
    pub p99_ms: f64,
}

/// The middle of sorted values, or another place of them.
pub fn at(sorted: &[f64], part: f64) -> f64 {
    if sorted.is_empty() {
        return f64::NAN;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let index = ((sorted.len() as f64) * part) as usize;
    sorted[index.min(sorted.len() - 1)]
}

/// Sorts times into milliseconds.
pub fn millis(times: &[Duration]) -> Vec<f64> {
    let mut out: Vec<f64> = times.iter().map(|t| t.as_secs_f64() * 1e3).collect();
    out.sort_by(f64::total_cmp);
    out
}

/// Measures flushes below `dir`, where the databases will lie.
/// # Errors
/// A directory that cannot be written.
pub fn flush(dir: &Path, probes: usize) -> Result<Flush, String> {
    let path = dir.join("flush-probe");
    let failed = |e: std::io::Error| format!("{}: {e}", path.display());
    let file = std::fs::OpenOptions::new().create(true).truncate(true).write(true).open(&path).map_err(failed)?;
    let block = vec![7_u8; 4096];
    for n in 0..probes {
        file.write_all_at(&block, (n * 4096) as u64).map_err(failed)?;
    }
    file.sync_all().map_err(failed)?;
    let mut times = Vec::with_capacity(probes);
    let began = Instant::now();
    for n in 0..probes {
        let started = Instant::now();
        file.write_all_at(&block, (n * 4096) as u64).map_err(failed)?;
        file.sync_data().map_err(failed)?;
        times.push(started.elapsed());
    }
    let took = began.elapsed().as_secs_f64();
    let _ = std::fs::remove_file(&path);
    let sorted = millis(&times);
    #[allow(clippy::cast_precision_loss)]
    Ok(Flush { per_second: probes as f64 / took, p50_ms: at(&sorted, 0.5), p99_ms: at(&sorted, 0.99) })
}

fn field(text: &str, name: &str) -> String {
    text.lines().find(|l| l.starts_with(name)).and_then(|l| l.split_once(':')).map(|(_, v)| v.trim().to_owned()).unwrap_or_default()
}

/// Load averages now.
pub fn load() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').take(3).collect::<Vec<_>>().join(" ")
}

impl Machine {
    /// Looks.
    /// # Errors
    /// A directory that cannot be written.
    pub fn look(dir: &Path) -> Result<Machine, String> {
        let read = |p: &str| std::fs::read_to_string(p).unwrap_or_default();
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        Ok(Machine {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            cpus: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            memory_mib: memory.split(' ').next().and_then(|k| k.parse::<u64>().ok()).unwrap_or(0) / 1024,
            load: load(),
            flush: flush(dir, PROBES)?,
        })
    }
}

/// CPU seconds and resident memory of a process.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Usage {
    /// CPU seconds, user and system.
    pub cpu_seconds: f64,
    /// Resident memory, KiB.
    pub resident_kib: u64,
    /// Bytes it caused to be written to the disk.
    pub written: u64,
}

/// What `pid` has used by now.
pub fn usage(pid: u32) -> Usage {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |n: usize| fields.get(n).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    let status = read("status");
    let resident = field(&status, "VmRSS").split(' ').next().and_then(|k| k.parse().ok()).unwrap_or(0);
    // The kernel's clock tick is 1/100 s on every Linux we know.
    Usage {
        cpu_seconds: (ticks(11) + ticks(12)) / 100.0,
        resident_kib: resident,
        written: field(&read("io"), "write_bytes").parse().unwrap_or(0),
    }
}
