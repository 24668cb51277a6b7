//! A driver that stops leaves the daemon as it found it: alive, the same process, with no connection of ours.

#![allow(clippy::unwrap_used)]

mod lab;

use driver_api::*;
use lab::*;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::io::AsyncReadExt;

/// Lives with nothing to say but goodbye.
const QUIET: usize = 40;
/// Lives that end in the middle of events and with a console open.
const BUSY: usize = 30;

/// The daemon's process.
fn daemon() -> u32 {
    let file = socket().with_file_name("libvirtd.pid");
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display())).trim().parse().unwrap()
}

/// Inodes of the daemon's ends of connections, so that one that stays is seen.
fn connections(pid: u32) -> BTreeSet<String> {
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = fds.filter_map(|e| std::fs::read_link(e.ok()?.path()).ok());
    targets.filter_map(|t| t.to_str()?.strip_prefix("socket:").map(str::to_owned)).collect()
}

/// Waits until the daemon has no more connections than before: it closes its ends when it gets to it.
async fn wait_closed(pid: u32, before: &BTreeSet<String>) {
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    loop {
        let more: Vec<String> = connections(pid).difference(before).cloned().collect();
        if more.is_empty() {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "the daemon holds connections that nobody uses: {more:?}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

fn assert_alive(pid: u32, when: &str) {
    assert_eq!(daemon(), pid, "the daemon was started anew, {when}");
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    assert_eq!(name.trim(), "libvirtd", "the daemon is gone, {when}");
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    assert!(!state.contains(") Z "), "the daemon died, {when}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemon_survives_many_lives_of_the_driver() {
    let mut lab = lab("goodbye", options()).await;
    lab.driver.stop().await;
    let pid = daemon();
    let before = connections(pid);
    for n in 0..QUIET {
        lab.reopen().await;
        let mut events = lab.driver.events().unwrap();
        wait_event(&mut events, uuid::Uuid::nil(), EventKind::Connected).await;
        assert_eq!(lab.driver.list().await.unwrap(), vec![]);
        lab.driver.stop().await;
        assert_alive(pid, &format!("after quiet life {n}"));
    }
    wait_closed(pid, &before).await;

    lab.reopen().await;
    let s = spec(lab.images.add(DiskFormat::Qcow2, &guest_file("disk.qcow2")));
    lab.driver.spawn(&s, &op()).await.unwrap();
    lab.driver.stop().await;
    // The monitor of the guest and its log's pipe are the daemon's own.
    let before = connections(pid);
    // Somebody else makes events all the while.
    let (stop, id) = (Arc::new(AtomicBool::new(false)), s.id.to_string());
    let noise = {
        let stop = stop.clone();
        std::thread::spawn(move || {
            let mut n = 0;
            while !stop.load(Ordering::Relaxed) {
                virsh(&options().uri, &["suspend", &id]);
                virsh(&options().uri, &["resume", &id]);
                n += 1;
            }
            n
        })
    };
    for n in 0..BUSY {
        lab.reopen().await;
        let mut events = lab.driver.events().unwrap();
        wait_event(&mut events, uuid::Uuid::nil(), EventKind::Connected).await;
        let console = lab.driver.as_console().unwrap();
        let mut line = console.open_console(s.id, ConsoleKind::Serial).await.unwrap();
        let mut screen = console.open_console(s.id, ConsoleKind::Vnc).await.unwrap();
        let mut hello = [0; 3];
        screen.reader.read_exact(&mut hello).await.unwrap();
        assert_eq!(&hello, b"RFB");
        // A call whose caller has gone while the daemon is at it.
        let left = lab.driver.list();
        let _ = tokio::time::timeout(std::time::Duration::from_micros(200), left).await;
        lab.driver.stop().await;
        let mut rest = Vec::new();
        line.reader.read_to_end(&mut rest).await.unwrap();
        assert_alive(pid, &format!("after busy life {n}"));
    }
    stop.store(true, Ordering::Relaxed);
    assert!(noise.join().unwrap() > 0, "no event was made");
    wait_closed(pid, &before).await;

    lab.reopen().await;
    lab.driver.destroy(s.id, DestroyMode::Everything, &op()).await.unwrap();
    lab.driver.stop().await;
    assert_alive(pid, "at the end");
}
