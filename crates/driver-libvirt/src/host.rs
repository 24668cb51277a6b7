//! What every verb needs of a started driver: options, platform, connection, and how to wait.

use crate::error::from_rpc;
use crate::image_cache::Locks;
use crate::options::Options;
use crate::rpc::address::{Address, Endpoint};
use crate::rpc::calls::Domain;
use crate::rpc::client::Client;
use crate::{disks, domain_xml};
use driver_api::{Error, ErrorKind, HostContext, Op, Result, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedMutexGuard, broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// State of the connection to the daemon.
#[derive(Clone, Default)]
pub(crate) enum Link {
    /// No attempt has ended yet.
    #[default]
    Connecting,
    /// Usable.
    Up(Client),
    /// Not usable, and why; another attempt follows.
    Down(String),
}

/// A change of a guest that waits inside the driver listen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// It went off, or its state changed in some other way.
    State(Uuid),
    /// The machine was reset.
    Rebooted(Uuid),
}

/// A started driver.
pub(crate) struct Host {
    pub(crate) options: Options,
    pub(crate) address: Address,
    pub(crate) context: HostContext,
    /// Directory of guests' directories.
    pub(crate) dir: PathBuf,
    /// Cache mode of disks: `none` where the file system takes direct I/O.
    pub(crate) cache_mode: &'static str,
    pub(crate) locks: Locks,
    pub(crate) link: watch::Sender<Link>,
    pub(crate) changes: broadcast::Sender<Change>,
    pub(crate) stop: CancellationToken,
    /// The connection's task and those of consoles: each says goodbye to the daemon when `stop` fires.
    pub(crate) tasks: TaskTracker,
    turns: Mutex<BTreeMap<Uuid, Weak<tokio::sync::Mutex<()>>>>,
    known: Mutex<BTreeSet<Uuid>>,
    /// Domains whose damage was said.
    damaged: Mutex<BTreeSet<Uuid>>,
    started: Mutex<BTreeMap<Uuid, Timestamp>>,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    /// Prepares directories. Nothing is connected yet.
    pub(crate) async fn new(options: Options, address: Address, context: HostContext) -> Result<Host> {
        let dir = options.instances_dir.clone().unwrap_or_else(|| context.data_dir.join("instances"));
        disks::make_dir(&dir).await?;
        let probe = dir.clone();
        let direct = tokio::task::spawn_blocking(move || takes_direct_io(&probe)).await.unwrap_or(false);
        let host = Host {
            options,
            address,
            context,
            dir,
            cache_mode: if direct { "none" } else { "writeback" },
            locks: Locks::default(),
            link: watch::Sender::new(Link::Connecting),
            changes: broadcast::Sender::new(256),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
            turns: Mutex::default(),
            known: Mutex::default(),
            damaged: Mutex::default(),
            started: Mutex::default(),
        };
        disks::make_dir(&host.base_dir()).await?;
        disks::sweep(&host).await?;
        Ok(host)
    }

    /// Directory of cached images.
    pub(crate) fn base_dir(&self) -> PathBuf {
        self.dir.join("_base")
    }

    /// The connection.
    ///
    /// # Errors
    /// `Unreachable`, with the reason of the last failure.
    pub(crate) fn client(&self) -> Result<Client> {
        let why = match &*self.link.borrow() {
            Link::Up(client) if !client.closed().is_cancelled() => return Ok(client.clone()),
            Link::Up(_) => "the connection was lost".to_owned(),
            Link::Down(why) => why.clone(),
            Link::Connecting => "the first connection is being made".to_owned(),
        };
        Err(Error::new(ErrorKind::Unreachable, "the hypervisor is not reachable").detail(why))
    }

    /// Whether the daemon shares this machine's memory and files.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self.address.endpoint, Endpoint::Unix(_))
    }

    /// The domain of a guest of ours, if there is one. A domain of that identity that somebody else made is not ours.
    pub(crate) async fn find(&self, client: &Client, id: Uuid) -> Result<Option<(Domain, domain_xml::Meta)>> {
        let Some(domain) = client.lookup(id).await.map_err(from_rpc)? else { return Ok(None) };
        Ok(self.meta(client, &domain).await?.map(|meta| (domain, meta)))
    }

    /// What a domain's description says of it, if it is ours. One whose metadata was lost or does not read is known by
    /// its disks, which lie here under its identity; it is defined anew, and whole again, at its next start. Whatever is
    /// wrong with one domain is said once and is no failure of the others.
    pub(crate) async fn meta(&self, client: &Client, domain: &Domain) -> Result<Option<domain_xml::Meta>> {
        let damage = match client.metadata(domain, domain_xml::NAMESPACE).await {
            Ok(Some(xml)) => match domain_xml::parse_meta(&xml) {
                Some(meta) => {
                    lock(&self.damaged).remove(&domain.uuid);
                    return Ok(Some(meta).filter(|m| m.host == self.context.host));
                }
                None => "its metadata does not read".to_owned(),
            },
            Ok(None) => "it has no metadata of ours".to_owned(),
            // It went away between two calls.
            Err(e) if e.is(crate::rpc::code::NO_DOMAIN) => return Ok(None),
            Err(e @ crate::rpc::Error::Remote(_)) => format!("its metadata cannot be asked for: {e}"),
            Err(e) => return Err(from_rpc(e)),
        };
        let ours = disks::has_record(&disks::dir_of(self, domain.uuid)).await;
        let looks_like_ours = ours || domain.name.starts_with(domain_xml::NAME_PREFIX);
        if looks_like_ours && lock(&self.damaged).insert(domain.uuid) {
            let (host, name, instance) = (&self.context.host, &domain.name, domain.uuid);
            if ours {
                tracing::warn!(host, domain = name, %instance, damage, "a damaged guest; its disks here say that it is ours");
            } else {
                tracing::warn!(host, domain = name, %instance, damage, "a domain that is called like ours and is not; it is left alone");
            }
        }
        Ok(ours.then(|| domain_xml::Meta {
            host: self.context.host.clone(),
            generation: 0,
            project: String::new(),
            root_device: None,
        }))
    }

    /// As [`Host::find`], failing where there is none.
    ///
    /// # Errors
    /// `NotFound`, `Unreachable`.
    pub(crate) async fn must_find(&self, client: &Client, id: Uuid) -> Result<(Domain, domain_xml::Meta)> {
        self.find(client, id).await?.ok_or_else(|| Error::no_instance(id))
    }

    /// Runs `work` until it ends, the operation is cancelled or its deadline passes.
    pub(crate) async fn bounded<T>(&self, op: &Op, work: impl Future<Output = Result<T>>) -> Result<T> {
        op.check()?;
        let left = op.deadline.map(|d| d.since(self.context.clock.steady()));
        tokio::select! {
            biased;
            () = op.cancel.cancelled() => Err(Error::new(ErrorKind::Cancelled, "the operation was cancelled")),
            () = sleep_or_forever(left) => Err(Error::new(ErrorKind::TimedOut, "the operation took too long")),
            r = work => r,
        }
    }

    /// Waits for this guest's turn. One change at a time a guest: the platform sees to it, but a host agent that died may
    /// have left its last operation running. Wait for it inside [`Host::bounded`].
    pub(crate) async fn turn(&self, id: Uuid) -> OwnedMutexGuard<()> {
        let mutex = {
            let mut turns = lock(&self.turns);
            match turns.get(&id).and_then(Weak::upgrade) {
                Some(mutex) => mutex,
                None => {
                    turns.retain(|_, m| m.strong_count() > 0);
                    let mutex = Arc::new(tokio::sync::Mutex::new(()));
                    turns.insert(id, Arc::downgrade(&mutex));
                    mutex
                }
            }
        };
        mutex.lock_owned().await
    }

    /// Waits for the next change inside libvirt, or for `tick`, whichever is first: events may be lost, time is not.
    pub(crate) async fn next_change(changes: &mut broadcast::Receiver<Change>, tick: Duration) -> Option<Change> {
        match tokio::time::timeout(tick, changes.recv()).await {
            Ok(Ok(change)) => Some(change),
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Remembers that `id` is a guest of ours, so that its events are passed on.
    pub(crate) fn learn(&self, id: Uuid) {
        lock(&self.known).insert(id);
    }
    /// Forgets a guest.
    pub(crate) fn forget(&self, id: Uuid) {
        lock(&self.known).remove(&id);
        lock(&self.damaged).remove(&id);
        lock(&self.started).remove(&id);
    }
    /// Whether `id` is a guest of ours.
    pub(crate) fn knows(&self, id: Uuid) -> bool {
        lock(&self.known).contains(&id)
    }
    /// Remembers when a guest started, or that it went off.
    pub(crate) fn set_started(&self, id: Uuid, at: Option<Timestamp>) {
        let mut started = lock(&self.started);
        match at {
            Some(at) => started.insert(id, at),
            None => started.remove(&id),
        };
    }
    /// When a guest started, if this process saw it.
    pub(crate) fn started_at(&self, id: Uuid) -> Option<Timestamp> {
        lock(&self.started).get(&id).copied()
    }
}

async fn sleep_or_forever(limit: Option<Duration>) {
    match limit {
        Some(d) => tokio::time::sleep(d).await,
        None => std::future::pending().await,
    }
}

/// Whether files in `dir` can be opened for direct I/O. Those on tmpfs, on older kernels, cannot.
fn takes_direct_io(dir: &std::path::Path) -> bool {
    use rustix::fs::{Mode, OFlags};
    let path = dir.join(format!(".direct-{}", std::process::id()));
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    let opened = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).is_ok();
    let _ = std::fs::remove_file(&path);
    opened
}
