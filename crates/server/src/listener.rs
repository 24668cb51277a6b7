//! The one listener: clear on loopback, TLS anywhere else. Everything a client can take is bounded: connections, requests
//! in hand, time for a head, a pace for bodies in and answers out.
//!
//! It knows sockets and certificates, never a route.

mod crowd;
mod door;
mod wire;

use axum::Router;
use crowd::{Crowd, Phase};
use door::Door;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use wire::Wire;

/// Certificates and key in PEM.
pub struct Certificate {
    /// Chain.
    pub chain: String,
    /// Private key.
    pub key: String,
}

/// Reads a certificate and its key.
/// # Errors
/// The file and the reason.
pub fn read_certificate(chain: &Path, key: &Path) -> Result<Certificate, String> {
    let read = |p: &Path| std::fs::read_to_string(p).map_err(|e| format!("cannot read {}: {e}", p.display()));
    Ok(Certificate { chain: read(chain)?, key: read(key)? })
}

/// The acceptor of a certificate.
/// # Errors
/// A certificate or key that cannot be used.
pub fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor, String> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate.chain.as_bytes())
        .collect::<Result<_, _>>()
        .map_err(|e| format!("the certificate cannot be read: {e}"))?;
    let key = PrivateKeyDer::from_pem_slice(certificate.key.as_bytes())
        .map_err(|e| format!("the private key cannot be read: {e}"))?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| format!("the certificate cannot be used: {e}"))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// What the listener lets its clients take. Each is the operator's to set (`[limits]`).
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; the longest idle one makes room for a new one.
    pub connections: usize,
    /// Requests in hand at once; further ones are answered 503.
    pub requests: usize,
    /// Time for a request's head, and between requests on one connection.
    pub head_time: Duration,
    /// Time in which `body_bytes` of a body must come, or the rest of it.
    pub body_time: Duration,
    /// See `body_time`.
    pub body_bytes: u64,
    /// Longest time in which a client takes nothing of its answer.
    pub answer_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            connections: 8192,
            requests: 1024,
            head_time: seconds(75),
            body_time: seconds(60),
            body_bytes: 4096,
            answer_time: seconds(60),
        }
    }
}

impl Limits {
    /// The same within so many descriptors: a quarter is left for files, and each request in hand may open one. Pure.
    #[must_use]
    pub fn within(mut self, descriptors: u64) -> Limits {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        self.connections = self.connections.min(descriptors / 4 * 3).max(1);
        self.requests = self.requests.min(descriptors / 8).max(1);
        self
    }
}

/// Largest head of a request, bytes.
const MAX_HEAD: usize = 64 * 1024;
/// Pause after a failed accept; whoever waits is still there then.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections that go when the machine has no more to give.
const ACCEPT_ROOM: usize = 16;
/// How often a failing accept is told.
const ACCEPT_TOLD: Duration = Duration::from_secs(10);
/// What is said where every connection is at work.
const FULL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// Serves `router` until `stop`, then waits a moment for what runs.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
    stop: CancellationToken,
) {
    // Links in answers say https where the client came over TLS.
    let scheme = if tls.is_some() { web::Scheme::Https } else { web::Scheme::Http };
    let router = router.layer(axum::Extension(scheme));
    let crowd = Crowd::new(&limits);
    let running = tokio_util::task::TaskTracker::new();
    let mut told: Option<tokio::time::Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            a = listener.accept() => a,
        };
        let (stream, peer) = match accepted {
            Ok(a) => a,
            Err(error) => {
                // Out of descriptors, usually: those who wait make room.
                if told.is_none_or(|t| t.elapsed() > ACCEPT_TOLD) {
                    told = Some(tokio::time::Instant::now());
                    tracing::warn!(%error, "a connection cannot be accepted; idle ones are closed (told every 10 s)");
                }
                for _ in 0..ACCEPT_ROOM {
                    crowd.dismiss(|phase| phase == Phase::Idle);
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(seat) = crowd.seat(peer.ip().to_canonical()).await else {
            // In clear it is told; a handshake would be work.
            if tls.is_none() {
                let _ = stream.try_write(FULL);
            }
            continue;
        };
        let wire = Wire::new(stream, seat.clone(), limits.answer_time);
        let door = Door { router: router.clone(), crowd: crowd.clone(), seat, limits: limits.clone() };
        let one = Connection { peer, door, stop: stop.clone() };
        running.spawn(one.run(wire, tls.clone()));
    }
    running.close();
    let _ = tokio::time::timeout(Duration::from_secs(3), running.wait()).await;
}

/// First byte of a TLS handshake; no HTTP method begins with it.
const HANDSHAKE: u8 = 0x16;
/// Time for a TLS handshake.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// What a client hears that speaks in clear where TLS is meant.
const SPEAK_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\ncontent-length: 49\r\nconnection: close\r\n\r\n\
    This address speaks TLS only: use an https:// URL";

/// One accepted connection.
struct Connection {
    peer: SocketAddr,
    door: Door,
    stop: CancellationToken,
}

impl Connection {
    async fn run(self, wire: Wire, tls: Option<TlsAcceptor>) {
        let Some(acceptor) = tls else { return self.http(wire).await };
        let peer = self.peer;
        let shaken = async {
            let mut first = [0];
            if wire.peek(&mut first).await.is_ok_and(|n| n == 1) && first[0] != HANDSHAKE {
                refuse_clear(wire).await;
                return None;
            }
            acceptor.accept(wire).await.inspect_err(|error| tracing::debug!(%peer, %error, "TLS handshake failed")).ok()
        };
        let (stop, leave) = (self.stop.clone(), self.door.seat.leave().clone());
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = leave.cancelled() => {}
            shaken = tokio::time::timeout(HANDSHAKE_TIME, shaken) => match shaken {
                Ok(Some(stream)) => self.http(stream).await,
                Ok(None) => {}
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            },
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let Connection { peer, door, stop } = self;
        let (seat, head_time) = (door.seat.clone(), door.limits.head_time);
        let service = hyper::service::service_fn(move |request| {
            let answer = door.clone().answer(request);
            async { Ok::<_, Infallible>(answer.await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(head_time)
            .max_buf_size(MAX_HEAD)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let (mut stopping, mut leaving) = (false, false);
        let ended = loop {
            tokio::select! {
                biased;
                r = connection.as_mut() => break r,
                () = stop.cancelled(), if !stopping => stopping = true,
                () = seat.leave().cancelled(), if !leaving => leaving = true,
            }
            // Who is at work ends it; within a body it is the body that ends.
            if leaving && matches!(seat.phase(), Phase::Idle | Phase::Answer) {
                tracing::debug!(%peer, "the connection makes room for another");
                return;
            }
            connection.as_mut().graceful_shutdown();
        };
        if let Err(error) = ended {
            seat.set_unread(true);
            tracing::debug!(%peer, %error, "connection ended");
        }
    }
}

/// Says that TLS is meant. What was sent is read first, up to a head's size: closing on unread bytes would reset the
/// connection, and the client would never see the words.
async fn refuse_clear(mut stream: Wire) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut head = vec![0; 16 * 1024];
    let _ = stream.read(&mut head).await;
    let _ = stream.write_all(SPEAK_TLS).await;
    let _ = stream.shutdown().await;
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_refusal_has_the_length_it_says() {
        let text = String::from_utf8_lossy(super::SPEAK_TLS);
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }
}
