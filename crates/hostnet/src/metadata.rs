//! The metadata service of one network: HTTP on 169.254.169.254 inside the network's namespace.
//!
//! Who asks is known from the network and the source address alone; no header is believed (`X-Forwarded-For`,
//! `X-Instance-ID` and their like mean nothing here). Requests, connections and their time are bounded, in all and
//! for each address, so that one guest cannot keep others of a shared network from their documents.

use crate::names::METADATA_IP;
use crate::{Error, MetadataSource, PasswordRefused, Result};
use bytes::Bytes;
use guestdata::{Guest, MAX_PASSWORD, Secret, is_password_path, lookup};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Connections of one network at once.
const CONNECTIONS: usize = 256;
/// … of one address.
const PER_ADDRESS: usize = 8;
/// How long a connection may last in all.
const LIFETIME: Duration = Duration::from_secs(60);
/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(10);

/// Opens the listener; must run inside the namespace.
pub(crate) fn open() -> Result<std::net::TcpListener> {
    socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, Some(socket2::Protocol::TCP))
        .and_then(|socket| {
            socket.set_reuse_address(true)?;
            socket.bind(&SocketAddr::from((METADATA_IP, 80)).into())?;
            socket.listen(128)?;
            socket.set_nonblocking(true)?;
            Ok(socket.into())
        })
        .map_err(Error::io("cannot open the metadata service's socket"))
}

/// Connections by address. A guard takes its own out again.
#[derive(Clone, Default)]
struct Counts(Arc<Mutex<BTreeMap<IpAddr, usize>>>);

struct Counted(Counts, IpAddr);

impl Counts {
    fn enter(&self, ip: IpAddr) -> Option<Counted> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = counts.values().sum();
        let count = counts.entry(ip).or_default();
        let full = all >= CONNECTIONS || *count >= PER_ADDRESS;
        if full {
            if *count == 0 {
                counts.remove(&ip);
            }
            return None;
        }
        *count += 1;
        Some(Counted(self.clone(), ip))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

/// Answers until its task is dropped; its connections end with it.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    network: Uuid,
    source: Arc<dyn MetadataSource>,
) -> Result<()> {
    let listener = TcpListener::from_std(listener).map_err(Error::io("cannot use the metadata service's socket"))?;
    let counts = Counts::default();
    let mut connections = JoinSet::new();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%network, %error, "the metadata service cannot take a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        let Some(counted) = counts.enter(peer.ip()) else {
            continue;
        };
        let source = Arc::clone(&source);
        connections.spawn(async move {
            let service = hyper::service::service_fn(move |request| {
                let source = Arc::clone(&source);
                async move { Ok::<_, Infallible>(answer(request, network, peer.ip(), source.as_ref()).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(16 * 1024)
                .serve_connection(TokioIo::new(stream), service);
            // A guest that breaks off or sends nonsense is no event.
            let _ = tokio::time::timeout(LIFETIME, connection).await;
            drop(counted);
        });
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    response
}

/// The answer to one request that came from `ip`.
async fn answer<B>(request: Request<B>, network: Uuid, ip: IpAddr, source: &dyn MetadataSource) -> Response<Full<Bytes>>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let Some(guest) = source.guest_by_ip(network, ip).await else {
        tracing::debug!(%network, %ip, "a metadata request from an address without a guest");
        return plain(StatusCode::NOT_FOUND, "404 Not Found");
    };
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    if method == Method::POST && is_password_path(&path) {
        return set_password(request, &guest, source).await;
    }
    let Some(document) = lookup(&guest, &path) else {
        return plain(StatusCode::NOT_FOUND, "404 Not Found");
    };
    if method != Method::GET && method != Method::HEAD {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "GET only is supported.");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut response = Response::new(Full::new(Bytes::from(document.bytes)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(document.content_type));
    response
}

async fn set_password<B>(request: Request<B>, guest: &Guest, source: &dyn MetadataSource) -> Response<Full<Bytes>>
where
    B: hyper::body::Body + Send,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if guest.password.as_ref().is_some_and(|p| !p.is_empty()) {
        return plain(StatusCode::CONFLICT, "The password is set already.");
    }
    let body = match Limited::new(request.into_body(), MAX_PASSWORD).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return plain(StatusCode::BAD_REQUEST, "Request is too large.");
        }
        Err(_) => return plain(StatusCode::BAD_REQUEST, "The request broke off."),
    };
    match source.set_password(guest.id, Secret::new(body.to_vec())).await {
        Ok(()) => plain(StatusCode::OK, ""),
        Err(PasswordRefused::AlreadySet) => plain(StatusCode::CONFLICT, "The password is set already."),
        Err(PasswordRefused::Unavailable) => plain(StatusCode::SERVICE_UNAVAILABLE, "Try again later."),
    }
}
