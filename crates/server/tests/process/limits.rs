//! One client's excess does not become everybody's trouble.

use crate::place::{PATIENCE, Place, http};
use std::io::{Read, Write};
use std::net::TcpStream;

const CONFIG: &str = "header_seconds = 1\n[[compute]]\nname = 'f1'\ndriver = 'fake'\n";

#[test]
fn a_body_beyond_the_limit_is_413_and_the_next_request_is_served() {
    let place = Place::new();
    let up = place.up_with(CONFIG);
    let large = vec![b' '; 1 << 20];
    let json = "content-type: application/json";
    let (status, text) = http(up.address(), &format!("POST /identity/v3/auth/tokens HTTP/1.1\r\n{json}"), &large);
    assert_eq!(status, 413, "{text}");
    let token = up.api().cloud.token().to_owned();
    let (status, text) = http(up.address(), &format!("POST /compute/v2.1/servers HTTP/1.1\r\n{json}\r\nx-auth-token: {token}"), &large);
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("overLimit") || text.contains("too large") || text.contains("larger"), "{text}");
    let long = format!("GET /compute/{} HTTP/1.1", "x".repeat(100_000));
    // It is cut off while it is being sent, so the words may not arrive.
    let (status, _) = http(up.address(), &long, b"");
    assert!([0, 414, 431].contains(&status), "{status}");
    place.run(&["status"]).good();
}

#[test]
fn a_slow_head_is_cut_off_and_idle_connections_hold_nobody_up() {
    let place = Place::new();
    let up = place.up_with(CONFIG);
    let idle: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(up.address()).unwrap()).collect();
    let mut slow = TcpStream::connect(up.address()).unwrap();
    slow.write_all(b"GET /identity/v3 HTTP/1.1\r\nhost: x\r\nx-slo").unwrap();
    for _ in 0..5 {
        let (status, text) = http(up.address(), "GET /identity/v3 HTTP/1.1", b"");
        assert_eq!(status, 200, "{text}");
    }
    place.run(&["status"]).good();
    // What ends is said by the end of the stream; the time it takes is not looked at.
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = Vec::new();
    let ended = slow.read_to_end(&mut said);
    assert!(ended.is_ok() && !said.starts_with(b"HTTP/1.1 200"), "{ended:?} {said:?}");
    drop(idle);
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn idle_connections_do_not_delay_the_end() {
    let place = Place::new();
    let up = place.up(&["--driver", "fake"]);
    let idle: Vec<TcpStream> = (0..50).map(|_| TcpStream::connect(up.address()).unwrap()).collect();
    let mut begun = TcpStream::connect(up.address()).unwrap();
    begun.write_all(b"POST /identity/v3/auth/tokens HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{").unwrap();
    assert_eq!(up.stop(), Some(0));
    drop((idle, begun));
}
