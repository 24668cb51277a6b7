//! `POST /servers`: many clients in a closed loop until so many servers are ACTIVE, and one client alone.

use crate::cloud::Cloud;
use crate::http::{Connection, find, request};
use crate::machine::{at, millis};
use serde::Serialize;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long a server may take to become ACTIVE.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a run under load was like.
#[derive(Debug, Clone, Serialize)]
pub struct Load {
    /// Servers made.
    pub servers: usize,
    /// Accepted per second, first request to last 202.
    pub accepted_per_second: f64,
    /// ACTIVE per second, first request to the last of them seen ACTIVE.
    pub active_per_second: f64,
    /// The same for each tenth of the servers.
    pub tenths: Vec<f64>,
    /// Median and 99th of the 202s, ms.
    pub post_ms: (f64, f64),
    /// CPU of the process per server, us.
    pub cpu_us_per_server: f64,
    /// Bytes written per server.
    pub written_per_server: f64,
}

/// The id in the answer to a create.
pub fn id_of(body: &[u8]) -> Option<String> {
    let start = find(body, b"\"id\":\"")? + 6;
    body.get(start..start + 36).and_then(|id| String::from_utf8(id.to_vec()).ok())
}

/// What the clients of a run share.
struct Run {
    wanted: usize,
    next: Cell<usize>,
    accepted: RefCell<Vec<(Instant, String)>>,
    times: RefCell<Vec<Duration>>,
}

/// `clients` make `servers` servers as fast as they are answered, while a watcher follows until all are ACTIVE.
/// # Errors
/// Any refusal, any server that does not become ACTIVE.
pub async fn load(cloud: &Cloud, clients: usize, servers: usize) -> Result<Load, String> {
    let run = Rc::new(Run {
        wanted: servers,
        next: Cell::new(0),
        accepted: RefCell::new(Vec::with_capacity(servers)),
        times: RefCell::new(Vec::with_capacity(servers)),
    });
    let before = cloud.usage();
    let raw = Rc::new(cloud.create("load"));
    let set = tokio::task::LocalSet::new();
    let began = Instant::now();
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (run, raw, mut connection) = (run.clone(), raw.clone(), cloud.connect().await?);
        tasks.push(set.spawn_local(async move { client(&run, &raw, &mut connection).await }));
    }
    let tenths = set.run_until(watch(cloud, &run, clients, began)).await?;
    for t in tasks {
        set.run_until(t).await.map_err(|e| e.to_string())??;
    }
    let last_accepted = run.accepted.borrow().last().map_or(began, |(at, _)| *at);
    let after = cloud.usage();
    let sorted = millis(&run.times.borrow());
    #[allow(clippy::cast_precision_loss)]
    let count = servers as f64;
    let last = tenths.last().copied().unwrap_or(began);
    let mut previous = began;
    let mut rates = Vec::new();
    for t in tenths {
        rates.push((count / 10.0 / (t - previous).as_secs_f64()).round());
        previous = t;
    }
    #[allow(clippy::cast_precision_loss)]
    let written = (after.written - before.written) as f64;
    Ok(Load {
        servers,
        accepted_per_second: count / (last_accepted - began).as_secs_f64(),
        active_per_second: count / (last - began).as_secs_f64(),
        tenths: rates,
        post_ms: (at(&sorted, 0.5), at(&sorted, 0.99)),
        cpu_us_per_server: (after.cpu_seconds - before.cpu_seconds) * 1e6 / count,
        written_per_server: written / count,
    })
}

async fn client(run: &Run, raw: &[u8], connection: &mut Connection) -> Result<(), String> {
    while run.next.get() < run.wanted {
        run.next.set(run.next.get() + 1);
        let started = Instant::now();
        let answer = connection.send(raw).await?.expect(202)?;
        run.times.borrow_mut().push(started.elapsed());
        let id = id_of(&answer.body).ok_or("an answer without an id")?;
        run.accepted.borrow_mut().push((Instant::now(), id));
    }
    Ok(())
}

/// When each tenth of the servers was ACTIVE. Servers begin in the order in which they are accepted, so a tenth is
/// there when the last of it are: as many as there are clients, each asked until it is.
async fn watch(cloud: &Cloud, run: &Run, clients: usize, began: Instant) -> Result<Vec<Instant>, String> {
    let mut connection = cloud.connect().await?;
    let mut seen = Vec::new();
    for tenth in 1..=10 {
        let upto = run.wanted * tenth / 10;
        while run.accepted.borrow().len() < upto {
            if began.elapsed() > PATIENCE + Duration::from_millis(run.wanted as u64 * 5) {
                return Err(format!("{} of {} servers were accepted in time", run.accepted.borrow().len(), run.wanted));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let last: Vec<String> = run.accepted.borrow()[upto.saturating_sub(clients)..upto].iter().map(|(_, id)| id.clone()).collect();
        for id in &last {
            until_active(cloud, &mut connection, id).await?;
        }
        seen.push(Instant::now());
    }
    Ok(seen)
}

/// Asks until the server is ACTIVE.
/// # Errors
/// It went to ERROR, or takes too long.
pub async fn until_active(cloud: &Cloud, connection: &mut Connection, id: &str) -> Result<(), String> {
    let raw = request("GET", &format!("/compute/v2.1/servers/{id}"), Some(&cloud.token), None);
    let started = Instant::now();
    loop {
        let answer = connection.send(&raw).await?.expect(200)?;
        if find(&answer.body, b"\"status\":\"ACTIVE\"").is_some() {
            return Ok(());
        }
        if find(&answer.body, b"\"status\":\"ERROR\"").is_some() {
            return Err(format!("a server went to ERROR: {}", String::from_utf8_lossy(&answer.body)));
        }
        if started.elapsed() > PATIENCE {
            return Err(format!("server {id} is not ACTIVE after {PATIENCE:?}"));
        }
        tokio::time::sleep(Duration::from_micros(500)).await;
    }
}

/// Deletes a server and waits until it is gone.
/// # Errors
/// It does not go.
pub async fn gone(cloud: &Cloud, connection: &mut Connection, id: &str) -> Result<(), String> {
    let path = format!("/compute/v2.1/servers/{id}");
    connection.send(&request("DELETE", &path, Some(&cloud.token), None)).await?.expect(204)?;
    let started = Instant::now();
    while connection.send(&request("GET", &path, Some(&cloud.token), None)).await?.status != 404 {
        if started.elapsed() > PATIENCE {
            return Err(format!("server {id} is not gone after {PATIENCE:?}"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// One client, one server after the other: times of the 202, and until seen ACTIVE, both sorted, ms.
/// # Errors
/// Any refusal.
pub async fn alone(cloud: &Cloud, servers: usize) -> Result<(Vec<f64>, Vec<f64>), String> {
    let mut connection = cloud.connect().await?;
    let raw = cloud.create("alone");
    let (mut posts, mut actives) = (Vec::new(), Vec::new());
    for _ in 0..servers {
        let started = Instant::now();
        let answer = connection.send(&raw).await?.expect(202)?;
        posts.push(started.elapsed());
        let id = id_of(&answer.body).ok_or("an answer without an id")?;
        until_active(cloud, &mut connection, &id).await?;
        actives.push(started.elapsed());
    }
    Ok((millis(&posts), millis(&actives)))
}

/// Counts the ACTIVE servers page by page: what was accepted must be there.
/// # Errors
/// Another number.
pub async fn count(cloud: &Cloud, wanted: usize) -> Result<(), String> {
    let mut connection = cloud.connect().await?;
    let (mut found, mut marker) = (0, String::new());
    loop {
        let path = format!("/compute/v2.1/servers?status=ACTIVE&limit=1000{marker}");
        let answer = connection.send(&request("GET", &path, Some(&cloud.token), None)).await?.expect(200)?.json()?;
        let page = answer["servers"].as_array().ok_or("no list")?;
        found += page.len();
        match page.last().and_then(|s| s["id"].as_str()) {
            Some(id) if page.len() == 1000 => marker = format!("&marker={id}"),
            _ => break,
        }
    }
    if found == wanted { Ok(()) } else { Err(format!("{found} servers are ACTIVE, {wanted} were accepted")) }
}

/// Every so many-th id of the stored servers, newest first: markers from everywhere in the list.
/// # Errors
/// Any refusal.
pub async fn markers(cloud: &Cloud, every: usize) -> Result<Vec<String>, String> {
    let mut connection = cloud.connect().await?;
    let (mut out, mut marker) = (Vec::new(), String::new());
    loop {
        let path = format!("/compute/v2.1/servers?limit=1000{marker}");
        let answer = connection.send(&request("GET", &path, Some(&cloud.token), None)).await?.expect(200)?.json()?;
        let page = answer["servers"].as_array().ok_or("no list")?;
        out.extend(page.iter().step_by(every).filter_map(|s| s["id"].as_str().map(str::to_owned)));
        match page.last().and_then(|s| s["id"].as_str()) {
            Some(id) if page.len() == 1000 => marker = format!("&marker={id}"),
            _ => break,
        }
    }
    // The last thousand have no full page behind them.
    out.truncate(out.len().saturating_sub(1000_usize.div_ceil(every)).max(1));
    Ok(out)
}

/// Pages of 1,000 in detail behind markers from all over, in an order that is no order: sorted times, ms.
/// # Errors
/// Any refusal, a page that is not full.
pub async fn pages(cloud: &Cloud, markers: &[String], repetitions: usize) -> Result<Vec<f64>, String> {
    let mut connection = cloud.connect().await?;
    let mut times = Vec::new();
    for n in 0..repetitions {
        // 7919 is prime: the walk jumps about and meets every marker.
        let Some(marker) = markers.get((n * 7919) % markers.len().max(1)) else { return Err("no markers".into()) };
        let raw = request("GET", &format!("/compute/v2.1/servers/detail?limit=1000&marker={marker}"), Some(&cloud.token), None);
        let started = Instant::now();
        let answer = connection.send(&raw).await?.expect(200)?;
        times.push(started.elapsed());
        if n == 0 {
            let rows = answer.json()?["servers"].as_array().map_or(0, Vec::len);
            if rows != 1000 {
                return Err(format!("a page has {rows} servers instead of 1000"));
            }
        }
    }
    Ok(millis(&times))
}
