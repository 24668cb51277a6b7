//! The program over the laboratory's two hosts, started and killed on one data directory and one port.

use api_conformance::lab::{LibvirtHost, build};
use client::{Cloud, Credentials, NewImage};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longest wait for a start or an end; passing it is a failure, never a measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One data directory and the process on it.
pub struct Process {
    dir: TempDir,
    port: u16,
    child: Option<Child>,
    pub hosts: [LibvirtHost; 2],
}

impl Process {
    pub fn new() -> Process {
        let hosts = [LibvirtHost::of("hv1"), LibvirtHost::of("hv2")];
        let dir = tempfile::Builder::new().prefix("kn-kills-").tempdir().unwrap();
        let mut config = "[quota]\ninstances = -1\ncores = -1\nram = -1\nport = -1\n".to_owned();
        for h in &hosts {
            let LibvirtHost { name, socket, netns, address } = h;
            config.push_str(&format!(
                "[[compute]]\nname = '{name}'\ndriver = 'libvirt'\nnetns = '{netns}'\nvtep = '{address}'\n\
                 [compute.options]\nuri = 'qemu+unix:///system?socket={socket}'\nvirt_type = 'qemu'\n"
            ));
        }
        std::fs::write(dir.path().join("kilonova.toml"), config).unwrap();
        std::fs::create_dir(dir.path().join("home")).unwrap();
        // A copy: the program must stay the same through the rounds, whatever is built meanwhile.
        std::fs::copy(build(), dir.path().join("kilonova")).unwrap();
        // Taken for a moment only: tokens and catalog name the port, so every life needs the same.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Process { dir, port, child: None, hosts }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts it and waits until it serves.
    pub fn start(&mut self) {
        let mut c = Command::new("sh");
        c.args(["-c", "exec ./kilonova up --ready-fd 3 \"$@\" 3>&1 >>up.out 2>>up.err", "sh"]);
        c.args(["--no-clouds-yaml", "--config", "kilonova.toml", "--data-dir", "data", "--listen"]);
        c.arg(format!("127.0.0.1:{}", self.port));
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
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

    /// An empty disk: its guests stand at the firmware, which costs the machine nothing. They do not answer the power
    /// button, so the image asks that nobody wait for it.
    pub async fn image(&self, cloud: &Cloud) -> String {
        let file = self.path("empty.raw");
        std::fs::write(&file, vec![0; 1 << 20]).unwrap();
        let new = NewImage {
            name: "empty".into(),
            disk_format: "raw".into(),
            container_format: "bare".into(),
            public: true,
            properties: [("os_shutdown_timeout".to_owned(), "1".to_owned())].into(),
        };
        cloud.upload(&new, &file, |_, _| {}).await.unwrap().to_string()
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

    /// Guests of this cloud that the daemons have: identity, host, state.
    pub fn domains(&self) -> Vec<(String, &'static str, String)> {
        let of = |h: &LibvirtHost| {
            let name = h.name;
            h.domains(self.dir.path()).into_iter().map(move |(id, state)| (id, name, state)).collect::<Vec<_>>()
        };
        self.hosts.iter().flat_map(of).collect()
    }

    /// The daemons' processes.
    pub fn daemons(&self) -> Vec<u32> {
        self.hosts.iter().map(LibvirtHost::daemon).collect()
    }

    /// What is left on the hosts: guests, wires, guests' directories.
    pub fn left(&self) -> Vec<String> {
        let mut left: Vec<String> =
            self.domains().into_iter().map(|(id, host, _)| format!("guest {id} on {host}")).collect();
        for h in &self.hosts {
            left.extend(h.wires().into_iter().map(|w| format!("{w} on {}", h.name)));
            let instances = self.path("data/hosts").join(h.name).join("driver/instances");
            let entries =
                std::fs::read_dir(&instances).unwrap().map(|e| e.unwrap().file_name().to_string_lossy().into_owned());
            left.extend(entries.filter(|n| n != "_base").map(|n| format!("directory {n} on {}", h.name)));
        }
        left
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            self.hosts.iter().for_each(|h| h.sweep(self.dir.path()));
        }
    }
}
