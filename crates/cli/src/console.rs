//! `kilonova console SERVER`: the serial console in this terminal, or the console's log.

use crate::{Error, Output};
use client::Cloud;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use std::io::IsTerminal;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::os::fd::AsFd;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest};

/// Ctrl-], as telnet and virsh have it.
const LEAVE: u8 = 0x1d;

pub(crate) async fn run(out: &Output, cloud: &Cloud, name: &str, log: bool, ca: Option<&[u8]>) -> Result<(), Error> {
    let server = cloud.find_server(name).await?;
    if log {
        #[derive(serde::Deserialize)]
        struct Log {
            output: String,
        }
        let text = cloud.act(server.id, &json!({"os-getConsoleOutput": {}})).await?;
        let log: Log = serde_json::from_str(&text).map_err(|e| Error::Local(e.to_string()))?;
        if out.is_json() {
            out.json(&json!({"output": log.output}));
        } else {
            out.line(log.output.trim_end_matches('\n'));
        }
        return Ok(());
    }
    let url = cloud.remote_console(server.id, "serial", "serial").await?;
    if out.is_json() {
        out.json(&json!({"url": url}));
        return Ok(());
    }
    attach(out, &url, ca).await
}

/// The terminal in raw mode, put back when dropped.
struct Raw(Option<nix::sys::termios::Termios>);

impl Raw {
    fn enter() -> Raw {
        use nix::sys::termios::{SetArg, cfmakeraw, tcgetattr, tcsetattr};
        let stdin = std::io::stdin();
        if !stdin.is_terminal() {
            return Raw(None);
        }
        let Ok(before) = tcgetattr(stdin.as_fd()) else { return Raw(None) };
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        let _ = tcsetattr(stdin.as_fd(), SetArg::TCSANOW, &raw);
        Raw(Some(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = nix::sys::termios::tcsetattr(std::io::stdin().as_fd(), nix::sys::termios::SetArg::TCSANOW, before);
        }
    }
}

/// The way to the console's address, over TLS where it says so.
trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send {}
impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send> Stream for S {}

/// What programs of this system trust (Debian and its kin).
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

async fn dial(uri: &Uri, ca: Option<&[u8]>) -> Result<Box<dyn Stream>, String> {
    let host = uri.host().ok_or("its URL names no host")?.trim_matches(['[', ']']).to_owned();
    let tls = uri.scheme_str() == Some("wss");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    let stream = tokio::net::TcpStream::connect((host.as_str(), port)).await.map_err(|e| format!("{host}:{port}: {e}"))?;
    let _ = stream.set_nodelay(true);
    if !tls {
        return Ok(Box::new(stream));
    }
    let of_system;
    let pem = match ca {
        Some(pem) => pem,
        None => {
            of_system = tokio::fs::read(SYSTEM_CA).await.map_err(|e| format!("{SYSTEM_CA}: {e}; set OS_CACERT"))?;
            &of_system
        }
    };
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    roots.add_parsable_certificates(certificates.map_err(|e| format!("the CA certificate cannot be read: {e}"))?);
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(host).map_err(|e| e.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| e.to_string())?;
    Ok(Box::new(stream))
}

async fn attach(out: &Output, url: &str, ca: Option<&[u8]>) -> Result<(), Error> {
    let failed = |e: &dyn std::fmt::Display| Error::Local(format!("the console cannot be opened: {e}"));
    let mut request = url.into_client_request().map_err(|e| failed(&e))?;
    request.headers_mut().insert("sec-websocket-protocol", tokio_tungstenite::tungstenite::http::HeaderValue::from_static("binary"));
    let stream = dial(request.uri(), ca).await.map_err(|e| failed(&e))?;
    let (socket, _) = tokio_tungstenite::client_async(request, stream).await.map_err(|e| failed(&e))?;
    let (mut to, mut from) = socket.split();
    out.note("connected; leave with Ctrl-]");
    let _raw = Raw::enter();
    let (mut stdin, mut stdout) = (tokio::io::stdin(), tokio::io::stdout());
    let mut typed = [0u8; 1024];
    loop {
        tokio::select! {
            biased;
            message = from.next() => match message {
                Some(Ok(Message::Binary(b))) => write(&mut stdout, &b).await?,
                Some(Ok(Message::Text(t))) => write(&mut stdout, t.as_bytes()).await?,
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(failed(&e)),
            },
            read = stdin.read(&mut typed) => {
                let n = read.map_err(|e| failed(&e))?;
                let typed = &typed[..n];
                if n == 0 || typed.contains(&LEAVE) {
                    let _ = to.send(Message::Close(None)).await;
                    return Ok(());
                }
                to.send(Message::Binary(typed.to_vec().into())).await.map_err(|e| failed(&e))?;
            }
        }
    }
}

async fn write(stdout: &mut tokio::io::Stdout, bytes: &[u8]) -> Result<(), Error> {
    let failed = |e: std::io::Error| Error::Local(e.to_string());
    stdout.write_all(bytes).await.map_err(failed)?;
    stdout.flush().await.map_err(failed)
}
