//! The program, started and killed on one data directory and one port.

use client::{Cloud, Credentials};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for a start or an end; passing it is a failure, never a measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Three simulated hosts whose guests outlive the process in files. Operations take a few milliseconds, so that a kill
/// falls into the middle of them.
const HOSTS: &str = "
[quota]
instances = -1
cores = -1
ram = -1
port = -1
";

static BINARY: OnceLock<PathBuf> = OnceLock::new();

/// The built program, found once for all rounds.
pub fn build() -> &'static Path {
    BINARY.get_or_init(api_conformance::lab::build)
}

/// One data directory and the process on it.
pub struct Process {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
}

impl Process {
    pub fn new() -> Process {
        let dir = tempfile::tempdir().unwrap();
        let mut config = HOSTS.to_owned();
        for n in 1..=3 {
            config.push_str(&format!(
                "[[compute]]\nname = 'k{n}'\ndriver = 'fake'\n[compute.options]\npersist = true\ndefault_latency_ms = 4\n"
            ));
        }
        std::fs::write(dir.path().join("kilonova.toml"), config).unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        // Taken for a moment only: tokens and catalog name the port, so every life needs the same.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Process { dir, port, child: None }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    /// Starts it and waits until it serves.
    pub fn start(&mut self) {
        let mut c = Command::new("sh");
        c.args(["-c", "exec \"$0\" up --ready-fd 3 \"$@\" 3>&1 >>up.out 2>>up.err"]).arg(build());
        c.args(["--no-clouds-yaml", "--config", "kilonova.toml", "--data-dir", "data", "--listen"]);
        c.arg(format!("127.0.0.1:{}", self.port));
        let path = std::env::var_os("PATH").unwrap_or_default();
        c.env_clear().env("PATH", path).env("HOME", self.path("home")).current_dir(self.dir.path());
        let mut child = c.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        self.child = Some(child);
        let (said, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = said.send(line);
        });
        let line = heard.recv_timeout(PATIENCE).unwrap_or_default();
        assert!(line.starts_with('{'), "it does not start again: {line}{}", self.log());
    }
    /// The administrator, by what the data directory says.
    pub async fn login(&self) -> Cloud {
        let secret = std::fs::read_to_string(self.path("data/admin-password")).unwrap();
        let credentials = Credentials {
            auth_url: format!("http://127.0.0.1:{}/identity/v3", self.port),
            username: "admin".into(),
            password: secret.trim().to_owned(),
            project: "admin".into(),
            domain: "default".into(),
            region: "RegionOne".into(),
            ca: None,
        };
        Cloud::login(&credentials).await.unwrap_or_else(|e| panic!("{e}\n{}", self.log()))
    }
    /// The last lines of its log.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(self.path("up.err")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(60)..].join("\n")
    }
    /// kill -9.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
    /// SIGTERM, and an end in order.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                assert_eq!(status.code(), Some(0), "{}", self.log());
                return;
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                panic!("it does not end\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    /// No file of a guest or an image remains.
    pub fn nothing_left(&self, told: &str) {
        let mut left = Vec::new();
        let mut todo = vec![self.path("data/hosts"), self.path("data/images")];
        while let Some(dir) = todo.pop() {
            for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    todo.push(path);
                    continue;
                }
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                // A guest's record or an image's bytes; the agent's ledger of generations is neither.
                if uuid(name.split('.').next().unwrap_or_default()) {
                    left.push(path);
                }
            }
        }
        left.retain(|p| !p.to_string_lossy().contains("ledger"));
        assert!(left.is_empty(), "{told}: files remain: {left:?}");
    }
}

fn uuid(name: &str) -> bool {
    name.len() == 36 && name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
