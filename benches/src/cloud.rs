//! A real `kilonova` process on a data directory of its own, and what a client needs of it: token, image, ready requests.

use crate::http::{Answer, Connection, request};
use crate::machine::{Usage, usage};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How a cloud shall be.
pub struct Plan<'a> {
    /// The program.
    pub program: &'a Path,
    /// Data directory; made if it is not there.
    pub dir: PathBuf,
    /// Simulated hosts.
    pub hosts: usize,
    /// PostgreSQL's URL, instead of SQLite.
    pub database: Option<String>,
    /// Further lines of the configuration.
    pub more: String,
    /// What it shall write into its log.
    pub log: &'a str,
}

/// A cloud that serves.
pub struct Cloud {
    child: Child,
    /// Where it listens.
    pub address: String,
    /// The administrator's token.
    pub token: String,
    /// An image to boot from, once [`Cloud::image`] made it.
    pub image: String,
    /// From the start of the process to its first answer.
    pub first_answer: Duration,
}

/// Simulated hosts as configuration, `quota` raised.
fn config(plan: &Plan<'_>) -> String {
    let mut out = String::new();
    if let Some(url) = &plan.database {
        out.push_str(&format!("database = \"{url}\"\ndatabase_connections = 8\n"));
    }
    out.push_str("[quota]\ninstances = -1\ncores = -1\nram = -1\n");
    for n in 0..plan.hosts {
        out.push_str(&format!("[[compute]]\nname = \"host-{n:05}\"\ndriver = \"fake\"\n"));
    }
    out + &plan.more
}

/// A port nobody listens on now.
fn free_port() -> Result<u16, String> {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").map_err(|e| e.to_string())?;
    Ok(socket.local_addr().map_err(|e| e.to_string())?.port())
}

impl Cloud {
    /// Starts it and waits for its first answer.
    /// # Errors
    /// It does not start within two minutes.
    pub async fn start(plan: &Plan<'_>) -> Result<Cloud, String> {
        let failed = |e: std::io::Error| format!("{}: {e}", plan.dir.display());
        std::fs::create_dir_all(&plan.dir).map_err(failed)?;
        let file = plan.dir.with_extension("toml");
        std::fs::write(&file, config(plan)).map_err(failed)?;
        let log = std::fs::File::create(plan.dir.with_extension("log")).map_err(failed)?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let started = Instant::now();
        let child = Command::new(plan.program)
            .args(["--data-dir", &plan.dir.display().to_string(), "up", "--no-clouds-yaml", "--listen", &address, "--config"])
            .arg(&file)
            .env("RUST_LOG", plan.log)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(|e| format!("{}: {e}", plan.program.display()))?;
        let mut cloud = Cloud { child, address, token: String::new(), image: String::new(), first_answer: Duration::ZERO };
        loop {
            if let Ok(mut c) = Connection::open(&cloud.address).await
                && c.send(&request("GET", "/compute/v2.1", None, None)).await.is_ok_and(|a| a.status == 200)
            {
                break;
            }
            if let Ok(Some(status)) = cloud.child.try_wait() {
                return Err(format!("kilonova ended at its start with {status}; see {}", plan.dir.with_extension("log").display()));
            }
            if started.elapsed() > Duration::from_secs(120) {
                return Err("kilonova did not answer within two minutes".into());
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        cloud.first_answer = started.elapsed();
        cloud.log_in(&plan.dir).await?;
        Ok(cloud)
    }

    async fn log_in(&mut self, dir: &Path) -> Result<(), String> {
        let password = std::fs::read_to_string(dir.join("admin-password")).map_err(|e| format!("admin-password: {e}"))?;
        let domain = json!({"id": "default"});
        let body = json!({"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": "admin", "domain": domain, "password": password.trim()}}},
            "scope": {"project": {"name": "admin", "domain": domain}}}});
        let bytes = body.to_string().into_bytes();
        let raw = request("POST", "/identity/v3/auth/tokens", None, Some(("application/json", &bytes)));
        let answer = self.connect().await?.send(&raw).await?.expect(201)?;
        self.token = answer.header("x-subject-token").ok_or("no token came")?.to_owned();
        Ok(())
    }

    /// A connection of its own.
    /// # Errors
    /// Nobody listens.
    pub async fn connect(&self) -> Result<Connection, String> {
        Connection::open(&self.address).await
    }

    /// One request with the token, on a connection of its own.
    /// # Errors
    /// Another status than `wanted`.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>, wanted: u16) -> Result<Answer, String> {
        let bytes = body.map(|b| b.to_string().into_bytes());
        let raw = request(method, path, Some(&self.token), bytes.as_deref().map(|b| ("application/json", b)));
        self.connect().await?.send(&raw).await?.expect(wanted).map_err(|e| format!("{method} {path}: {e}"))
    }

    /// Waits until so many hosts are up.
    /// # Errors
    /// They are not after three minutes.
    pub async fn hosts_up(&self, hosts: usize) -> Result<Duration, String> {
        let started = Instant::now();
        loop {
            let answer = self.call("GET", "/compute/v2.1/os-services?binary=nova-compute", None, 200).await?;
            let up = String::from_utf8_lossy(&answer.body).matches("\"state\":\"up\"").count();
            if up >= hosts {
                return Ok(started.elapsed());
            }
            if started.elapsed() > Duration::from_secs(180) {
                return Err(format!("{up} of {hosts} hosts are up after three minutes"));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    /// Makes an image to boot from.
    /// # Errors
    /// The image service refuses.
    pub async fn upload_image(&mut self) -> Result<(), String> {
        self.upload("raw", &[0; 4096]).await
    }

    /// The same with these bytes.
    /// # Errors
    /// The image service refuses.
    pub async fn upload(&mut self, format: &str, bytes: &[u8]) -> Result<(), String> {
        let body = json!({"name": "bench", "disk_format": format, "container_format": "bare", "visibility": "public"});
        let made = self.call("POST", "/image/v2/images", Some(body), 201).await?.json()?;
        self.image = made["id"].as_str().ok_or("an image without id")?.to_owned();
        let path = format!("/image/v2/images/{}/file", self.image);
        let raw = request("PUT", &path, Some(&self.token), Some(("application/octet-stream", bytes)));
        self.connect().await?.send(&raw).await?.expect(204)?;
        Ok(())
    }

    /// The request that makes a server.
    pub fn create(&self, name: &str) -> Vec<u8> {
        let body = json!({"server": {"name": name, "imageRef": self.image, "flavorRef": "c1", "networks": "none"}}).to_string();
        request("POST", "/compute/v2.1/servers", Some(&self.token), Some(("application/json", body.as_bytes())))
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has used by now.
    pub fn usage(&self) -> Usage {
        usage(self.pid())
    }

    /// Ends it in order and waits.
    pub fn stop(mut self) -> Duration {
        let started = Instant::now();
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        while started.elapsed() < Duration::from_secs(20) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return started.elapsed();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        started.elapsed()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        // Ended already, mostly: then both say so and that is all.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
