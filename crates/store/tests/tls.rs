//! TLS to PostgreSQL means what libpq means by it, tried on a real server whose certificate is for 127.0.0.1 alone.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use store::{Result, Store};

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run lab/postgresql/up, then `. lab/state/postgresql/env`"))
}

/// Whether the session is encrypted.
async fn connected(url: &str) -> Result<bool> {
    let store = Store::open_postgres(url, 1)?;
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    store.read(move |tx| tx.query_one(sql, &[])?.unwrap().get::<i64>("ssl")).await.map(|ssl| ssl == 1)
}

#[tokio::test]
async fn each_sslmode_asks_what_it_says() {
    // A schema of its own, on the real server.
    let own = store::testing::postgres(1);
    let (url, ca) = (own.url.clone().unwrap(), variable("KILONOVA_TEST_POSTGRES_CA"));
    let elsewhere = url.replace("127.0.0.1", "localhost");
    assert!(url.contains("127.0.0.1") && url.contains('?'), "the lab's URL");
    let stranger = tempfile::NamedTempFile::new().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(stranger.path(), authority.self_signed(&key).unwrap().pem()).unwrap();
    let stranger = stranger.path().to_str().unwrap().to_owned();

    for (base, words, encrypted) in [
        (&url, "sslmode=disable".to_owned(), false),
        (&url, String::new(), true),
        (&url, "sslmode=prefer".to_owned(), true),
        (&url, "sslmode=require".to_owned(), true),
        (&elsewhere, "sslmode=require".to_owned(), true),
        (&elsewhere, format!("sslmode=verify-ca&sslrootcert={ca}"), true),
        (&url, format!("sslmode=verify-full&sslrootcert={ca}"), true),
    ] {
        let found = connected(&format!("{base}&{words}")).await;
        assert_eq!(found.unwrap_or_else(|e| panic!("{words}: {e}")), encrypted, "{words}");
    }
    for (base, words, why) in [
        (&elsewhere, format!("sslmode=verify-full&sslrootcert={ca}"), "not valid for"),
        (&url, format!("sslmode=verify-full&sslrootcert={stranger}"), "UnknownIssuer"),
        (&url, format!("sslmode=verify-ca&sslrootcert={stranger}"), "UnknownIssuer"),
        (&url, format!("sslmode=require&sslrootcert={stranger}"), "UnknownIssuer"),
        (&url, "sslmode=verify-full".to_owned(), "sslrootcert=FILE"),
    ] {
        let error = connected(&format!("{base}&{words}")).await.unwrap_err().to_string();
        assert!(error.contains(why), "{words}: {error}");
    }
}

/// A server without TLS: `require` does not speak to it, and says so.
#[tokio::test]
async fn require_refuses_a_server_without_tls() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 8];
        stream.read_exact(&mut request).unwrap();
        assert_eq!(request[4..], 80_877_103_u32.to_be_bytes());
        stream.write_all(b"N").unwrap();
        assert_eq!(stream.read(&mut request).unwrap(), 0, "nothing is sent in the clear");
    });
    let url = format!("postgres://u:p@127.0.0.1:{port}/d?sslmode=require");
    let error = tokio::task::spawn_blocking(move || Store::open_postgres(&url, 1).map(drop)).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("does not support TLS"), "{error}");
    server.join().unwrap();
}
