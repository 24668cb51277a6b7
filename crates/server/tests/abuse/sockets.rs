//! Connections without end: more than there are places, and more than there are descriptors.

use crate::place::{Place, until};
use crate::wild::{ABUSER, OTHER, Other, Process, ask, dial, own_descriptors};
use std::io::{Read, Write};
use std::net::TcpStream;

const CONFIG: &str = "[[compute]]\nname = 'f1'\ndriver = 'fake'\n";
/// What an abuse may cost, MiB. An unoptimised build needs some thirty KiB for each connection.
const MAY_GROW: u64 = 600;

/// Reads one answer of a connection that stays; its status.
fn status_of(stream: &mut TcpStream) -> u16 {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head).to_lowercase();
    let length = text.lines().find_map(|l| l.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    let _ = stream.read_exact(&mut vec![0; length]);
    text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0)
}

#[test]
fn ten_thousand_open_sockets() {
    let open = own_descriptors().saturating_sub(1000).min(10_000);
    assert!(open >= 3000, "this test needs descriptors: ulimit -Hn 11000");
    let place = Place::new();
    let up = place.up_with(CONFIG);
    let (process, other) = (Process::of(&up), Other::new(&place, &up));
    let before = process.resident();
    // One who keeps his connection, as every client library does.
    let mut kept = dial(OTHER, up.address()).unwrap();
    let mut again = || {
        let sent = kept.write_all(b"GET /identity/v3 HTTP/1.1\r\nhost: cloud\r\n\r\n");
        sent.map_or(0, |()| status_of(&mut kept))
    };
    assert_eq!(again(), 200);
    let mut sockets = Vec::new();
    for n in 0..open {
        let mut stream = dial(ABUSER, up.address()).unwrap();
        if n % 3 == 0 {
            stream.write_all(b"POST /compute/v2.1/servers HTTP/1.1\r\nhost: cl").unwrap();
        }
        sockets.push(stream);
        if n % 1000 == 0 {
            other.is_served();
        }
    }
    other.is_served();
    assert_eq!(again(), 200, "the place of one who behaves was given to one of the crowd");
    let grown = process.resident().saturating_sub(before);
    assert!(grown < MAY_GROW, "{open} sockets cost {grown} MiB");
    drop(sockets);
    until("the crowd to be gone", || (process.descriptors() < 100).then_some(()));
    place.run(&["status"]).good();
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn no_descriptors_left() {
    let place = Place::new();
    let up = place.up_with(CONFIG);
    let (process, other) = (Process::of(&up), Other::new(&place, &up));
    // Less than it counted on when it began: the machine has no more to give.
    let few = process.descriptors() as u64 + 40;
    let limit = rustix::process::Rlimit { current: Some(few), maximum: Some(few) };
    let pid = rustix::process::Pid::from_raw(process.pid());
    rustix::process::prlimit(pid, rustix::process::Resource::Nofile, limit).unwrap();
    let mut sockets = Vec::new();
    for n in 0..400 {
        sockets.push(dial(ABUSER, up.address()).unwrap());
        if n % 100 == 99 {
            until("another to be served", || (other.list().status == 200).then_some(()));
        }
    }
    let told = place.read("up.err").matches("cannot be accepted").count();
    assert!((1..10).contains(&told), "told {told} times");
    drop(sockets);
    until("another to be served", || (other.list().status == 200).then_some(()));
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn a_process_that_may_open_little() {
    let place = Place::new();
    let config = place.file("kilonova.toml", CONFIG);
    let script = "ulimit -n 200; exec \"$0\" up --config \"$1\" --data-dir \"$2\" --listen 127.0.0.1:0 >up.out 2>up.err";
    let binary = env!("CARGO_BIN_EXE_kilonova");
    let mut child = place.command("sh").args(["-c", script, binary]).arg(config).arg(place.data()).spawn().unwrap();
    let json = until("the cloud", || std::fs::read_to_string(place.data().join("cloud.json")).ok().filter(|t| t.ends_with('}')));
    let file: serde_json::Value = serde_json::from_str(&json).unwrap();
    let address = file["auth_url"].as_str().unwrap().split('/').nth(2).unwrap().parse().unwrap();
    let sockets: Vec<TcpStream> = (0..600).map(|_| dial(ABUSER, address).unwrap()).collect();
    for _ in 0..20 {
        assert_eq!(ask(OTHER, address, "GET /identity/v3 HTTP/1.1", b"").status, 200);
    }
    assert!(!place.read("up.err").contains("cannot be accepted"), "it keeps within what it may open");
    drop(sockets);
    place.run(&["status"]).good();
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
}
