//! Beyond this machine only TLS is spoken, and what a client must trust is in every file that clients read.

use crate::place::{Place, http};
use client::{Cloud, Credentials};
use std::net::IpAddr;

/// An address of this machine that others could dial.
fn own_address() -> IpAddr {
    let addresses = nix::ifaddrs::getifaddrs().unwrap().filter_map(|i| Some(IpAddr::V4(i.address?.as_sockaddr_in()?.ip())));
    addresses
        .into_iter()
        .find(|a| !a.is_loopback())
        .expect("this test needs an IPv4 address that is not a loopback one: ip link add kn0 type dummy; ip addr add 192.0.2.77/32 dev kn0; ip link set kn0 up")
}

#[test]
fn another_address_than_loopback_speaks_tls_only() {
    let place = Place::new();
    place.file("tiny.raw", vec![0; 1 << 20]);
    let address = own_address();
    let listen = format!("{address}:0");
    let up = place.up(&["--driver", "fake", "--listen", &listen]);
    assert!(up.auth_url().starts_with(&format!("https://{address}:")), "{}", up.auth_url());
    let ca = place.data().join("tls-ca.pem");
    assert_eq!(up.ready["ca"].as_str(), ca.to_str());
    assert_eq!(Place::mode(&ca), "644", "whoever may reach the cloud may trust it");
    for key in ["tls-key.pem", "tls-ca-key.pem"] {
        assert_eq!(Place::mode(&place.data().join(key)), "600", "{key}");
    }
    let yaml = std::fs::read_to_string(place.clouds_yaml()).unwrap();
    assert!(yaml.contains(&format!("cacert: \"{}\"", ca.display())), "{yaml}");

    let (status, text) = http(up.address(), "GET /identity/v3 HTTP/1.1", b"");
    assert!(status == 400 && text.contains("https://"), "clear HTTP is refused in words: {text}");

    let api = up.api();
    for service in ["compute", "image", "network", "identity"] {
        assert!(api.cloud.url(service).unwrap().starts_with(&format!("https://{address}:")), "{service}");
    }
    let secret = place.read("data/admin-password");
    let without = Credentials {
        auth_url: up.auth_url().into(),
        username: "admin".into(),
        password: secret.trim().into(),
        project: "admin".into(),
        domain: "default".into(),
        ..Credentials::default()
    };
    assert!(api.runtime.block_on(Cloud::login(&without)).is_err(), "nobody trusts it who was not told to");

    place.run(&["launch", "tiny.raw", "--wait", "active"]).good();
    let script = format!("eval \"$(\"$0\" env --data-dir '{}')\"; test -n \"$OS_CACERT\"; \"$0\" status --json", place.data().display());
    let status = place.shell("sh", &script).good().json();
    assert_eq!(status["servers"]["ACTIVE"], 1);
    assert!(place.run(&["console", "first", "--json"]).good().json()["url"].as_str().unwrap().starts_with("wss://"));
    place.run(&["console", "first"]).good();
    let before = std::fs::read(&ca).unwrap();
    up.stop();

    // The same authority after a restart on another address: who trusted it goes on.
    let up = place.up(&["--driver", "fake", "--listen", "0.0.0.0:0"]);
    assert_eq!(std::fs::read(&ca).unwrap(), before);
    let port = up.address().port();
    let named = Credentials { auth_url: format!("https://{address}:{port}/identity/v3"), ca: Some(before), ..without };
    api.runtime.block_on(Cloud::login(&named)).unwrap();
    up.api();
}

#[test]
fn a_certificate_of_the_operators_own_is_presented() {
    let place = Place::new();
    // One that an earlier start made is as good as any.
    let up = place.up(&["--driver", "fake", "--listen", &format!("{}:0", own_address())]);
    up.stop();
    for (from, to) in [("tls-certificate.pem", "c.pem"), ("tls-key.pem", "k.pem"), ("tls-ca.pem", "ca.pem")] {
        std::fs::copy(place.data().join(from), place.path(to)).unwrap();
    }
    std::fs::remove_dir_all(place.data()).unwrap();
    let config = "[tls]\ncertificate = 'c.pem'\nkey = 'k.pem'\nca = 'ca.pem'\n[[compute]]\nname = 'f1'\ndriver = 'fake'\n";
    let up = place.up_with(config);
    assert!(up.auth_url().starts_with("https://127.0.0.1:"), "named, it is used on a loopback address too");
    assert!(!place.data().join("tls-key.pem").exists());
    place.run(&["status"]).good();
}
