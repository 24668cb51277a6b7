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
/// Time for a request's head, and between requests on one connection.
const HEAD_TIME: Duration = Duration::from_secs(75);

/// Certificates and key in PEM.
pub struct Certificate {
    /// Chain.
    pub chain: String,
    /// Private key.
    pub key: String,
}

/// Makes a self-signed certificate for `names`.
/// # Errors
/// What the generator says.
pub fn self_signed(names: Vec<String>) -> Result<Certificate, String> {
    let made = rcgen::generate_simple_self_signed(names).map_err(|e| e.to_string())?;
    Ok(Certificate { chain: made.cert.pem(), key: made.signing_key.serialize_pem() })
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

/// Serves `router` until `stop`, then waits a moment for what runs.
pub async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
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
        let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
        running.spawn(async move {
            let _place = place;
            let _ = stream.set_nodelay(true);
            connection(stream, peer, tls, router, stop).await;
        });
    }
    running.close();
    let _ = tokio::time::timeout(Duration::from_secs(3), running.wait()).await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, tls: Option<TlsAcceptor>, router: Router, stop: CancellationToken) {
    match tls {
        None => http(stream, router, stop).await,
        Some(acceptor) => match tokio::time::timeout(Duration::from_secs(10), acceptor.accept(stream)).await {
            Ok(Ok(stream)) => http(stream, router, stop).await,
            Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
            Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
        },
    }
}

async fn http<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, router: Router, stop: CancellationToken) {
    let service = TowerToHyperService::new(router);
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(64 * 1024)
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        r = connection.as_mut() => r,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
