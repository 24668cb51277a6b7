//! `kilonova launch IMAGE`: image, keypair, boot and wait in one go.

use crate::{Error, Output};
use clap::{Args, ValueEnum};
use client::{Cloud, NewImage, NewServer, Server};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Wait {
    /// Nothing.
    None,
    /// Status ACTIVE.
    Active,
    /// The guest accepts TCP on its address.
    Answers,
}

/// Options of `launch`.
#[derive(Debug, Clone, Args)]
pub struct LaunchOptions {
    /// Name or id of an image, or a file to upload (format by its ending: .qcow2, .raw, .img is raw).
    pub image: String,
    /// Name of the server.
    #[arg(long, default_value = "first")]
    pub name: String,
    /// Flavor, by name or id; the smallest if not given.
    #[arg(long)]
    pub flavor: Option<String>,
    /// Network, by name or id; the cloud's choice if not given.
    #[arg(long)]
    pub network: Option<String>,
    /// Public key file to put into the guest.
    #[arg(long)]
    pub key: Option<PathBuf>,
    /// Attach a config drive.
    #[arg(long)]
    pub config_drive: bool,
    /// What to wait for; if not given, that it answers, or on a simulated host that it is ACTIVE.
    #[arg(long, value_enum)]
    pub wait: Option<Wait>,
    /// Port that must accept a connection.
    #[arg(long, default_value_t = 22)]
    pub port: u16,
    /// Seconds to wait.
    #[arg(long, default_value_t = 300)]
    pub timeout: u64,
}

fn local(text: impl Into<String>) -> Error {
    Error::Local(text.into())
}

pub(crate) async fn run(out: &Output, cloud: &Cloud, o: &LaunchOptions) -> Result<(), Error> {
    let started = Instant::now();
    let flavor = flavor(cloud, o.flavor.as_deref()).await?;
    let networks = match &o.network {
        None => None,
        Some(name) => {
            let all = cloud.networks().await?;
            let found = all.iter().find(|n| n.name == *name || n.id.to_string() == *name);
            let names = || all.iter().map(|n| n.name.as_str()).collect::<Vec<_>>().join(", ");
            Some(vec![found.ok_or_else(|| local(format!("no network is called {name:?}; there are: {}", names())))?.id])
        }
    };
    let key_name = match &o.key {
        None => None,
        Some(path) => {
            let name = format!("{}-key", o.name);
            cloud.import_keypair(&name, &public_key(path)?).await?;
            Some(name)
        }
    };
    // The longest last: what is wrong with the rest is known before gigabytes are sent.
    let image = image(out, cloud, &o.image).await?;
    let new = NewServer {
        name: o.name.clone(),
        flavor,
        image: Some(image),
        networks,
        key_name,
        user_data: None,
        config_drive: o.config_drive,
    };
    let id = cloud.create_server(&new).await?;
    let deadline = started + Duration::from_secs(o.timeout);
    let server =
        if o.wait == Some(Wait::None) { cloud.server(id).await? } else { active(out, cloud, id, started, deadline).await? };
    let address = server.addresses.values().flatten().map(|a| a.addr.clone()).next();
    let answering = match o.wait {
        Some(w) => w == Wait::Answers,
        None => !simulated(cloud, &server).await,
    };
    if answering {
        answers(out, address.as_deref(), o.port, started, deadline).await?;
    }
    let seconds = started.elapsed().as_secs_f64();
    if out.is_json() {
        out.json(&json!({"id": id, "name": server.name, "status": server.status, "address": address, "host": server.host,
            "seconds": (seconds * 10.0).round() / 10.0}));
    } else {
        let at = address.unwrap_or_else(|| "no address".into());
        out.line(format_args!("{} is {} at {at} on host {} after {seconds:.1} s", server.name, server.status, server.host.unwrap_or_default()));
    }
    Ok(())
}

/// The key of a file, which must be the public half.
fn public_key(path: &Path) -> Result<String, Error> {
    let key = std::fs::read_to_string(path).map_err(|e| local(format!("cannot read {}: {e}", path.display())))?;
    if key.contains("PRIVATE KEY") {
        return Err(local(format!("{} is a private key, which nobody needs to see: name its .pub file", path.display())));
    }
    Ok(key.trim().to_owned())
}

/// Its host is a simulated one, whose guests have no network that could answer. Only administrators can see that.
async fn simulated(cloud: &Cloud, server: &Server) -> bool {
    let hypervisors = cloud.hypervisors().await.unwrap_or_default();
    let of_host = |h: &&client::Hypervisor| Some(&h.hypervisor_hostname) == server.host.as_ref();
    hypervisors.iter().find(of_host).is_some_and(|h| h.hypervisor_type == "fake")
}

/// The image of that name or id, or the file uploaded under its own name.
async fn image(out: &Output, cloud: &Cloud, name: &str) -> Result<Uuid, Error> {
    let images = cloud.images().await?;
    let by_name = |n: &str| images.iter().find(|i| i.name.as_deref() == Some(n) || i.id.to_string() == n).map(|i| i.id);
    if let Some(id) = by_name(name) {
        return Ok(id);
    }
    let path = Path::new(name);
    if !path.is_file() {
        let names: Vec<&str> = images.iter().filter_map(|i| i.name.as_deref()).collect();
        let there = if names.is_empty() { "it has none yet".to_owned() } else { format!("it has: {}", names.join(", ")) };
        return Err(local(format!("{name:?} is neither an image of the cloud nor a file; {there}")));
    }
    let format = match path.extension().and_then(|e| e.to_str()) {
        Some("qcow2") => "qcow2",
        Some("raw" | "img") => "raw",
        Some("iso") => "iso",
        other => return Err(local(format!("{name}: the ending {:?} names no image format; use .qcow2, .raw, .img or .iso", other.unwrap_or("")))),
    };
    let title = path.file_stem().and_then(|s| s.to_str()).unwrap_or("image").to_owned();
    if let Some(id) = by_name(&title).filter(|id| images.iter().any(|i| i.id == *id && i.status == "active")) {
        out.note(format_args!("the cloud has an image {title:?} already; it is used, {name} is not uploaded again"));
        return Ok(id);
    }
    let new = NewImage { name: title, disk_format: format.into(), container_format: "bare".into(), public: true, properties: Default::default() };
    let o = *out;
    let id = cloud
        .upload(&new, path, move |done, all| o.progress(format_args!("uploading {} of {} MiB", done >> 20, all >> 20)))
        .await?;
    out.progress_done();
    Ok(id)
}

/// The named flavor, or the smallest.
async fn flavor(cloud: &Cloud, name: Option<&str>) -> Result<String, Error> {
    let mut all = cloud.flavors().await?;
    match name {
        Some(n) => all
            .iter()
            .find(|f| f.name == n || f.id == n)
            .map(|f| f.id.clone())
            .ok_or_else(|| {
                let names: Vec<&str> = all.iter().map(|f| f.name.as_str()).collect();
                local(format!("no flavor is called {n:?}; there are: {}", names.join(", ")))
            }),
        None => {
            all.sort_by_key(|f| (f.ram, f.disk, f.vcpus));
            all.first().map(|f| f.id.clone()).ok_or_else(|| local("the cloud has no flavor"))
        }
    }
}

async fn active(out: &Output, cloud: &Cloud, id: Uuid, started: Instant, deadline: Instant) -> Result<Server, Error> {
    loop {
        let s = cloud.server(id).await?;
        match s.status.as_str() {
            "ACTIVE" => {
                out.progress_done();
                return Ok(s);
            }
            "ERROR" => {
                out.progress_done();
                let why = s.fault.map(|f| f.message).unwrap_or_default();
                return Err(local(format!("{} went to ERROR: {why}\nmore: kilonova why {id}", s.name)));
            }
            _ => {}
        }
        if Instant::now() > deadline {
            return Err(local(format!("{} is still {} after {} s; see kilonova why {id}", s.name, s.status, started.elapsed().as_secs())));
        }
        let percent = s.progress.filter(|p| *p > 0 && *p < 100).map(|p| format!(" {p} %")).unwrap_or_default();
        out.progress(format_args!("{} {}{percent}, {} s", s.name, s.task_state.unwrap_or(s.status), started.elapsed().as_secs()));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn answers(out: &Output, address: Option<&str>, port: u16, started: Instant, deadline: Instant) -> Result<(), Error> {
    let Some(address) = address else { return Err(local("the server has no address to answer on")) };
    loop {
        let dial = tokio::time::timeout(Duration::from_secs(2), tokio::net::TcpStream::connect((address, port))).await;
        if matches!(dial, Ok(Ok(_))) {
            out.progress_done();
            return Ok(());
        }
        if Instant::now() > deadline {
            let seconds = started.elapsed().as_secs();
            return Err(local(format!("{address} does not accept connections on port {port} after {seconds} s; see `kilonova console --log`")));
        }
        out.progress(format_args!("waiting for {address}:{port}, {} s", started.elapsed().as_secs()));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
