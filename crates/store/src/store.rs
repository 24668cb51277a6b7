//! The handle everybody holds: hands units to the engine's threads and waits for their answers. Never blocks
//! an async thread (except inline, where running on the caller's thread is the point).

use crate::door::Door;
use crate::unit::{self, Unit};
use crate::{Error, Result, Tx, lite, migrations, pg};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::watch;

/// Where SQLite's statements run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SqliteMode {
    /// One writer thread with group commit, and reader threads.
    Threaded,
    /// On the caller's thread, one unit at a time: deterministic, for simulations under paused time.
    Inline,
}

/// A unit in a queue.
pub(crate) struct Job {
    pub(crate) unit: Box<dyn Unit>,
    /// Whether it may change rows (PostgreSQL's one queue carries both kinds).
    pub(crate) write: bool,
}

/// What happened so far.
#[derive(Default)]
pub(crate) struct Counters {
    commits: AtomicU64,
    flushes: AtomicU64,
    poke: OnceLock<SyncSender<()>>,
}

impl Counters {
    /// Units that write into the log of changes are told to `poke` from now on.
    pub(crate) fn poke_by(&self, poke: SyncSender<()>) {
        if self.poke.set(poke).is_err() {
            tracing::debug!("the log of changes has its teller already");
        }
    }
    /// A unit wrote into the log of changes. One that waits already stands for all.
    pub(crate) fn poke(&self) {
        if let Some(poke) = self.poke.get() {
            // Full: a poke waits. Disconnected: nobody tells any more, and the others look by themselves.
            let _ = poke.try_send(());
        }
    }
    /// One flush made `units` durable that changed rows.
    pub(crate) fn flushed(&self, units: u64) {
        if units > 0 {
            self.commits.fetch_add(units, Relaxed);
            self.flushes.fetch_add(1, Relaxed);
        }
    }
}

enum Engine {
    Inline(Box<Mutex<Tx>>),
    Threads { writes: Sender<Job>, reads: Sender<Job> },
}

struct Inner {
    /// `None` only while being dropped.
    engine: Option<Engine>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    counters: Arc<Counters>,
    /// Where PostgreSQL is, for who listens.
    url: Option<String>,
    ears: OnceLock<(watch::Receiver<u64>, Arc<AtomicBool>)>,
    /// Kept for its Drop: removes a private database after the threads have closed it.
    _private: Option<Private>,
}

/// What dies with the last clone of a store: a directory, or a test's schema.
pub(crate) type Private = Box<dyn std::any::Any + Send + Sync>;

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    pub(crate) door: Option<Arc<dyn Door>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("commits", &self.commits()).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens (or makes, readable by its owner only) the file and brings its schema up to date. Blocks briefly.
    pub fn open_sqlite(path: &Path, mode: SqliteMode) -> Result<Store> {
        lite_store(path, mode, true, None)
    }
    pub(crate) fn sqlite_unflushed(path: &Path) -> Result<Store> {
        lite_store(path, SqliteMode::Threaded, false, None)
    }
    /// A private database that is gone with the last clone; nothing is flushed to a disk.
    pub fn open_memory(mode: SqliteMode) -> Result<Store> {
        if mode == SqliteMode::Inline {
            return lite_store(Path::new(":memory:"), mode, false, None);
        }
        // Several connections to one in-memory database would lock each other out (no WAL there): a file in
        // memory-backed storage, where there is one, is the same thing with snapshots.
        let shm = Path::new("/dev/shm");
        let dir = tempfile::Builder::new()
            .prefix("kilonova-")
            .tempdir_in(shm)
            .or_else(|_| tempfile::Builder::new().prefix("kilonova-").tempdir())
            .map_err(|e| Error::Unavailable(format!("no place for a private database: {e}")))?;
        let path = dir.path().join("private.db");
        lite_store(&path, mode, false, Some(Box::new(dir)))
    }
    /// Connects to PostgreSQL with `connections` sessions, each on its own thread, and brings the schema up
    /// to date. Blocks until the server has answered.
    pub fn open_postgres(url: &str, connections: usize) -> Result<Store> {
        Store::postgres(url, connections, None)
    }
    pub(crate) fn postgres(url: &str, connections: usize, private: Option<Private>) -> Result<Store> {
        let counters = Arc::new(Counters::default());
        let (jobs, queue) = channel();
        let threads = pg::start(url, connections.max(1), queue, &counters)?;
        let engine = Engine::Threads { writes: jobs.clone(), reads: jobs };
        Ok(Store::assemble(engine, threads, counters, private, Some(url.to_owned())))
    }

    fn assemble(
        engine: Engine,
        threads: Vec<JoinHandle<()>>,
        counters: Arc<Counters>,
        private: Option<Private>,
        url: Option<String>,
    ) -> Store {
        let (threads, ears) = (Mutex::new(threads), OnceLock::new());
        let inner = Inner { engine: Some(engine), threads, counters, url, ears, _private: private };
        Store { inner: Arc::new(inner), door: None }
    }
    /// Grows when the log of changes may have: a hint to look at [`crate::changes::since`] now. `None` where there is no
    /// other controller (SQLite). From the first call on, this store's own units give others such hints.
    /// # Errors
    /// No threads.
    pub fn listen(&self) -> Result<Option<watch::Receiver<u64>>> {
        let Some(url) = &self.inner.url else { return Ok(None) };
        if let Some((grown, _)) = self.inner.ears.get() {
            return Ok(Some(grown.clone()));
        }
        let ears = pg::news::start(url, &self.inner.counters)?;
        self.inner.threads.lock().unwrap_or_else(PoisonError::into_inner).extend(ears.threads);
        let (grown, _) = self.inner.ears.get_or_init(|| (ears.grown, ears.stop));
        Ok(Some(grown.clone()))
    }

    /// One durable unit: when this returns `Ok`, what `work` did is on the disk; when it returns `Err`,
    /// nothing of it happened. (One exception: [`Error::Unavailable`] that says the outcome is unknown,
    /// after PostgreSQL was lost during COMMIT and did not come back.) `work` may run more than once.
    /// Dropping the future does not take the unit back.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.through(self.run(true, work)).await
    }
    /// Reads one snapshot; `work` must not change anything.
    pub async fn read<T: Send + 'static>(&self, work: impl FnMut(&mut Tx) -> Result<T> + Send + 'static) -> Result<T> {
        self.run(false, work).await
    }
    /// A database in memory with everything that is in this one, which must be inline.
    pub(crate) fn damage(&self, sql: &str) -> Result<()> {
        let Some(Engine::Inline(tx)) = &self.inner.engine else {
            return Err(Error::Unavailable("only an inline database is damaged".into()));
        };
        let mut tx = tx.lock().unwrap_or_else(PoisonError::into_inner);
        tx.start_unit();
        tx.batch("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON;")?;
        let done = tx.batch(sql);
        tx.start_unit();
        tx.batch("PRAGMA ignore_check_constraints = OFF; PRAGMA foreign_keys = ON;")?;
        done
    }
    pub(crate) fn copy(&self) -> Result<Store> {
        let Some(Engine::Inline(tx)) = &self.inner.engine else {
            return Err(Error::Unavailable("only an inline database is copied".into()));
        };
        let copy = lite::copy(&tx.lock().unwrap_or_else(PoisonError::into_inner))?;
        Ok(Store::assemble(Engine::Inline(Box::new(Mutex::new(copy))), Vec::new(), Arc::default(), None, None))
    }
    /// Units so far that were committed and changed rows.
    pub fn commits(&self) -> u64 {
        self.inner.counters.commits.load(Relaxed)
    }
    /// Flushes so far that made such units durable: fewer than [`Store::commits`] where units shared one.
    pub fn flushes(&self) -> u64 {
        self.inner.counters.flushes.load(Relaxed)
    }

    async fn run<T: Send + 'static>(
        &self,
        write: bool,
        work: impl FnMut(&mut Tx) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let closed = || Error::Unavailable("the store is closed".into());
        let (unit, answer) = match self.inner.engine.as_ref().ok_or_else(closed)? {
            Engine::Inline(tx) => {
                let mut tx = tx.lock().unwrap_or_else(PoisonError::into_inner);
                return lite::inline(&mut tx, write, &self.inner.counters, work);
            }
            Engine::Threads { writes, reads } => {
                let (unit, answer) = unit::unit(work);
                let queue = if write { writes } else { reads };
                (queue.send(Job { unit, write }), answer)
            }
        };
        unit.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Without senders the threads end after what is queued; the files are closed when this returns.
        self.engine = None;
        if let Some((_, stop)) = self.ears.get() {
            stop.store(true, Relaxed);
        }
        let own = std::thread::current().id();
        for thread in self.threads.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..) {
            if thread.thread().id() != own && thread.join().is_err() {
                tracing::error!("a database thread panicked");
            }
        }
    }
}

fn lite_store(path: &Path, mode: SqliteMode, durable: bool, private: Option<Private>) -> Result<Store> {
    if path != Path::new(":memory:") {
        make_file(path)?;
    }
    let mut writer = lite::open(path, lite::Role::Writer, durable)?;
    migrations::run(&mut writer)?;
    let counters = Arc::new(Counters::default());
    if mode == SqliteMode::Inline {
        return Ok(Store::assemble(Engine::Inline(Box::new(Mutex::new(writer))), Vec::new(), counters, private, None));
    }
    let (writes, write_queue) = channel();
    let (reads, read_queue) = channel();
    let mut threads = Vec::new();
    let counter = counters.clone();
    threads.push(spawn("store-writer", move || lite::write_loop(writer, &write_queue, &counter))?);
    threads.extend(readers(path.to_owned(), durable, read_queue)?);
    Ok(Store::assemble(Engine::Threads { writes, reads }, threads, counters, private, None))
}

fn readers(path: PathBuf, durable: bool, queue: Receiver<Job>) -> Result<Vec<JoinHandle<()>>> {
    let count = std::thread::available_parallelism().map_or(2, |n| n.get().clamp(2, 8));
    let queue = Arc::new(Mutex::new(queue));
    (0..count)
        .map(|_| {
            let reader = lite::open(&path, lite::Role::Reader, durable)?;
            let queue = queue.clone();
            spawn("store-reader", move || lite::read_loop(reader, &queue))
        })
        .collect()
}

pub(crate) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .map_err(|e| Error::Unavailable(format!("no thread for the database: {e}")))
}

/// Makes the file for its owner only before SQLite would make it for everybody (its journals take over the
/// mode), and flushes its directory entry.
fn make_file(path: &Path) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |e: std::io::Error| Error::Unavailable(format!("cannot open the database file: {e}"));
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    // Every time: a process that was killed here may have made the file without its name being on the disk.
    if let Some(dir) = path.parent() {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed)?;
    }
    Ok(())
}
