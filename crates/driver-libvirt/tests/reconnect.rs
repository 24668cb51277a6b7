//! The daemon goes and comes; the driver stays. A relay before the real daemon plays its absence.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod lab;

use driver_api::*;
use lab::*;
use std::path::Path;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Relays connections on `path` to the real daemon until the token fires, which cuts them all.
fn relay(path: &Path) -> CancellationToken {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path).unwrap();
    let (end, path) = (CancellationToken::new(), path.to_owned());
    let token = end.clone();
    tokio::spawn(async move {
        loop {
            let mut client = tokio::select! {
                biased;
                () = token.cancelled() => break,
                c = listener.accept() => c.unwrap().0,
            };
            let token = token.clone();
            tokio::spawn(async move {
                let mut daemon = UnixStream::connect(socket()).await.unwrap();
                tokio::select! {
                    biased;
                    () = token.cancelled() => {}
                    _ = tokio::io::copy_bidirectional(&mut client, &mut daemon) => {}
                }
            });
        }
        drop(listener);
        let _ = std::fs::remove_file(path);
    });
    end
}

#[tokio::test]
async fn the_driver_outlives_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sock");
    let mut options = options();
    options.uri = format!("qemu+unix:///system?socket={}", path.display());
    // Nobody listens: the start succeeds and says why nothing works.
    let lab = lab("reconnect", options).await;
    let mut events = lab.driver.events().unwrap();
    let e = lab.driver.nodes().await.unwrap_err();
    assert_eq!(e.kind, ErrorKind::Unreachable);
    assert!(e.detail.unwrap().contains("sock"));
    assert_eq!(lab.driver.list().await.unwrap_err().kind, ErrorKind::Unreachable);
    let s = spec(lab.images.add(DiskFormat::Qcow2, &guest_file("disk.qcow2")));
    assert_eq!(lab.driver.spawn(&s, &op()).await.unwrap_err().kind, ErrorKind::Unreachable);
    assert_eq!(
        lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap_err().kind,
        ErrorKind::Unreachable
    );
    wait_event(&mut events, Uuid::nil(), EventKind::Disconnected).await;

    for _ in 0..2 {
        let daemon = relay(&path);
        wait_event(&mut events, Uuid::nil(), EventKind::Connected).await;
        lab.driver.nodes().await.unwrap();
        lab.driver.list().await.unwrap();
        daemon.cancel();
        wait_event(&mut events, Uuid::nil(), EventKind::Disconnected).await;
        assert_eq!(lab.driver.nodes().await.unwrap_err().kind, ErrorKind::Unreachable);
    }
    lab.driver.stop().await;
    let end = async { while events.recv().await.is_some() {} };
    tokio::time::timeout(Duration::from_secs(20), end).await.expect("the stream of events ends with the driver");
}

#[tokio::test]
async fn over_tcp_there_is_no_display_and_all_else() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut daemon = UnixStream::connect(socket()).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut daemon).await;
            });
        }
    });
    let mut options = options();
    options.uri = format!("qemu+tcp://127.0.0.1:{port}/system");
    let lab = lab("tcp", options).await;
    assert_eq!(lab.driver.nodes().await.unwrap()[0].hypervisor_type, "QEMU");
    assert_eq!(lab.driver.as_console().unwrap().kinds(), [ConsoleKind::Serial]);
}
