//! Helper programs, always bounded and never guessing: `qemu-img` with the format named, `mkfs`, `mkswap`.
//!
//! Each runs under `prlimit` and a clock, as an argument vector without a shell, and dies with the operation.

use crate::disks::Format;
use driver_api::{Error, ErrorKind, Op, Result, external};
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// Address space of one helper, bytes: enough for qemu-img's threads, too little for a bomb (CVE-2015-5162).
const ADDRESS_SPACE: u64 = 4 << 30;
const QUICK_SECONDS: u64 = 60;

/// Runs one helper to its end.
async fn run(program: &'static str, args: &[&OsStr], seconds: u64, op: &Op) -> Result<()> {
    op.check()?;
    external(program, child(program, args, seconds, op)).await
}

async fn child(program: &str, args: &[&OsStr], seconds: u64, op: &Op) -> Result<()> {
    let mut child = Command::new("prlimit")
        .arg(format!("--as={ADDRESS_SPACE}"))
        .arg(format!("--cpu={seconds}"))
        .arg("--core=0")
        .arg("--")
        .arg(program)
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| Error::internal("a helper program could not be started", format!("prlimit {program}: {e}")))?;
    let stderr = child.stderr.take();
    let work = async {
        let mut text = Vec::new();
        if let Some(pipe) = stderr {
            let _ = pipe.take(4_096).read_to_end(&mut text).await;
        }
        (child.wait().await, String::from_utf8_lossy(&text).trim().to_owned())
    };
    let limit = Duration::from_secs(seconds);
    let (status, text) = tokio::select! {
        biased;
        () = op.cancel.cancelled() => return Err(Error::new(ErrorKind::Cancelled, "the operation was cancelled")),
        r = tokio::time::timeout(limit, work) => r.map_err(|_| {
            Error::new(ErrorKind::TimedOut, "making a disk took too long").detail(format!("{program}: {seconds} s"))
        })?,
    };
    match status {
        Ok(s) if s.success() => Ok(()),
        Ok(s) => {
            let kind = if text.contains("No space left") { ErrorKind::NoCapacity } else { ErrorKind::Internal };
            Err(Error::new(kind, "a disk could not be made").detail(format!("{program}: {s}: {text}")))
        }
        Err(e) => Err(Error::internal("a disk could not be made", format!("{program}: {e}"))),
    }
}

/// Makes `path`, a file that only its owner reads, a layer of differences over `base`, `size` bytes large as the guest sees it.
pub(crate) async fn create_overlay(path: &Path, base: &Path, base_format: Format, size: u64, op: &Op) -> Result<()> {
    crate::disks::sparse(path, 0).await?;
    let size = size.to_string();
    let args: [&OsStr; 10] = [
        "create".as_ref(),
        "-q".as_ref(),
        "-f".as_ref(),
        "qcow2".as_ref(),
        "-F".as_ref(),
        base_format.as_str().as_ref(),
        "-b".as_ref(),
        base.as_os_str(),
        path.as_os_str(),
        size.as_ref(),
    ];
    run("qemu-img", &args, QUICK_SECONDS, op).await
}

/// Copies a disk of the format named into another, which only its owner reads, within `seconds`.
pub(crate) async fn convert(from: (&Path, &str), to: (&Path, Format), seconds: u64, op: &Op) -> Result<()> {
    crate::disks::sparse(to.0, 0).await?;
    let args: [&OsStr; 9] = [
        "convert".as_ref(),
        "-q".as_ref(),
        "-f".as_ref(),
        from.1.as_ref(),
        "-O".as_ref(),
        to.1.as_str().as_ref(),
        "--".as_ref(),
        from.0.as_os_str(),
        to.0.as_os_str(),
    ];
    run("qemu-img", &args, seconds, op).await
}

/// An ext4 file system over the whole of `path`, which is an empty file of the right size.
pub(crate) async fn format_ext4(path: &Path, label: &str, op: &Op) -> Result<()> {
    let args: [&OsStr; 5] = ["-q".as_ref(), "-F".as_ref(), "-L".as_ref(), label.as_ref(), path.as_os_str()];
    run("mkfs.ext4", &args, QUICK_SECONDS, op).await
}

/// Swap space over the whole of `path`.
pub(crate) async fn format_swap(path: &Path, op: &Op) -> Result<()> {
    run("mkswap", &[path.as_os_str()], QUICK_SECONDS, op).await
}
