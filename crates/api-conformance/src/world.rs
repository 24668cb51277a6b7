//! What outlives a process: directory, database, simulated machines, time and randomness.

use crate::TestCluster;
use driver_api::Clock;
use driver_fake::Machine;
use messaging::Link;
use model::{Env, Random, Timestamp};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use store::testing::TestEngine;
use store::{Door, SqliteMode, Store};

/// Noon of a day, where virtual time begins (µs since the epoch).
const NOON: i64 = 1_800_000_000_000_000;

/// Which database, and with it which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    /// SQLite on the calling thread, in virtual time: deterministic. The runtime must be paused.
    Inline,
    /// SQLite with its writer and reader threads, in real time.
    Threaded,
    /// The PostgreSQL that `lab/postgresql/up` starts, in real time.
    Postgres,
}

/// A simulated host.
#[derive(Clone)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Options of its driver.
    pub options: driver_fake::Options,
    /// The machine behind the driver: the hand that pulls the plug.
    pub machine: Arc<Machine>,
}

impl Host {
    /// A host with these options.
    pub fn new(name: &str, options: driver_fake::Options) -> Host {
        Host { name: name.into(), options, machine: Machine::new() }
    }
}

/// What a world is made of.
#[derive(Clone)]
pub struct Shape {
    /// Its hosts.
    pub hosts: Vec<Host>,
    /// Its database.
    pub database: Database,
    /// Start of its randomness.
    pub seed: u64,
    /// Default quotas where they differ.
    pub quota: BTreeMap<String, i64>,
    /// Validity of tokens, seconds.
    pub token_seconds: u64,
    /// The database is a file that the next life finds; else it is gone with its life.
    pub keep: bool,
    /// With `keep`: it is kept in memory, which is as true to a process that is killed (not to a power cut) and costs
    /// no flush. Only for [`Database::Inline`].
    pub in_memory: bool,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape {
            hosts: vec![Host::new("h1", driver_fake::Options::default())],
            database: Database::Inline,
            seed: 1,
            quota: BTreeMap::new(),
            token_seconds: 7 * 24 * 3600,
            keep: false,
            in_memory: false,
        }
    }
}

impl Shape {
    /// One host per set of options, named `h1`, `h2`, …
    pub fn of(hosts: impl IntoIterator<Item = driver_fake::Options>) -> Shape {
        let hosts = hosts.into_iter().enumerate().map(|(n, o)| Host::new(&format!("h{}", n + 1), o)).collect();
        Shape { hosts, ..Shape::default() }
    }
}

/// What outlives a process.
pub struct World {
    pub(crate) shape: Mutex<Shape>,
    pub(crate) dir: tempfile::TempDir,
    postgres: Option<TestEngine>,
    pub(crate) now: AtomicI64,
    lives: AtomicU64,
    /// A database in memory that outlives its process, where the shape keeps it there.
    pub(crate) memory: Mutex<Option<Store>>,
    probe: Mutex<Option<conductor::Probe>>,
    door: Mutex<Option<Arc<dyn Door>>>,
    link: Mutex<Option<Arc<dyn Link>>>,
}

impl World {
    /// A world before its first life.
    /// # Panics
    /// If there is no place for it, or PostgreSQL is asked for and not there (the message says what to do).
    pub fn new(shape: Shape) -> Arc<World> {
        let postgres = (shape.database == Database::Postgres).then(|| store::testing::postgres(8));
        // What need not survive a power cut need not be flushed to a disk.
        let shm = std::path::Path::new("/dev/shm");
        let place = if shape.in_memory && shm.is_dir() { shm.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::tempdir_in(place).expect("a temporary directory can be made");
        let (now, lives) = (AtomicI64::new(NOON), AtomicU64::new(0));
        let (memory, probe, door) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(World { shape: Mutex::new(shape), dir, postgres, now, lives, memory, probe, door, link: Mutex::default() })
    }
    /// Has `probe` asked at every moment of every flow, from the next life on.
    pub fn set_probe(&self, probe: conductor::Probe) {
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(probe);
    }
    pub(crate) fn probe(&self) -> Option<conductor::Probe> {
        self.probe.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Has every durable write of the cloud pass through `door`, from the next life on.
    pub fn set_door(&self, door: Arc<dyn Door>) {
        *self.door.lock().unwrap_or_else(PoisonError::into_inner) = Some(door);
    }
    /// Has every message between the control plane and the hosts pass over `link`, from the next life on. Such a life
    /// does not wait for its hosts when it begins: their word may be lost.
    pub fn set_link(&self, link: Arc<dyn Link>) {
        *self.link.lock().unwrap_or_else(PoisonError::into_inner) = Some(link);
    }
    pub(crate) fn link(&self) -> Option<Arc<dyn Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Its directory: the files of images and hosts.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }
    /// The database in memory that outlives its lives, if it is kept there.
    pub fn kept(&self) -> Option<Store> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// What it is made of now.
    pub fn shape(&self) -> Shape {
        self.shape.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// Other options for a host, from its next life on.
    /// # Panics
    /// If there is no such host.
    pub fn set_options(&self, host: &str, options: driver_fake::Options) {
        let mut shape = self.shape.lock().unwrap_or_else(PoisonError::into_inner);
        let row = shape.hosts.iter_mut().find(|h| h.name == host);
        row.unwrap_or_else(|| panic!("no host {host}")).options = options;
    }
    /// Another machine under a host's name, from the next life on: guests are there again only if they were kept in
    /// files (`persist`).
    /// # Panics
    /// If there is no such host.
    pub fn replace_machine(&self, host: &str) {
        let mut shape = self.shape.lock().unwrap_or_else(PoisonError::into_inner);
        let row = shape.hosts.iter_mut().find(|h| h.name == host);
        row.unwrap_or_else(|| panic!("no host {host}")).machine = Machine::new();
    }
    /// The machine of a host.
    /// # Panics
    /// If there is no such host.
    pub fn machine(&self, host: &str) -> Arc<Machine> {
        let shape = self.shape();
        let row = shape.hosts.iter().find(|h| h.name == host);
        row.unwrap_or_else(|| panic!("no host {host}")).machine.clone()
    }
    /// One life: `run` on a runtime of its own, which is dropped with everything in it when `run` is over, as the
    /// threads of a killed process are. What `run` did not end in order is cut off where it stands.
    /// # Panics
    /// If no runtime can be made.
    pub fn life<T, F: Future<Output = T>>(self: &Arc<World>, run: impl FnOnce(TestCluster) -> F) -> T {
        let virtual_time = self.shape().database == Database::Inline;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(virtual_time)
            .build()
            .expect("a runtime can be made");
        let out = runtime.block_on(async { run(TestCluster::born(self.clone()).await).await });
        runtime.shutdown_timeout(std::time::Duration::from_secs(10));
        out
    }

    /// Time and randomness of a new life: time goes on, randomness does not repeat.
    pub(crate) fn env(&self) -> Env {
        let shape = self.shape();
        let clock = match shape.database {
            Database::Inline => Clock::virtual_from(Timestamp(self.now.load(SeqCst))),
            Database::Threaded | Database::Postgres => Clock::system(),
        };
        let life = self.lives.fetch_add(1, SeqCst);
        Env { clock, random: Random::seeded(shape.seed.wrapping_add(life.wrapping_mul(0x5851_f42d_4c95_7f2d))) }
    }
    pub(crate) fn note_time(&self, now: Timestamp) {
        self.now.store(now.0 + 1_000_000, SeqCst);
    }
    /// What the configuration says of the database, and the database, open.
    pub(crate) fn store(&self) -> (String, Store) {
        let shape = self.shape();
        let mode = if shape.database == Database::Inline { SqliteMode::Inline } else { SqliteMode::Threaded };
        let (url, store) = match &self.postgres {
            Some(engine) => (engine.url.clone().unwrap_or_default(), engine.store.clone()),
            None => {
                let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                let opened = match (&*memory, shape.keep, shape.in_memory) {
                    (Some(store), ..) => Ok(store.clone()),
                    (None, true, false) => Store::open_sqlite(&self.dir.path().join("kilonova.db"), mode),
                    _ => Store::open_memory(mode),
                };
                let store = opened.expect("the database opens");
                if shape.keep && shape.in_memory {
                    *memory = Some(store.clone());
                }
                ("sqlite".into(), store)
            }
        };
        match self.door.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            Some(door) => (url, store.behind(door)),
            None => (url, store),
        }
    }
}
