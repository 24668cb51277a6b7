//! Network namespaces: making them, removing them, and doing something inside one.

use crate::command::ip_netns;
use crate::{Error, Result};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::path::PathBuf;

/// Where `ip netns` keeps its names.
fn path(name: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(name)
}

/// Runs `work` on a thread of its own that has entered the namespace (`None`: stays in the machine's own).
/// A thread's namespace is its for good, so the thread ends with the work and is never one of the runtime's.
pub(crate) async fn within<T: Send + 'static>(
    ns: Option<&str>,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let file = match ns {
        None => None,
        Some(name) => Some(File::open(path(name)).map_err(|_| Error::NoNamespace(name.to_owned()))?),
    };
    let name = ns.unwrap_or_default().to_owned();
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("netns".to_owned())
        .spawn(move || {
            let entered = match file {
                None => Ok(()),
                Some(file) => setns(file, CloneFlags::CLONE_NEWNET)
                    .map_err(|e| Error::io(format!("cannot enter network namespace {name:?}"))(e.into())),
            };
            // Nobody waits for the answer when the caller was cancelled.
            let _ = send.send(entered.and_then(|()| work()));
        })
        .map_err(Error::io("cannot start a thread"))?;
    receive.await.map_err(|_| Error::io("a thread ended early")(std::io::ErrorKind::BrokenPipe.into()))?
}

/// Whether a namespace of this name is there and whole. A process that died between making the file and mounting
/// the namespace on it leaves a plain file.
pub(crate) fn is_whole(name: &str) -> bool {
    nix::sys::statfs::statfs(&path(name)).is_ok_and(|s| s.filesystem_type() == nix::sys::statfs::NSFS_MAGIC)
}

/// Makes a namespace if it is not there. Returns whether it was made.
pub(crate) async fn ensure(name: &str) -> Result<bool> {
    if is_whole(name) {
        return Ok(false);
    }
    remove(name).await?;
    ip_netns(&["add", name]).await?;
    Ok(true)
}

/// Removes a namespace; absent is fine.
pub(crate) async fn remove(name: &str) -> Result<()> {
    if is_whole(name) {
        return ip_netns(&["del", name]).await;
    }
    match tokio::fs::remove_file(path(name)).await {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io(format!("cannot remove the remains of network namespace {name:?}"))(e))
        }
        _ => Ok(()),
    }
}

/// Names of the machine's namespaces that begin with `prefix` and go on with the eleven digits of a network.
pub(crate) async fn list(prefix: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    let mut entries = match tokio::fs::read_dir("/run/netns").await {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(out),
        Err(e) => return Err(Error::io("cannot read /run/netns")(e)),
    };
    while let Some(entry) = entries.next_entry().await.map_err(Error::io("cannot read /run/netns"))? {
        let name = entry.file_name().to_string_lossy().into_owned();
        let rest = name.strip_prefix(prefix);
        if rest.is_some_and(|r| r.len() == 11 && r.bytes().all(|b| b.is_ascii_hexdigit())) {
            out.push(name);
        }
    }
    out.sort();
    Ok(out)
}
