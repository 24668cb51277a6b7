//! Interactive consoles: tokens in memory and the websocket that carries the bytes.
//!
//! A token is good for one kind of console of one server until it expires or the server goes. Only its hash is kept,
//! it is never logged, and it dies with the process. The bytes come from the host as a stream; no port is dialled.

use crate::Api;
use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use driver_api::{ConsoleKind, ConsoleStream, Timestamp};
use futures_util::{SinkExt, StreamExt};
use model::Env;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;
use web::{Fault, FaultShape};

/// What a token opens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Grant {
    server: Uuid,
    kind: ConsoleKind,
    until: Timestamp,
}

/// The tokens of this process. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Consoles {
    grants: Arc<Mutex<BTreeMap<[u8; 32], Grant>>>,
    ttl: Duration,
}

/// The kinds of console are an enum without an order; the token decides by its hash alone.
fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

impl Consoles {
    /// Tokens that live for `ttl`.
    pub fn new(ttl: Duration) -> Consoles {
        Consoles { grants: Arc::default(), ttl }
    }
    fn with<T>(&self, f: impl FnOnce(&mut BTreeMap<[u8; 32], Grant>) -> T) -> T {
        f(&mut self.grants.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// A new token for a console of `server`.
    pub fn issue(&self, env: &Env, server: Uuid, kind: ConsoleKind) -> String {
        let mut bytes = [0; 32];
        env.random.fill(&mut bytes);
        let token = hex::encode(bytes);
        let now = env.now();
        let grant = Grant { server, kind, until: now.plus(self.ttl) };
        self.with(|m| {
            m.retain(|_, g| g.until > now);
            m.insert(digest(&token), grant);
        });
        token
    }
    /// The server that `token` opens a console of that kind of.
    pub fn open(&self, token: &str, kind: ConsoleKind, now: Timestamp) -> Option<Uuid> {
        self.with(|m| m.get(&digest(token)).filter(|g| g.kind == kind && g.until > now).map(|g| g.server))
    }
    /// Takes back every token of a server.
    pub fn forget(&self, server: Uuid) {
        self.with(|m| m.retain(|_, g| g.server != server));
    }
}

/// Routes to be mounted at the console prefix.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/websockify", get(vnc))
        .route("/serial", get(serial))
        .route("/vnc_auto.html", get(|| async { page(include_str!("console/vnc.html")) }))
        .route("/serial.html", get(|| async { page(include_str!("console/serial.html")) }))
        .with_state(api)
}

/// A page that carries a token in its address: never cached, never named to another site.
fn page(html: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self' ws: wss:"),
    ];
    (headers, html).into_response()
}

#[derive(Deserialize)]
struct Ticket {
    #[serde(default)]
    token: String,
}

async fn vnc(State(api): State<Api>, Query(t): Query<Ticket>, headers: HeaderMap, ws: WebSocketUpgrade) -> Response {
    connect(api, &t.token, ConsoleKind::Vnc, &headers, ws).await
}

async fn serial(State(api): State<Api>, Query(t): Query<Ticket>, headers: HeaderMap, ws: WebSocketUpgrade) -> Response {
    connect(api, &t.token, ConsoleKind::Serial, &headers, ws).await
}

/// A browser says from which page it comes: it must be ours. Other clients say nothing.
fn same_site(headers: &HeaderMap) -> bool {
    let text = |name: header::HeaderName| headers.get(name).and_then(|v| v.to_str().ok());
    match text(header::ORIGIN) {
        None => true,
        Some(origin) => {
            let host = origin.split_once("://").map(|(_, h)| h);
            host.is_some() && host == text(header::HOST)
        }
    }
}

async fn connect(api: Api, token: &str, kind: ConsoleKind, headers: &HeaderMap, ws: WebSocketUpgrade) -> Response {
    match stream(&api, token, kind, headers).await {
        Ok(stream) => ws.protocols(["binary"]).on_upgrade(move |socket| carry(socket, stream)),
        Err(fault) => fault.render(FaultShape::Compute, ""),
    }
}

async fn stream(api: &Api, token: &str, kind: ConsoleKind, headers: &HeaderMap) -> Result<ConsoleStream, Fault> {
    if !same_site(headers) {
        return Err(Fault::forbidden("Origin header does not match this host."));
    }
    let denied = || Fault::new(StatusCode::FORBIDDEN, "The console token is not valid or has expired; ask for a new one.");
    let id = api.consoles().open(token, kind, api.env().now()).ok_or_else(denied)?;
    let server = api.store().read(move |tx| store::servers::find(tx, id)).await?;
    let server = server.filter(|s| !s.is_deleted()).ok_or_else(denied)?;
    api.conductor().open_console(&server, kind).await.map_err(crate::fault::refused)
}

/// Bytes of the guest that one message carries at most.
const CHUNK: usize = 16 * 1024;

/// Carries bytes both ways until either side ends.
async fn carry(socket: WebSocket, stream: ConsoleStream) {
    let (mut sink, mut source) = socket.split();
    let ConsoleStream { mut reader, mut writer } = stream;
    let from_guest = async {
        let mut buffer = vec![0; CHUNK];
        while let Ok(n) = reader.read(&mut buffer).await {
            if n == 0 || sink.send(Message::Binary(Bytes::copy_from_slice(&buffer[..n]))).await.is_err() {
                break;
            }
        }
        // The other side may be gone already.
        let _ = sink.send(Message::Close(None)).await;
    };
    let to_guest = async {
        while let Some(Ok(message)) = source.next().await {
            let bytes = match message {
                Message::Binary(b) => b,
                Message::Text(t) => Bytes::copy_from_slice(t.as_bytes()),
                Message::Close(_) => break,
                Message::Ping(_) | Message::Pong(_) => continue,
            };
            if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        biased;
        () = to_guest => {}
        () = from_guest => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn env(at: i64) -> Env {
        // Only `issue` looks at the clock; its answer is compared with instants far away.
        let _ = at;
        Env { clock: model::Clock::system(), random: model::Random::seeded(1) }
    }

    #[test]
    fn a_token_opens_one_console_until_it_expires_or_the_server_goes() {
        let consoles = Consoles::new(Duration::from_secs(600));
        let env = env(0);
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let (ta, tb) = (consoles.issue(&env, a, ConsoleKind::Vnc), consoles.issue(&env, b, ConsoleKind::Serial));
        let now = env.now();
        assert_eq!(consoles.open(&ta, ConsoleKind::Vnc, now), Some(a));
        assert_eq!(consoles.open(&ta, ConsoleKind::Serial, now), None);
        assert_eq!(consoles.open("", ConsoleKind::Vnc, now), None);
        assert_eq!(consoles.open(&ta, ConsoleKind::Vnc, now.plus(Duration::from_secs(601))), None);
        consoles.forget(a);
        assert_eq!(consoles.open(&ta, ConsoleKind::Vnc, now), None);
        assert_eq!(consoles.open(&tb, ConsoleKind::Serial, now), Some(b));
        assert!(!format!("{consoles:?}").contains(&tb));
    }

    #[test]
    fn pages_of_other_sites_are_refused() {
        let h = |origin: Option<&'static str>| {
            let mut h = HeaderMap::new();
            h.insert(header::HOST, HeaderValue::from_static("cloud:8774"));
            if let Some(o) = origin {
                h.insert(header::ORIGIN, HeaderValue::from_static(o));
            }
            same_site(&h)
        };
        assert!(h(None) && h(Some("http://cloud:8774")) && h(Some("https://cloud:8774")));
        assert!(!h(Some("http://evil")) && !h(Some("null")) && !h(Some("http://cloud")));
    }
}
