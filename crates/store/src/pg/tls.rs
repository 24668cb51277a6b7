//! From a URL to a connection, with TLS as libpq means it: `sslmode` is `disable`, `prefer` (the default), `require`,
//! `verify-ca` or `verify-full`, `sslrootcert` a file of authorities or `system`.
//!
//! As in libpq, `prefer` and `require` accept any certificate unless `sslrootcert` is given; who wants to know whom
//! it talks to says `verify-full`. Nothing here ever repeats the URL: it has the password in it.

use crate::{Error, Result};
use postgres::config::SslMode;
use postgres::{Client, Config};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres_rustls::MakeRustlsConnect;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where the server is and how much it is trusted.
#[derive(Clone)]
pub(crate) struct Target {
    config: Config,
    tls: Arc<ClientConfig>,
}

/// What a certificate must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    Nothing,
    /// One of the authorities signed it.
    Authority,
    /// And it is of the host that was asked for.
    Name,
}

/// What the URL says about TLS.
#[derive(Debug, PartialEq, Eq)]
struct Wish {
    mode: SslMode,
    proof: Proof,
    roots: Option<String>,
}

impl Target {
    pub(crate) fn read(url: &str) -> Result<Target> {
        let (rest, wish) = split(url)?;
        let mut config: Config =
            rest.parse().map_err(|_| Error::Unavailable("the PostgreSQL URL cannot be read".into()))?;
        config.connect_timeout(TIMEOUT).ssl_mode(wish.mode);
        Ok(Target { config, tls: Arc::new(client(&wish)?) })
    }
    pub(crate) fn connect(&self) -> std::result::Result<Client, postgres::Error> {
        self.config.connect(MakeRustlsConnect::new(self.tls.as_ref().clone()))
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(Error::Unavailable(why.into()))
}

/// Takes out what the client library does not know. Pure.
fn split(url: &str) -> Result<(String, Wish)> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut mode, mut roots, mut rest) = ("prefer", None, Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=').unwrap_or((pair, "")) {
            ("sslmode", value) => mode = value,
            ("sslrootcert", value) => roots = Some(decoded(value)),
            ("sslnegotiation", _) => rest.push(pair),
            (name, _) if name.starts_with("ssl") => {
                return refuse(format!("the PostgreSQL URL: {name} is not supported; sslmode and sslrootcert are"));
            }
            _ => rest.push(pair),
        }
    }
    // As in libpq: who names authorities wants them to be asked.
    let any = if roots.is_some() { Proof::Authority } else { Proof::Nothing };
    let (mode, proof) = match mode {
        "disable" => (SslMode::Disable, Proof::Nothing),
        "prefer" => (SslMode::Prefer, any),
        "require" => (SslMode::Require, any),
        "verify-ca" => (SslMode::Require, Proof::Authority),
        "verify-full" => (SslMode::Require, Proof::Name),
        _ => return refuse("the PostgreSQL URL: sslmode is one of disable, prefer, require, verify-ca, verify-full"),
    };
    if roots.as_deref() == Some("system") && mode != SslMode::Disable && proof != Proof::Name {
        // Anybody can have a certificate that some public authority signed.
        return refuse("the PostgreSQL URL: sslrootcert=system needs sslmode=verify-full");
    }
    if proof != Proof::Nothing && roots.is_none() {
        return refuse(
            "the PostgreSQL URL: verify-ca and verify-full need sslrootcert=FILE with the authority's certificate \
             (PEM), or sslrootcert=system",
        );
    }
    let rest = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    Ok((rest, Wish { mode, proof, roots }))
}

/// `%2F` is `/`. Pure.
fn decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes {
        let hex = (*first == b'%').then(|| rest.get(..2)).flatten();
        match hex.and_then(|hex| std::str::from_utf8(hex).ok()).and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                bytes = &rest[2..];
            }
            None => {
                out.push(*first);
                bytes = rest;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn client(wish: &Wish) -> Result<ClientConfig> {
    let broken = |e: &dyn std::fmt::Display| Error::Unavailable(format!("TLS for PostgreSQL: {e}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| broken(&e))?;
    let roots = if wish.mode == SslMode::Disable { None } else { wish.roots.as_deref().map(roots).transpose()? };
    let roots = roots.map(Arc::new);
    let verifier = match (&roots, wish.proof) {
        (Some(roots), Proof::Authority | Proof::Name) => {
            let built = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
            Some(built.map_err(|e| broken(&e))?)
        }
        _ => None,
    };
    let verifier: Arc<dyn ServerCertVerifier> = match (verifier, wish.proof) {
        (Some(full), Proof::Name) => full,
        (chain, _) => Arc::new(Lenient { chain, provider }),
    };
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

fn roots(file: &str) -> Result<RootCertStore> {
    let mut store = RootCertStore::empty();
    if file == "system" {
        let (_, _bad) = store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    } else {
        let unreadable = |e: &dyn std::fmt::Display| Error::Unavailable(format!("sslrootcert {file}: {e}"));
        for certificate in CertificateDer::pem_file_iter(Path::new(file)).map_err(|e| unreadable(&e))? {
            let certificate = certificate.map_err(|e| unreadable(&e))?;
            store.add(certificate).map_err(|e| unreadable(&e))?;
        }
    }
    if store.is_empty() {
        return refuse(format!("sslrootcert {file}: no certificate in it"));
    }
    Ok(store)
}

/// Asks less of a certificate than a browser would; the handshake itself is always checked.
#[derive(Debug)]
struct Lenient {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        match chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            // The name is looked at after the chain was found good.
            Err(rustls::Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn wish(mode: SslMode, proof: Proof, roots: Option<&str>) -> Wish {
        Wish { mode, proof, roots: roots.map(str::to_owned) }
    }

    #[test]
    fn a_url_says_what_libpq_would_understand() {
        let parts = |query: &str| split(&format!("postgres://u:p@h/d{query}")).unwrap();
        assert_eq!(parts(""), ("postgres://u:p@h/d".into(), wish(SslMode::Prefer, Proof::Nothing, None)));
        let (rest, found) = parts("?sslmode=verify-full&options=-csearch_path%3Dx&sslrootcert=%2Fa%20b.pem");
        assert_eq!(rest, "postgres://u:p@h/d?options=-csearch_path%3Dx");
        assert_eq!(found, wish(SslMode::Require, Proof::Name, Some("/a b.pem")));
        assert_eq!(parts("?sslmode=require").1, wish(SslMode::Require, Proof::Nothing, None));
        assert_eq!(parts("?sslmode=require&sslrootcert=x").1, wish(SslMode::Require, Proof::Authority, Some("x")));
        assert_eq!(parts("?sslmode=disable&sslrootcert=system").1.mode, SslMode::Disable);
        for (query, word) in [
            ("?sslmode=verify-full", "sslrootcert=FILE"),
            ("?sslmode=verify-ca&sslrootcert=system", "verify-full"),
            ("?sslmode=allow", "one of"),
            ("?sslcert=mine", "sslcert is not supported"),
        ] {
            let error = split(&format!("postgres://u:secret@h/d{query}")).unwrap_err().to_string();
            assert!(error.contains(word) && !error.contains("secret"), "{query}: {error}");
        }
        let error = Target::read("postgres://u:secret@h:port/d").err().unwrap().to_string();
        assert!(!error.contains("secret"), "{error}");
        let error = Target::read("postgres://h/d?sslmode=verify-ca&sslrootcert=/nowhere.pem").err().unwrap().to_string();
        assert!(error.contains("/nowhere.pem"), "{error}");
    }
}
