//! `kilonova up`: configuration, data directory, database, cloud and listener, in the order in which a failure leaves
//! nothing behind. What the newcomer is told is in [`crate::announce`].

use crate::announce::{self, Served};
use crate::cloud::{Cloud, Ingredients, wires_ports};
use crate::clouds_yaml;
use crate::config::{ComputeHost, Config};
use crate::datadir::{self, DataDir};
use crate::listener;
use crate::owner::Owner;
use crate::tls;
use clap::Args;
use cli::{CloudFile, Output};
use model::{Env, Secret};
use std::collections::BTreeMap;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;
use store::{SqliteMode, Store};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Options of `kilonova up`.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// Configuration file (TOML). Without one, the drivers found on this machine are used.
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where everything of this cloud lives (the global `--data-dir`).
    #[arg(skip)]
    pub data_dir: Option<PathBuf>,
    /// Keep nothing: data in a temporary directory that goes with the process, clouds.yaml untouched.
    #[arg(long)]
    pub ephemeral: bool,
    /// Use this driver only (may be given again), whatever else is found.
    #[arg(long)]
    pub driver: Vec<String>,
    /// Address and port to serve on; port 0 takes a free one. Other addresses than loopback ones speak TLS only.
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Write one line of JSON to this file descriptor when the cloud serves.
    #[arg(long)]
    pub ready_fd: Option<i32>,
    /// Name of the entry in clouds.yaml.
    #[arg(long, default_value = "kilonova")]
    pub cloud_name: String,
    /// Leave clouds.yaml alone.
    #[arg(long)]
    pub no_clouds_yaml: bool,
    /// Make the administrator's password again what the file admin-password says.
    #[arg(long)]
    pub reset_admin_password: bool,
    /// `uid:gid:home` of the user to whom clouds.yaml and the secrets belong, where root runs this for somebody.
    #[arg(long, hide = true)]
    pub owner: Option<String>,
    /// JSON for programs (the global `--json`).
    #[arg(skip)]
    pub json: bool,
}

/// What is known before anything is touched.
struct Plan {
    config: Config,
    /// Hosts of the configuration that need root, which we have not.
    left_out: Vec<ComputeHost>,
    owner: Owner,
    ready: Option<File>,
}

/// The configuration: file, then flags, then what is found.
fn plan(o: &Options) -> Result<Plan, String> {
    let mut config = match &o.config {
        Some(path) => Config::read(path).map_err(|e| e.to_string())?,
        None => Config::default(),
    };
    if let Some(l) = o.listen {
        config.listen = l;
    }
    if !o.driver.is_empty() {
        config.compute.retain(|c| o.driver.contains(&c.driver));
    }
    if config.compute.is_empty() {
        config.compute = found(&o.driver)?;
    }
    if o.ephemeral {
        // A cloud for one test run: quotas are there to be tested, not to be met by surprise.
        for name in ["instances", "cores", "ram"] {
            config.quota.entry(name.into()).or_insert(-1);
        }
    }
    config.check().map_err(|e| e.to_string())?;
    config.check_drivers().map_err(|e| e.to_string())?;
    clouds_yaml::check_name(&o.cloud_name)?;
    let left_out = if nix::unistd::geteuid().is_root() { Vec::new() } else { without_root(&mut config)? };
    Ok(Plan {
        config,
        left_out,
        owner: o.owner.as_deref().map_or_else(|| Ok(Owner::current()), Owner::parse)?,
        ready: o.ready_fd.map(descriptor).transpose()?,
    })
}

/// Takes out the hosts that only root can run.
fn without_root(config: &mut Config) -> Result<Vec<ComputeHost>, String> {
    let (out, kept) = std::mem::take(&mut config.compute).into_iter().partition(wires_ports);
    config.compute = kept;
    let out: Vec<ComputeHost> = out;
    if config.compute.is_empty() {
        let names: Vec<String> = out.iter().map(|c| format!("{} ({})", c.name, c.driver)).collect();
        return Err(format!(
            "{} needs root for its guests' networks: run it with sudo, or add --driver fake for simulated hosts",
            names.join(", ")
        ));
    }
    Ok(out)
}

/// Hosts by what is found: libvirt if it is usable, else simulated ones; or exactly the drivers named.
fn found(named: &[String]) -> Result<Vec<ComputeHost>, String> {
    let entry = |driver: &str, name: String, options: toml::Table| ComputeHost {
        name,
        driver: driver.to_owned(),
        netns: None,
        vtep: None,
        networking: None,
        physical_networks: BTreeMap::new(),
        options,
    };
    let machine = nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok()).filter(|h| !h.is_empty());
    let machine = machine.unwrap_or_else(|| "localhost".into());
    let mut libvirt = toml::Table::new();
    // Never guessed: KVM can look present and not work. The emulator works everywhere.
    libvirt.insert("virt_type".into(), "qemu".into());
    let options = |driver: &str| if driver == "libvirt" { libvirt.clone() } else { toml::Table::new() };
    if !named.is_empty() {
        let host = |d: &String| {
            drivers::find(d).map_err(|e| e.to_string())?;
            Ok(entry(d, if d == "libvirt" { machine.clone() } else { format!("{d}-1") }, options(d)))
        };
        return named.iter().map(host).collect();
    }
    let json = serde_json::to_value(&libvirt).map_err(|e| e.to_string())?;
    let usable = drivers::find("libvirt").is_ok_and(|row| (row.probe)(&json).usable);
    if usable && nix::unistd::geteuid().is_root() {
        Ok(vec![entry("libvirt", machine, libvirt)])
    } else {
        Ok(vec![entry("fake", "fake-1".into(), toml::Table::new())])
    }
}

/// The parent's descriptor, as one of our own. Before anything else: a cloud whose parent waits in vain is worse than
/// none.
fn descriptor(fd: i32) -> Result<File, String> {
    use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
    let opened = std::fs::OpenOptions::new().write(true).open(format!("/proc/self/fd/{fd}"));
    opened.or_else(|e| {
        if e.kind() == std::io::ErrorKind::NotFound {
            return Err(format!("--ready-fd {fd}: the parent has not opened it"));
        }
        // A socket, or a pipe of another user (of root, who started us as somebody else), cannot be opened anew.
        let copy = pidfd_open(getpid(), PidfdFlags::empty()).and_then(|me| pidfd_getfd(me, fd, PidfdGetfdFlags::empty()));
        copy.map(File::from).map_err(|_| format!("--ready-fd {fd}: cannot be written to: {e}"))
    })
}

/// As many descriptors as this process may have: every connection and every console is one. How many they are.
fn raise_descriptors() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let wanted = hard.min(1 << 16);
    if soft < wanted && setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).is_ok() { wanted } else { soft }
}

/// Opens the database that the configuration names.
fn open_store(config: &Config, data: &DataDir, ephemeral: bool) -> Result<Store, String> {
    if config.database != "sqlite" {
        let opened = Store::open_postgres(&config.database, config.database_connections);
        return opened.map_err(|e| format!("database: {e}; look at `database` in the configuration, and whether it runs"));
    }
    let path = data.join("kilonova.db");
    let opened =
        if ephemeral { Store::open_memory(SqliteMode::Threaded) } else { Store::open_sqlite(&path, SqliteMode::Threaded) };
    opened.map_err(|e| format!("database {}: {e}", path.display()))
}

/// The data directory, once nobody else has it and its address is ours.
async fn own(o: &Options, config: &Config, env: &Env) -> Result<(DataDir, TcpListener), String> {
    let path = match (&o.data_dir, o.ephemeral) {
        (_, true) => {
            datadir::sweep(&std::env::temp_dir());
            std::env::temp_dir().join(format!("{}{}", datadir::EPHEMERAL, env.uuid().simple()))
        }
        (Some(p), false) => p.clone(),
        (None, false) => cli::own_default(),
    };
    let open = || DataDir::open(&path, o.ephemeral).map_err(|e| match e.kind() {
        std::io::ErrorKind::PermissionDenied => format!("{}: {e}; name another --data-dir", path.display()),
        std::io::ErrorKind::Other => e.to_string(),
        _ => format!("{}: {e}", path.display()),
    });
    // Who starts a cloud twice shall hear that, not that its port is taken; who has a wrong address leaves no directory.
    let early = if path.exists() { Some(open()?) } else { None };
    let socket = TcpListener::bind(config.listen).await.map_err(|e| match e.kind() {
        std::io::ErrorKind::AddrInUse => format!("cannot listen on {}: {e}; use another --listen (port 0 takes a free one)", config.listen),
        _ => format!("cannot listen on {}: {e}", config.listen),
    })?;
    Ok((early.map_or_else(open, Ok)?, socket))
}

/// Serves until a signal. To be run on the program's main thread and not on a worker: what it reads and writes before
/// the cloud serves holds nobody up.
/// # Errors
/// What kept it from starting, for people.
pub async fn run(o: &Options) -> Result<(), String> {
    let started = Instant::now();
    let Plan { config, left_out, owner, ready } = plan(o)?;
    // A signal during the start is remembered, and ends the cloud in order once it stands.
    let mut signals = Signals::listen().map_err(|e| format!("signals: {e}"))?;
    let descriptors = raise_descriptors();
    let env = Env::system();
    let (mut data, socket) = own(o, &config, &env).await?;
    let address = socket.local_addr().map_err(|e| e.to_string())?;
    let known = config.database == "sqlite" && data.join("kilonova.db").exists();
    let (password, made) = data.secret("admin-password", &env.random).map_err(|e| format!("admin-password: {e}"))?;
    let tls = tls::prepare(&config, &data)?;
    let store = open_store(&config, &data, o.ephemeral)?;
    // A database elsewhere remembers this password from its first moment.
    if config.database != "sqlite" {
        data.keep();
    }
    let cloud = Cloud::start(Ingredients {
        config: &config,
        data: data.path(),
        store,
        env,
        admin_password: Secret::new(password.clone()),
        drivers: BTreeMap::new(),
        simulated: false,
        link: None,
        probe: None,
    })
    .await
    .map_err(|e| e.to_string())?;
    data.keep();
    // Whoever removes the file means a new password; the directory's owner may.
    if o.reset_admin_password || (made && known) {
        cloud.identity.reset_password("admin", &Secret::new(password.clone())).await.map_err(|e| format!("admin-password: {e}"))?;
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    let origin = config.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", reachable(address)));
    let (acceptor, ca) = tls.map_or((None, None), |t| (Some(t.acceptor), t.ca));
    let file = CloudFile {
        auth_url: format!("{}/identity/v3", origin.trim_end_matches('/')),
        region: config.region.clone(),
        ca,
        pid: std::process::id(),
    };
    let stop = CancellationToken::new();
    let limits = config.listener_limits(descriptors);
    let serving = tokio::spawn(listener::serve(socket, acceptor, cloud.router.clone(), limits, stop.clone()));
    let served = Served { options: o, config: &config, left_out: &left_out, data: data.path(), file: &file, owner: &owner, started };
    let told = announce::tell(&served, &password, ready);
    if told.is_ok() {
        signals.first().await;
        Output::new(o.json).note("kilonova stops");
    }
    stop.cancel();
    let _ = serving.await;
    cloud.stop().await;
    let _ = std::fs::remove_file(data.join("cloud.json"));
    told
}

/// An address that a client on this machine can dial.
fn reachable(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(a) if a.ip().is_unspecified() => format!("127.0.0.1:{}", a.port()),
        SocketAddr::V6(a) if a.ip().is_unspecified() => format!("[::1]:{}", a.port()),
        other => other.to_string(),
    }
}

/// What ends a cloud: `kill`, Ctrl-C, the terminal closed.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        let [term, int, hang_up] = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
        Ok(Signals([term?, int?, hang_up?]))
    }
    async fn first(&mut self) {
        let [term, int, hang_up] = &mut self.0;
        tokio::select! {
            biased;
            _ = term.recv() => {}
            _ = int.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

/// The path of the running program as it was called, where a shell would not find it by its name.
pub(crate) fn program() -> String {
    let called = std::env::args().next().unwrap_or_default();
    if Path::new(&called).components().count() > 1 { called } else { "kilonova".into() }
}
