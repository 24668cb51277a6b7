//! Clients by hand, from an address of their own, and a look at the server's process.

use crate::place::{PATIENCE, Place, Up};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// Who does not behave.
pub const ABUSER: &str = "127.0.0.2:0";
/// Who does.
pub const OTHER: &str = "127.0.0.3:0";

/// One answer; status 0 is none.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// A refusal for want of room says when to come again.
    #[track_caller]
    pub fn says_when(&self) {
        assert!(self.retry_after().is_some_and(|s| s > 0), "{self:?}");
    }
    fn retry_after(&self) -> Option<u64> {
        self.head.lines().find_map(|l| l.strip_prefix("retry-after: ")?.parse().ok())
    }
}

/// A connection from one of the two addresses.
pub fn dial(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    socket.bind(&from.parse::<SocketAddr>().unwrap().into())?;
    socket.connect(&to.into())?;
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads to the end of the connection.
pub fn hear(mut stream: impl Read) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// One exchange on a connection of its own; `head` is the request line and further lines, without the last break.
pub fn ask(from: &str, to: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let Ok(mut stream) = dial(from, to) else { return hear(std::io::empty()) };
    let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let _ = stream.write_all(format!("{head}\r\nhost: cloud\r\nconnection: close\r\n{length}\r\n").as_bytes());
    let _ = stream.write_all(body);
    hear(stream)
}

/// A login.
pub fn login(from: &str, to: SocketAddr, user: &str, password: &str) -> Answer {
    let body = format!(
        r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"{user}","domain":{{"id":"default"}},"password":"{password}"}}}}}}}}}}"#
    );
    ask(from, to, "POST /identity/v3/auth/tokens HTTP/1.1\r\ncontent-type: application/json", body.as_bytes())
}

/// The server's process.
pub struct Process(u64);

impl Process {
    pub fn of(up: &Up<'_>) -> Process {
        Process(up.ready["pid"].as_u64().unwrap())
    }
    pub fn pid(&self) -> i32 {
        i32::try_from(self.0).unwrap()
    }
    /// Resident memory, MiB.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }
    /// Open descriptors.
    pub fn descriptors(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.0)).unwrap().count()
    }
}

/// Somebody who behaves, and holds what everybody may expect.
pub struct Other {
    address: SocketAddr,
    token: String,
}

impl Other {
    /// Logs in before the trouble begins.
    pub fn new(place: &Place, up: &Up<'_>) -> Other {
        let secret = place.read("data/admin-password");
        let address = up.address();
        let body = format!(
            r#"{{"auth":{{"identity":{{"methods":["password"],"password":{{"user":{{"name":"admin","domain":{{"id":"default"}},"password":"{}"}}}}}},"scope":{{"project":{{"name":"admin","domain":{{"id":"default"}}}}}}}}}}"#,
            secret.trim()
        );
        let head = "POST /identity/v3/auth/tokens HTTP/1.1\r\ncontent-type: application/json";
        let answer = ask(OTHER, address, head, body.as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
        let token = answer.head.lines().find_map(|l| l.strip_prefix("x-subject-token: "));
        // Header names in lower case; the token itself as it came.
        assert!(token.is_some(), "{answer:?}");
        Other { address, token: up.api().cloud.token().to_owned() }
    }
    pub fn token(&self) -> &str {
        &self.token
    }
    /// Asks for the servers.
    pub fn list(&self) -> Answer {
        let head = format!("GET /compute/v2.1/servers HTTP/1.1\r\nx-auth-token: {}", self.token);
        ask(OTHER, self.address, &head, b"")
    }
    /// Is served, without having to come again.
    #[track_caller]
    pub fn is_served(&self) {
        let answer = self.list();
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

/// As many descriptors as we may have.
pub fn own_descriptors() -> u64 {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    hard
}
