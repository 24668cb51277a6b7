//! The one listener: clear on loopback, TLS anywhere else. Bounded: connections, header time, idle time.
//!
//! It knows sockets and certificates, never a route.

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// Connections served at once; further ones wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 8192;

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

/// Serves `router` until `stop`, then waits a moment for what runs. `head_time` is the time for a request's head, and
/// between requests on one connection.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    head_time: Duration,
    stop: CancellationToken,
) {
    // Links in answers say https where the client came over TLS.
    let scheme = if tls.is_some() { web::Scheme::Https } else { web::Scheme::Http };
    let router = router.layer(axum::Extension(scheme));
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let running = tokio_util::task::TaskTracker::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { break };
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            a = listener.accept() => a,
        };
        let (stream, peer) = match accepted {
            Ok(a) => a,
            Err(error) => {
                // Out of descriptors, usually: others may be closing some.
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let one = Connection { peer, router: router.clone(), head_time, stop: stop.clone() };
        let tls = tls.clone();
        running.spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            one.run(stream, tls).await;
        });
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
    router: Router,
    head_time: Duration,
    stop: CancellationToken,
}

impl Connection {
    async fn run(self, stream: TcpStream, tls: Option<TlsAcceptor>) {
        let Some(acceptor) = tls else { return self.http(stream).await };
        let peer = self.peer;
        let shaken = async {
            let mut first = [0];
            if stream.peek(&mut first).await.is_ok_and(|n| n == 1) && first[0] != HANDSHAKE {
                refuse_clear(stream).await;
                return None;
            }
            acceptor.accept(stream).await.inspect_err(|error| tracing::debug!(%peer, %error, "TLS handshake failed")).ok()
        };
        let stop = self.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            shaken = tokio::time::timeout(HANDSHAKE_TIME, shaken) => match shaken {
                Ok(Some(stream)) => self.http(stream).await,
                Ok(None) => {}
                Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
            },
        }
    }

    async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S) {
        let service = TowerToHyperService::new(self.router);
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_time)
            .max_buf_size(64 * 1024)
            .pipeline_flush(true)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            biased;
            r = connection.as_mut() => r,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %self.peer, %error, "connection ended");
        }
    }
}

/// Says that TLS is meant. What was sent is read first, up to a head's size: closing on unread bytes would reset the
/// connection, and the client would never see the words.
async fn refuse_clear(mut stream: TcpStream) {
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
