//! Clients that begin and do not go on: heads and bodies byte by byte, bodies cut off, answers that nobody takes.

use crate::place::{Place, Up, until};
use crate::wild::{ABUSER, OTHER, Other, Process, ask, dial, hear};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

const MAY_GROW: u64 = 300;
/// A slow client's pause.
const PAUSE: Duration = Duration::from_millis(100);

fn config(limits: &str) -> String {
    format!("header_seconds = 2\n[limits]\n{limits}\n[[compute]]\nname = 'f1'\ndriver = 'fake'\n")
}

/// Sends a byte now and then until it is told to stop, or is cut off.
fn dribble(stream: &mut TcpStream, stop: &AtomicBool) {
    while !stop.load(Relaxed) && stream.write_all(b"x").is_ok() {
        std::thread::sleep(PAUSE);
    }
}

/// An image without bytes; its id.
fn image(other: &Other, up: &Up<'_>) -> String {
    let head = format!("POST /image/v2/images HTTP/1.1\r\ncontent-type: application/json\r\nx-auth-token: {}", other.token());
    let made = ask(OTHER, up.address(), &head, br#"{"name":"i","disk_format":"raw","container_format":"bare"}"#);
    assert_eq!(made.status, 201, "{made:?}");
    serde_json::from_str::<serde_json::Value>(&made.body).unwrap()["id"].as_str().unwrap().to_owned()
}

fn status_of(other: &Other, up: &Up<'_>, id: &str) -> String {
    let head = format!("GET /image/v2/images/{id} HTTP/1.1\r\nx-auth-token: {}", other.token());
    let shown = ask(OTHER, up.address(), &head, b"");
    serde_json::from_str::<serde_json::Value>(&shown.body).unwrap()["status"].as_str().unwrap().to_owned()
}

fn upload_head(other: &Other, id: &str, length: usize) -> String {
    format!(
        "PUT /image/v2/images/{id}/file HTTP/1.1\r\nhost: cloud\r\nconnection: close\r\ncontent-type: application/octet-stream\r\n\
         x-auth-token: {}\r\ncontent-length: {length}\r\n\r\n",
        other.token()
    )
}

#[test]
fn heads_and_bodies_byte_by_byte() {
    let place = Place::new();
    let up = place.up_with(&config("requests = 16\nbody_seconds = 3"));
    let (process, other, address) = (Process::of(&up), Other::new(&place, &up), up.address());
    let (before, stop) = (process.resident(), AtomicBool::new(false));
    let answers: Vec<_> = std::thread::scope(|s| {
        let slow = |n: usize| {
            let mut stream = dial(ABUSER, address).unwrap();
            let begun: &[u8] = match n % 2 {
                0 => b"GET /identity/v3 HTTP/1.1\r\nhost: cloud\r\nx-slow: ",
                _ => b"POST /identity/v3/auth/tokens HTTP/1.1\r\nhost: cloud\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n{",
            };
            stream.write_all(begun).unwrap();
            let mut reader = stream.try_clone().unwrap();
            let listening = s.spawn(move || hear(&mut reader));
            dribble(&mut stream, &stop);
            listening.join().unwrap()
        };
        let workers: Vec<_> = (0..60).map(|n| s.spawn(move || (n, slow(n)))).collect();
        // More slow bodies than there are places: who comes waits a second at most, and is told when to come again.
        for _ in 0..10 {
            until("another to be served", || {
                let answer = other.list();
                if answer.status == 503 {
                    answer.says_when();
                }
                (answer.status == 200).then_some(())
            });
        }
        let answers: Vec<_> = workers.into_iter().map(|w| w.join().unwrap()).collect();
        stop.store(true, Relaxed);
        answers
    });
    for (n, answer) in &answers {
        // Heads are cut off; bodies are told why, where there is somebody to read it.
        let expected: &[u16] = if n % 2 == 0 { &[0, 408] } else { &[408, 503] };
        assert!(expected.contains(&answer.status), "{n}: {answer:?}");
        if answer.status == 503 {
            answer.says_when();
        }
    }
    assert!(answers.iter().any(|(_, a)| a.status == 408 && a.body.contains("too slowly")), "{answers:?}");
    let grown = process.resident().saturating_sub(before);
    assert!(grown < MAY_GROW, "{grown} MiB");
    other.is_served();
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn an_upload_may_take_long_but_not_stand_still() {
    let place = Place::new();
    let up = place.up_with(&config("body_seconds = 2\nbody_bytes = 8"));
    let other = Other::new(&place, &up);
    let (long, still) = (image(&other, &up), image(&other, &up));
    std::thread::scope(|s| {
        let standing = s.spawn(|| {
            let mut stream = dial(ABUSER, up.address()).unwrap();
            stream.write_all(upload_head(&other, &still, 1 << 20).as_bytes()).unwrap();
            stream.write_all(&[0; 5000]).unwrap();
            hear(stream)
        });
        // Thrice the time in which a standing one is cut off, and more.
        let mut stream = dial(OTHER, up.address()).unwrap();
        stream.write_all(upload_head(&other, &long, 80 * 16).as_bytes()).unwrap();
        for _ in 0..80 {
            stream.write_all(&[0; 16]).unwrap();
            std::thread::sleep(PAUSE);
        }
        assert_eq!(hear(stream).status, 204);
        let answer = standing.join().unwrap();
        assert_eq!(answer.status, 408, "{answer:?}");
    });
    assert_eq!(status_of(&other, &up, &long), "active");
    assert_eq!(status_of(&other, &up, &still), "queued");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn bodies_cut_off_leave_nothing_half_done() {
    let place = Place::new();
    let up = place.up_with(&config(""));
    let (process, other) = (Process::of(&up), Other::new(&place, &up));
    let (id, open) = (image(&other, &up), process.descriptors());
    for n in 0..200 {
        let mut stream = dial(ABUSER, up.address()).unwrap();
        stream.write_all(upload_head(&other, &id, 1 << 20).as_bytes()).unwrap();
        stream.write_all(&[0; 4000]).unwrap();
        if n % 2 == 0 {
            stream.shutdown(Shutdown::Write).unwrap();
            let answer = hear(stream);
            assert!([0, 400, 409].contains(&answer.status), "{answer:?}");
        }
    }
    until("the image to wait for bytes again", || (status_of(&other, &up, &id) == "queued").then_some(()));
    until("all descriptors to be given back", || (process.descriptors() <= open + 4).then_some(()));
    let stored = std::fs::read_dir(place.data().join("images")).unwrap().filter(|e| e.as_ref().unwrap().path().is_file()).count();
    assert_eq!(stored, 0);
    place.run(&["audit"]).good();
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn answers_that_nobody_takes() {
    const SIZE: usize = 64 << 20;
    let place = Place::new();
    let up = place.up_with(&config("answer_seconds = 2"));
    let (process, other) = (Process::of(&up), Other::new(&place, &up));
    let id = image(&other, &up);
    let mut stream = dial(OTHER, up.address()).unwrap();
    stream.write_all(upload_head(&other, &id, SIZE).as_bytes()).unwrap();
    stream.write_all(&vec![0; SIZE]).unwrap();
    assert_eq!(hear(stream).status, 204);
    let (before, open) = (process.resident(), process.descriptors());
    let head = format!("GET /image/v2/images/{id}/file HTTP/1.1\r\nhost: cloud\r\nx-auth-token: {}\r\n\r\n", other.token());
    let mut deaf: Vec<TcpStream> = (0..30)
        .map(|_| {
            let mut stream = dial(ABUSER, up.address()).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    until("the downloads to begin", || (process.descriptors() >= open + 30).then_some(()));
    other.is_served();
    until("them to be given up", || (process.descriptors() <= open + 2).then_some(()));
    let mut got = Vec::new();
    let _ = deaf[0].read_to_end(&mut got);
    assert!(got.len() < SIZE, "the whole answer came");
    let grown = process.resident().saturating_sub(before);
    assert!(grown < MAY_GROW, "{grown} MiB");
    // Who takes it, gets it.
    let head = head.trim_end().replace("host: cloud\r\n", "");
    assert_eq!(ask(OTHER, up.address(), &head, b"").body.len(), SIZE);
    assert_eq!(up.stop(), Some(0));
}
