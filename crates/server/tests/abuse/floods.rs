//! Floods: forged tokens, guessed passwords, heads and bodies beyond every measure.

use crate::place::Place;
use crate::wild::{ABUSER, OTHER, Other, Process, ask, login};

const MAY_GROW: u64 = 300;

fn config(limits: &str) -> String {
    format!("[limits]\n{limits}\n[[compute]]\nname = 'f1'\ndriver = 'fake'\n")
}

#[test]
fn forged_tokens() {
    let place = Place::new();
    let up = place.up_with(&config("failed_tokens = 60"));
    let (process, other, address) = (Process::of(&up), Other::new(&place, &up), up.address());
    let before = process.resident();
    let forged = |from: &str, service: &str, n: usize| {
        ask(from, address, &format!("GET {service} HTTP/1.1\r\nx-auth-token: gAAAAAB{n}"), b"")
    };
    let services = ["/compute/v2.1/servers", "/network/v2.0/networks", "/image/v2/images", "/identity/v3/users"];
    let answers: Vec<_> = std::thread::scope(|s| {
        let workers: Vec<_> = (0..16)
            .map(|w| s.spawn(move || (0..40).map(|n| forged(ABUSER, services[w % 4], n)).collect::<Vec<_>>()))
            .collect();
        for _ in 0..20 {
            other.is_served();
        }
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|a| a.status == status).count();
    assert_eq!(count(401) + count(429), 640, "{:?}", answers.iter().map(|a| a.status).collect::<Vec<_>>());
    assert!(count(401) >= 60 && count(429) >= 400, "{} 401, {} 429", count(401), count(429));
    for a in answers.iter().filter(|a| a.status == 429) {
        a.says_when();
        assert!(a.body.contains("Too many failed attempts"), "{a:?}");
    }
    // Another address is not meant, and a token that is right is right everywhere.
    assert_eq!(forged(OTHER, services[0], 0).status, 401);
    let head = format!("GET /compute/v2.1/servers HTTP/1.1\r\nx-auth-token: {}", other.token());
    assert_eq!(ask(ABUSER, address, &head, b"").status, 200);
    let grown = process.resident().saturating_sub(before);
    assert!(grown < MAY_GROW, "{grown} MiB");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn guessed_passwords() {
    let place = Place::new();
    let up = place.up_with(&config("failed_logins = 30"));
    let (process, other, address) = (Process::of(&up), Other::new(&place, &up), up.address());
    let before = process.resident();
    let right = place.read("data/admin-password").trim().to_owned();
    let answers: Vec<_> = std::thread::scope(|s| {
        let guess = |w: usize, n: usize| login(ABUSER, address, if w.is_multiple_of(2) { "admin" } else { "nobody" }, &format!("guess {n}"));
        let workers: Vec<_> =
            (0..32).map(|w| s.spawn(move || (0..8).map(|n| guess(w, n)).collect::<Vec<_>>())).collect();
        for _ in 0..10 {
            other.is_served();
        }
        assert_eq!(login(OTHER, address, "admin", &right).status, 201, "another logs in meanwhile");
        workers.into_iter().flat_map(|w| w.join().unwrap()).collect()
    });
    let count = |status: u16| answers.iter().filter(|a| a.status == status).count();
    assert_eq!(count(401) + count(429) + count(503), 256);
    assert!(count(401) >= 30 && count(429) >= 100, "{} 401, {} 429", count(401), count(429));
    answers.iter().filter(|a| [429, 503].contains(&a.status)).for_each(|a| a.says_when());
    let grown = process.resident().saturating_sub(before);
    assert!(grown < MAY_GROW, "{grown} MiB");
    assert!(!place.read("up.err").contains("guess 1"), "a password is in the log");
    assert_eq!(up.stop(), Some(0));
}

#[test]
fn an_account_is_closed_where_the_operator_asks_for_it() {
    let place = Place::new();
    let up = place.up_with(&config("lockout_failure_attempts = 5\nlockout_duration = 3600"));
    let right = place.read("data/admin-password").trim().to_owned();
    for n in 0..5 {
        assert_eq!(login(ABUSER, up.address(), "admin", &format!("guess {n}")).status, 401);
    }
    assert_eq!(login(OTHER, up.address(), "admin", &right).status, 401);
    up.stop();
}

#[test]
fn beyond_every_measure_the_answer_still_arrives() {
    let place = Place::new();
    let up = place.up_with(&config(""));
    let (process, other, address) = (Process::of(&up), Other::new(&place, &up), up.address());
    let before = process.resident();
    let json = "content-type: application/json";
    let large = vec![b' '; 8 << 20];
    let post = format!("POST /compute/v2.1/servers HTTP/1.1\r\n{json}\r\nx-auth-token: {}", other.token());
    // Four times the largest body; a client that is still sending when it is refused gets to read why.
    let answer = ask(ABUSER, address, &post, &large[..460_000]);
    assert_eq!(answer.status, 413, "{answer:?}");
    assert!(answer.body.contains("overLimit") && answer.body.contains("114688"), "{answer:?}");
    let many: String = (0..150).map(|n| format!("x-{n}: y\r\n")).collect();
    assert_eq!(ask(ABUSER, address, &format!("GET /identity/v3 HTTP/1.1\r\n{}", many.trim_end()), b"").status, 431);
    let wide = format!("GET /identity/v3 HTTP/1.1\r\nx-wide: {}", "y".repeat(200_000));
    assert_eq!(ask(ABUSER, address, &wide, b"").status, 431);
    let long = format!("GET /identity/{} HTTP/1.1", "x".repeat(60_000));
    assert!([404, 414, 431].contains(&ask(ABUSER, address, &long, b"").status));
    std::thread::scope(|s| {
        for _ in 0..24 {
            s.spawn(|| ask(ABUSER, address, &post, &large));
        }
        for _ in 0..10 {
            other.is_served();
        }
    });
    let grown = process.resident().saturating_sub(before);
    assert!(grown < MAY_GROW, "{grown} MiB");
    assert_eq!(up.stop(), Some(0));
}
