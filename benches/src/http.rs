//! A client of HTTP/1.1 that costs next to nothing: one kept connection, requests as ready bytes, answers as they come.
//!
//! It shares two cores with what it measures, so it parses no JSON where a search for bytes does, and knows no chunked
//! answers, because none of ours are.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    /// Body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|l| {
            let (n, v) = l.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| v.trim())
        })
    }
    /// The body as JSON.
    /// # Errors
    /// It is none.
    pub fn json(&self) -> Result<serde_json::Value, String> {
        serde_json::from_slice(&self.body).map_err(|e| format!("{}: {e}: {}", self.status, String::from_utf8_lossy(&self.body)))
    }
    /// The answer if its status is `wanted`, else what was said instead.
    /// # Errors
    /// Another status.
    pub fn expect(self, wanted: u16) -> Result<Answer, String> {
        if self.status == wanted {
            return Ok(self);
        }
        let said: String = String::from_utf8_lossy(&self.body).chars().take(400).collect();
        Err(format!("{} instead of {wanted}: {said}", self.status))
    }
}

/// The bytes of a request.
pub fn request(method: &str, path: &str, token: Option<&str>, body: Option<(&str, &[u8])>) -> Vec<u8> {
    let mut out = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nOpenStack-API-Version: compute 2.96\r\n").into_bytes();
    if let Some(t) = token {
        out.extend_from_slice(format!("X-Auth-Token: {t}\r\n").as_bytes());
    }
    if let Some((kind, bytes)) = body {
        out.extend_from_slice(format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n", bytes.len()).as_bytes());
        out.extend_from_slice(bytes);
    } else {
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// One kept connection.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Dials.
    /// # Errors
    /// Nobody listens.
    pub async fn open(address: &str) -> Result<Connection, String> {
        let stream = TcpStream::connect(address).await.map_err(|e| format!("{address}: {e}"))?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        Ok(Connection { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Sends ready bytes and reads the answer.
    /// # Errors
    /// A connection that breaks, an answer that cannot be read.
    pub async fn send(&mut self, request: &[u8]) -> Result<Answer, String> {
        let failed = |e: std::io::Error| format!("connection: {e}");
        self.stream.write_all(request).await.map_err(failed)?;
        self.buffer.clear();
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            if self.stream.read_buf(&mut self.buffer).await.map_err(failed)? == 0 {
                return Err("the connection was closed before an answer".into());
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
        let mut answer = Answer { status: 0, head, body: Vec::new() };
        answer.status = answer.head.get(9..12).and_then(|s| s.parse().ok()).ok_or("an answer without a status")?;
        let length = answer.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0_usize);
        answer.body.reserve(length);
        answer.body.extend_from_slice(&self.buffer[end..]);
        while answer.body.len() < length {
            if self.stream.read_buf(&mut answer.body).await.map_err(failed)? == 0 {
                return Err("the connection was closed within an answer".into());
            }
        }
        Ok(answer)
    }
}

/// Where `what` begins in `bytes`.
pub fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|w| w == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_whole() {
        let text = String::from_utf8(request("POST", "/x", Some("t"), Some(("application/json", b"{}")))).unwrap_or_default();
        assert!(text.starts_with("POST /x HTTP/1.1\r\n"));
        assert!(text.ends_with("X-Auth-Token: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"));
        assert_eq!(find(b"abcd", b"cd"), Some(2));
    }
}
