//! `kilonova up`: configuration, data directory, database, cloud, listener, and what the newcomer is told.

use crate::cloud::{Cloud, Ingredients};
use crate::clouds_yaml::{self, Entry};
use crate::config::{ComputeHost, Config};
use crate::datadir::{self, DataDir};
use crate::listener;
use clap::Args;
use cli::{CloudFile, Output, Style};
use model::{Env, Secret};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;
use store::{SqliteMode, Store};
use tokio::net::TcpListener;
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
    /// Address and port to serve on; port 0 takes a free one.
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
    /// `uid:gid:home` of the user to whom clouds.yaml and the secrets belong, where root runs this for somebody.
    #[arg(long, hide = true)]
    pub owner: Option<String>,
    /// JSON for programs (the global `--json`).
    #[arg(skip)]
    pub json: bool,
}

/// Who owns what is left in a home directory.
struct Owner {
    uid: nix::unistd::Uid,
    gid: nix::unistd::Gid,
    home: PathBuf,
}

impl Owner {
    fn parse(text: &str) -> Result<Owner, String> {
        let mut parts = text.splitn(3, ':');
        let number = |p: Option<&str>| p.and_then(|p| p.parse::<u32>().ok());
        match (number(parts.next()), number(parts.next()), parts.next()) {
            (Some(uid), Some(gid), Some(home)) => {
                Ok(Owner { uid: uid.into(), gid: gid.into(), home: PathBuf::from(home) })
            }
            _ => Err(format!("--owner {text}: use uid:gid:home")),
        }
    }
    fn current() -> Owner {
        let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        Owner { uid: nix::unistd::geteuid(), gid: nix::unistd::getegid(), home }
    }
    fn give(&self, path: &Path) {
        if nix::unistd::geteuid().is_root() && path.exists() {
            let _ = nix::unistd::chown(path, Some(self.uid), Some(self.gid));
        }
    }
}

/// The configuration: file, then flags, then what is found.
fn configuration(o: &Options) -> Result<Config, String> {
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
    config.check().map_err(|e| e.to_string())?;
    Ok(config)
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
        return named
            .iter()
            .map(|d| {
                drivers::find(d).map_err(|e| e.to_string())?;
                Ok(entry(d, if d == "libvirt" { machine.clone() } else { format!("{d}-1") }, options(d)))
            })
            .collect();
    }
    let json = serde_json::to_value(&libvirt).map_err(|e| e.to_string())?;
    let usable = drivers::find("libvirt").is_ok_and(|row| (row.probe)(&json).usable);
    if usable && nix::unistd::geteuid().is_root() {
        Ok(vec![entry("libvirt", machine, libvirt)])
    } else {
        Ok(vec![entry("fake", "fake-1".into(), toml::Table::new())])
    }
}

/// Opens the database that the configuration names.
fn open_store(config: &Config, data: &DataDir, ephemeral: bool) -> Result<Store, String> {
    let opened = if config.database != "sqlite" {
        Store::open_postgres(&config.database, config.database_connections)
    } else if ephemeral {
        Store::open_memory(SqliteMode::Threaded)
    } else {
        Store::open_sqlite(&data.join("kilonova.db"), SqliteMode::Threaded)
    };
    opened.map_err(|e| format!("database: {e}"))
}

/// Certificate of the listener, for addresses that are not loopback.
fn certificate(config: &Config, data: &DataDir) -> Result<Option<(tokio_rustls::TlsAcceptor, PathBuf)>, String> {
    let named = match (&config.tls.certificate, &config.tls.key) {
        (Some(c), Some(k)) => Some((c.clone(), k.clone())),
        (None, None) => None,
        _ => return Err("[tls] needs both certificate and key".into()),
    };
    if config.listen.ip().is_loopback() && named.is_none() {
        return Ok(None);
    }
    let (chain, key) = named.unwrap_or_else(|| (data.join("tls-certificate.pem"), data.join("tls-key.pem")));
    if !chain.exists() && config.tls.certificate.is_none() {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), config.listen.ip().to_string()];
        names.extend(nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok()));
        let made = listener::self_signed(names)?;
        let write = |p: &Path, t: &str| clouds_yaml::private(p, t).map_err(|e| format!("{}: {e}", p.display()));
        write(&key, &made.key)?;
        write(&chain, &made.chain)?;
    }
    let acceptor = listener::acceptor(&listener::read_certificate(&chain, &key)?)?;
    Ok(Some((acceptor, chain)))
}

/// Serves until a signal.
/// # Errors
/// What kept it from starting, for people.
pub async fn run(o: &Options) -> Result<(), String> {
    let started = Instant::now();
    let config = configuration(o)?;
    let env = Env::system();
    let path = match (&o.data_dir, o.ephemeral) {
        (_, true) => std::env::temp_dir().join(format!("kilonova-{}", env.uuid().simple())),
        (Some(p), false) => p.clone(),
        (None, false) => datadir::default_path(),
    };
    let data = DataDir::open(&path, o.ephemeral).map_err(|e| format!("{}: {e}", path.display()))?;
    let owner = o.owner.as_deref().map_or_else(|| Ok(Owner::current()), Owner::parse)?;
    let password = data.secret("admin-password", &env.random).map_err(|e| format!("admin-password: {e}"))?;
    let tls = certificate(&config, &data)?;
    let store = open_store(&config, &data, o.ephemeral)?;
    let socket = TcpListener::bind(config.listen).await.map_err(|e| format!("cannot listen on {}: {e}", config.listen))?;
    let address = socket.local_addr().map_err(|e| e.to_string())?;
    let cloud = Cloud::start(Ingredients {
        config: &config,
        data: data.path(),
        store,
        env,
        admin_password: Secret::new(password.clone()),
        drivers: BTreeMap::new(),
        simulated: false,
    })
    .await
    .map_err(|e| e.to_string())?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let origin = config.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", reachable(address)));
    let (acceptor, ca) = tls.map_or((None, None), |(a, c)| (Some(a), Some(c)));
    let file = CloudFile {
        auth_url: format!("{}/identity/v3", origin.trim_end_matches('/')),
        region: config.region.clone(),
        ca,
        pid: std::process::id(),
    };
    let stop = CancellationToken::new();
    let serving = tokio::spawn(listener::serve(socket, acceptor, cloud.router.clone(), stop.clone()));
    announce(o, &config, &data, &file, &password, &owner, started)?;
    until_signal().await;
    stop.cancel();
    let _ = serving.await;
    cloud.stop().await;
    let _ = std::fs::remove_file(data.join("cloud.json"));
    Ok(())
}

/// An address that a client on this machine can dial.
fn reachable(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("127.0.0.1:{}", address.port()) } else { address.to_string() }
}

/// Writes what clients need, then says it.
fn announce(
    o: &Options,
    config: &Config,
    data: &DataDir,
    file: &CloudFile,
    password: &str,
    owner: &Owner,
    started: Instant,
) -> Result<(), String> {
    let text = serde_json::to_string(file).map_err(|e| e.to_string())?;
    let json = data.join("cloud.json");
    clouds_yaml::private(&json, &text).map_err(|e| format!("{}: {e}", json.display()))?;
    for f in [data.path().to_path_buf(), json, data.join("admin-password")] {
        owner.give(&f);
    }
    let out = Output::new(o.json);
    if !o.ephemeral && !o.no_clouds_yaml {
        let path = owner.home.join(".config/openstack/clouds.yaml");
        let entry = Entry {
            name: &o.cloud_name,
            auth_url: &file.auth_url,
            password,
            region: &file.region,
            ca: file.ca.as_deref(),
        };
        match clouds_yaml::write(&path, &entry) {
            Ok(_) => {
                for p in [path.parent().and_then(Path::parent), path.parent(), Some(path.as_path())].into_iter().flatten() {
                    owner.give(p);
                }
            }
            Err(e) => out.note(format_args!("clouds.yaml was not changed: {e}")),
        }
    }
    if o.json {
        out.json(&serde_json::json!({"auth_url": file.auth_url, "data_dir": data.path(), "pid": file.pid}));
    } else {
        banner(&out, o, config, data, file, started);
    }
    if let Some(fd) = o.ready_fd {
        tell(fd, &text)?;
    }
    Ok(())
}

fn banner(out: &Output, o: &Options, config: &Config, data: &DataDir, file: &CloudFile, started: Instant) {
    out.line(format_args!("kilonova serves {} after {} ms", file.auth_url, started.elapsed().as_millis()));
    out.line(format_args!("data in {}{}", data.path().display(), if o.ephemeral { " (ephemeral)" } else { "" }));
    let rows = crate::doctor::driver_checks(config)
        .into_iter()
        .map(|c| {
            let (style, word) = if c.finding == cli::Finding::Good { (Style::Good, "usable") } else { (Style::Warn, "no") };
            vec![c.what, out.paint(style, word), c.reason, c.fix.unwrap_or_default()]
        })
        .collect();
    out.table(&["driver", "here", "found", "to mend"], rows);
    let hosts: Vec<String> = config.compute.iter().map(|c| format!("{} ({})", c.name, c.driver)).collect();
    out.line(format_args!("hosts: {}", hosts.join(", ")));
    let dir = data.path().display();
    out.line("next:");
    if o.ephemeral || o.no_clouds_yaml {
        out.line(format_args!("  eval \"$(kilonova env --data-dir {dir})\""));
    } else {
        out.line(format_args!("  export OS_CLOUD={}              # or: eval \"$(kilonova env --data-dir {dir})\"", o.cloud_name));
    }
    out.line("  openstack server list");
    out.line(format_args!("  kilonova launch IMAGE --data-dir {dir}"));
}

/// One line to a descriptor that the parent holds.
fn tell(fd: i32, text: &str) -> Result<(), String> {
    // Opened anew through /proc, so that no descriptor number is taken on trust.
    let path = format!("/proc/self/fd/{fd}");
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).map_err(|e| format!("--ready-fd {fd}: {e}"))?;
    std::io::Write::write_all(&mut file, format!("{text}\n").as_bytes()).map_err(|e| format!("--ready-fd {fd}: {e}"))
}

async fn until_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else { return };
    tokio::select! {
        biased;
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
