//! The listener's certificate: the operator's, or one made at the first start and signed by an authority of this cloud.
//!
//! The authority stays as long as the data directory does, so that a client that trusts it goes on when the address
//! changes. It never leaves the machine's own keys to anybody but their owner.

use crate::clouds_yaml::private;
use crate::config::Config;
use crate::datadir::DataDir;
use crate::listener;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use tokio_rustls::TlsAcceptor;

/// What the listener presents and what clients are told to trust.
pub struct Presented {
    /// For the listener.
    pub acceptor: TlsAcceptor,
    /// For clients; `None` where they trust the certificate anyway.
    pub ca: Option<PathBuf>,
}

/// The certificate that `config` asks for: none on a loopback address unless one is named.
/// # Errors
/// Files that cannot be read, written or used.
pub fn prepare(config: &Config, data: &DataDir) -> Result<Option<Presented>, String> {
    let (chain, key, ca) = match (&config.tls.certificate, &config.tls.key) {
        (Some(chain), Some(key)) => (chain.clone(), key.clone(), config.tls.ca.clone()),
        _ if config.listen.ip().is_loopback() => return Ok(None),
        _ => {
            let (chain, key, ca) = own(config, data)?;
            (chain, key, Some(ca))
        }
    };
    let acceptor = listener::acceptor(&listener::read_certificate(&chain, &key)?)?;
    Ok(Some(Presented { acceptor, ca }))
}

/// Names by which clients may reach this cloud.
fn names(config: &Config) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let ip = config.listen.ip();
    if ip.is_unspecified() {
        names.extend(addresses().iter().map(IpAddr::to_string));
    } else {
        names.insert(ip.to_string());
    }
    names.extend(nix::unistd::gethostname().ok().and_then(|h| h.into_string().ok()).filter(|h| !h.is_empty()));
    names.extend(config.public_url.as_deref().and_then(host_of).map(str::to_owned));
    names
}

/// `cloud.example` of `https://cloud.example:8774/x`. Pure.
fn host_of(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']')?.0,
        None => authority.split(':').next()?,
    };
    (!host.is_empty()).then_some(host)
}

/// Addresses of this machine's interfaces.
fn addresses() -> Vec<IpAddr> {
    let Ok(list) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    list.filter_map(|i| {
        let a = i.address?;
        let v4 = a.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        v4.or_else(|| a.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
    })
    .collect()
}

/// Our own certificate, key and authority, made or made again where they do not fit the names.
fn own(config: &Config, data: &DataDir) -> Result<(PathBuf, PathBuf, PathBuf), String> {
    let [chain, key, ca, ca_key, for_names] =
        ["tls-certificate.pem", "tls-key.pem", "tls-ca.pem", "tls-ca-key.pem", "tls-names"].map(|f| data.join(f));
    let mut wanted = names(config);
    let before: BTreeSet<String> =
        std::fs::read_to_string(&for_names).unwrap_or_default().lines().map(str::to_owned).collect();
    let there = [&chain, &key, &ca].iter().all(|p| p.exists());
    if there && wanted.is_subset(&before) {
        return Ok((chain, key, ca));
    }
    wanted.extend(before);
    let authority = authority(&ca, &ca_key)?;
    let made = leaf(&authority, wanted.iter().cloned().collect()).map_err(|e| format!("no certificate can be made: {e}"))?;
    // The list of names last: whoever finds it finds what it speaks of.
    let _ = std::fs::remove_file(&for_names);
    put(&key, &made.key)?;
    put(&chain, &made.chain)?;
    put(&for_names, &wanted.into_iter().map(|n| n + "\n").collect::<String>())?;
    Ok((chain, key, ca))
}

fn put(path: &Path, text: &str) -> Result<(), String> {
    private(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// The same words at every start, so that the authority can be taken up again from its key.
fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut p = CertificateParams::new(Vec::new())?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Kilonova cloud authority");
    p.distinguished_name = name;
    p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    p.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(p)
}

/// The authority of the two files, made where they are not there.
fn authority(ca: &Path, ca_key: &Path) -> Result<Issuer<'static, KeyPair>, String> {
    let wrong = |e: rcgen::Error| format!("the authority {} cannot be used: {e}", ca.display());
    let params = authority_params().map_err(wrong)?;
    if let (Ok(text), true) = (std::fs::read_to_string(ca_key), ca.exists()) {
        return Ok(Issuer::new(params, KeyPair::from_pem(&text).map_err(wrong)?));
    }
    let key = KeyPair::generate().map_err(wrong)?;
    let certificate = params.self_signed(&key).map_err(wrong)?;
    put(ca_key, &key.serialize_pem())?;
    put(ca, &certificate.pem())?;
    // Everybody may trust it.
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(ca, std::fs::Permissions::from_mode(0o644)).map_err(|e| format!("{}: {e}", ca.display()))?;
    Ok(Issuer::new(params, key))
}

/// A certificate for `names`. Strict clients (Python 3.13's among them) want each of these extensions.
fn leaf(issuer: &Issuer<'_, KeyPair>, names: Vec<String>) -> Result<listener::Certificate, rcgen::Error> {
    let mut p = CertificateParams::new(names)?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "Kilonova cloud");
    p.distinguished_name = name;
    p.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    p.use_authority_key_identifier_extension = true;
    p.is_ca = IsCa::ExplicitNoCa;
    let key = KeyPair::generate()?;
    let certificate = p.signed_by(&key, issuer)?;
    Ok(listener::Certificate { chain: certificate.pem(), key: key.serialize_pem() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_host_of_a_url() {
        for (url, host) in [
            ("https://cloud.example", Some("cloud.example")),
            ("https://cloud.example:8774/x", Some("cloud.example")),
            ("https://[fd00::1]:8774", Some("fd00::1")),
            ("cloud.example", None),
            ("https://", None),
        ] {
            assert_eq!(host_of(url), host, "{url}");
        }
    }

    #[test]
    fn the_authority_outlives_a_change_of_address() {
        let dir = tempfile::tempdir().unwrap();
        let data = DataDir::open(dir.path(), false).unwrap();
        let at = |address: &str| Config { listen: address.parse().unwrap(), ..Config::default() };
        let read = |name: &str| std::fs::read_to_string(data.join(name)).unwrap();
        assert!(prepare(&at("127.0.0.1:0"), &data).unwrap().is_none());
        prepare(&at("192.0.2.1:0"), &data).unwrap().unwrap();
        let (ca, first) = (read("tls-ca.pem"), read("tls-certificate.pem"));
        prepare(&at("192.0.2.1:1"), &data).unwrap().unwrap();
        assert_eq!(read("tls-certificate.pem"), first, "the same names keep the same certificate");
        let again = prepare(&at("192.0.2.2:0"), &data).unwrap().unwrap();
        assert_eq!(again.ca, Some(data.join("tls-ca.pem")));
        assert_ne!(read("tls-certificate.pem"), first);
        assert_eq!(read("tls-ca.pem"), ca);
        assert!(read("tls-names").contains("192.0.2.1\n") && read("tls-names").contains("192.0.2.2\n"));
    }
}
