//! A home, a data directory and a temporary directory of one test, the program run in them, and calls to its API.

use client::{Cloud, Credentials, Method};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Longest wait for anything; passing it is a failure, never a measurement.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Nobody's user and group, on every Linux.
const NOBODY: u32 = 65534;

/// Waits until `done` gives something.
pub fn until<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where one test lives.
pub struct Place {
    dir: tempfile::TempDir,
    as_nobody: bool,
    binary: PathBuf,
}

/// What a command that ended has said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// It succeeded.
    #[track_caller]
    pub fn good(self) -> Said {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
    /// It ended with 1, said one line on standard error, and that line has these words.
    #[track_caller]
    pub fn refused(self, words: &[&str]) -> Said {
        assert_eq!(self.code, 1, "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("kilonova: ") || self.err.starts_with('{'), "{self:?}");
        for w in words {
            assert!(self.err.contains(w), "{w:?} is missing: {self:?}");
        }
        self
    }
    /// Its output as JSON, which it must be from the first byte to the last.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl From<Output> for Said {
    fn from(o: Output) -> Said {
        let text = |b: Vec<u8>| String::from_utf8(b).unwrap();
        Said { code: o.status.code().unwrap_or(-1), out: text(o.stdout), err: text(o.stderr) }
    }
}

impl Place {
    /// As the user who runs the tests.
    pub fn new() -> Place {
        let place = Place {
            dir: tempfile::tempdir().unwrap(),
            as_nobody: false,
            binary: PathBuf::from(env!("CARGO_BIN_EXE_kilonova")),
        };
        for d in ["home", "tmp"] {
            std::fs::create_dir(place.path(d)).unwrap();
        }
        place
    }
    /// As somebody who is not root, whoever runs the tests.
    pub fn without_root() -> Place {
        let mut place = Place::new();
        if nix::unistd::geteuid().is_root() {
            place.as_nobody = true;
            // A checkout may lie where nobody else may look.
            let copy = place.path("kilonova");
            // By another process: a file that this one has open for writing cannot be executed, and a child that
            // another test starts just now would inherit it.
            assert!(Command::new("cp").arg(&place.binary).arg(&copy).status().unwrap().success());
            place.binary = copy;
            for d in ["", "home", "tmp", "kilonova"] {
                nix::unistd::chown(&place.path(d), Some(NOBODY.into()), Some(NOBODY.into())).unwrap();
            }
        }
        place
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }
    pub fn clouds_yaml(&self) -> PathBuf {
        self.path("home/.config/openstack/clouds.yaml")
    }
    /// Writes a file of this place.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        if self.as_nobody {
            nix::unistd::chown(&path, Some(NOBODY.into()), Some(NOBODY.into())).unwrap();
        }
        path
    }
    /// A program in this place's environment and no other.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut c = if self.as_nobody {
            let mut c = Command::new("setpriv");
            c.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into(), "--".into()]).arg(program);
            c
        } else {
            Command::new(program)
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        c.env_clear().env("PATH", path).env("HOME", self.path("home")).env("TMPDIR", self.path("tmp"));
        c.current_dir(self.dir.path()).stdin(Stdio::null());
        c
    }
    /// The program as a shell would call it, with nothing said about the data directory.
    pub fn bare(&self, args: &[&str]) -> Command {
        let mut c = self.command(&self.binary);
        c.args(args);
        c
    }
    /// The program on this place's data directory, to its end.
    pub fn run(&self, args: &[&str]) -> Said {
        self.bare(args).arg("--data-dir").arg(self.data()).output().unwrap().into()
    }
    /// A shell with a script in which `$0` is the program.
    pub fn shell(&self, shell: &str, script: &str) -> Said {
        self.command(shell).args(["-c", script]).arg(&self.binary).output().unwrap_or_else(|e| panic!("{shell}: {e}")).into()
    }
    /// `kilonova up` on a free port, once it serves. Its output is in the files `up.out` and `up.err`.
    #[track_caller]
    pub fn up(&self, args: &[&str]) -> Up<'_> {
        let mut c = self.command("sh");
        c.args(["-c", "exec \"$0\" up --ready-fd 3 \"$@\" 3>&1 >up.out 2>up.err"]).arg(&self.binary);
        if !args.contains(&"--listen") {
            c.args(["--listen", "127.0.0.1:0"]);
        }
        if !args.contains(&"--ephemeral") {
            c.arg("--data-dir").arg(self.data());
        }
        let mut child = c.args(args).stdout(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let (said, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = reader.read_line(&mut line);
            let _ = said.send(line);
        });
        let line = heard.recv_timeout(PATIENCE).expect("neither a ready line nor an end");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("up ended: {}", self.read("up.err")));
        Up { place: self, child, ready }
    }
    /// As [`Place::up`], with the fake driver and a configuration.
    #[track_caller]
    pub fn up_with(&self, config: &str) -> Up<'_> {
        let path = self.file("kilonova.toml", config);
        self.up(&["--config", path.to_str().unwrap()])
    }
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }
    /// `drwx--x--x` as `711`.
    #[track_caller]
    pub fn mode(path: &Path) -> String {
        use std::os::unix::fs::PermissionsExt;
        let m = std::fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        format!("{:o}", m.permissions().mode() & 0o777)
    }
}

/// A running cloud; killed when dropped.
pub struct Up<'a> {
    pub place: &'a Place,
    child: Child,
    pub ready: Value,
}

impl Up<'_> {
    pub fn auth_url(&self) -> &str {
        self.ready["auth_url"].as_str().unwrap()
    }
    pub fn address(&self) -> SocketAddr {
        self.auth_url().split('/').nth(2).unwrap().parse().unwrap()
    }
    /// The API as the administrator, by what the data directory says.
    pub fn api(&self) -> Api {
        let secret = std::fs::read_to_string(self.place.data().join("admin-password")).unwrap();
        Api::login(self, "admin", secret.trim(), "admin").unwrap()
    }
    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
    /// SIGTERM, and its exit code.
    pub fn stop(mut self) -> Option<i32> {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        until("the end after SIGTERM", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Blocking calls to a cloud.
pub struct Api {
    pub runtime: Runtime,
    pub cloud: Cloud,
}

impl Api {
    pub fn login(up: &Up<'_>, user: &str, password: &str, project: &str) -> Result<Api, client::Error> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let credentials = Credentials {
            auth_url: up.auth_url().to_owned(),
            username: user.to_owned(),
            password: password.to_owned(),
            project: project.to_owned(),
            domain: "default".into(),
            region: "RegionOne".into(),
            ca: up.ready["ca"].as_str().map(|p| std::fs::read(p).unwrap()),
        };
        let cloud = runtime.block_on(Cloud::login(&credentials))?;
        Ok(Api { runtime, cloud })
    }
    #[track_caller]
    pub fn call(&self, method: Method, service: &str, path: &str, body: Option<Value>) -> Value {
        let text = self.runtime.block_on(self.cloud.call(method, service, path, body.as_ref()));
        let text = text.unwrap_or_else(|e| panic!("{path}: {e}"));
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }
    /// Path of the identity API, whatever the catalog says about its version.
    #[track_caller]
    pub fn identity(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let versioned = self.cloud.url("identity").unwrap().ends_with("/v3");
        self.call(method, "identity", &if versioned { path.to_owned() } else { format!("/v3{path}") }, body)
    }
    /// The project's servers: name and status.
    pub fn statuses_of_own(&self) -> Vec<(String, String)> {
        self.runtime.block_on(self.cloud.servers(false)).unwrap().into_iter().map(|s| (s.name, s.status)).collect()
    }
    /// Every server of every project: name and status, sorted.
    pub fn statuses(&self) -> Vec<(String, String)> {
        let mut all: Vec<_> =
            self.runtime.block_on(self.cloud.servers(true)).unwrap().into_iter().map(|s| (s.name, s.status)).collect();
        all.sort();
        all
    }
}

/// One HTTP exchange by hand: status and everything after it.
pub fn http(address: SocketAddr, head: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = write!(stream, "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    (status, text)
}

/// A configuration of one simulated host that survives its process.
pub const PERSISTENT: &str = "[[compute]]\nname = 'f1'\ndriver = 'fake'\n[compute.options]\npersist = true\n";
