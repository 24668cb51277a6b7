//! Two threads that say and hear that the log of changes has grown: a hint to look now, nothing more. What they miss is
//! found by whoever looks from time to time.

use super::Pg;
use super::tls::Target;
use crate::Result;
use crate::store::{Counters, spawn};
use postgres::fallible_iterator::FallibleIterator;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// How long a thread waits before it sees whether it shall end.
const TICK: Duration = Duration::from_millis(100);
/// Pause after a lost connection.
const AGAIN: Duration = Duration::from_millis(500);
/// Hints of so many units are one.
const TOGETHER: Duration = Duration::from_millis(1);

/// The ends of the two threads.
pub(crate) struct Ears {
    pub(crate) grown: watch::Receiver<u64>,
    pub(crate) threads: Vec<JoinHandle<()>>,
    pub(crate) stop: Arc<AtomicBool>,
}

/// Starts them; units that note something are said from now on.
pub(crate) fn start(url: &str, counters: &Counters) -> Result<Ears> {
    let target = Target::read(url)?;
    let stop = Arc::new(AtomicBool::new(false));
    let (grow, grown) = watch::channel(0);
    let (poke, poked) = sync_channel(1);
    counters.poke_by(poke);
    let (mouth, ears) = (target.clone(), target);
    let (first, second) = (stop.clone(), stop.clone());
    let threads = vec![
        spawn("store-notify", move || say(&mut Pg::new(mouth), &poked, &first))?,
        spawn("store-listen", move || hear(&mut Pg::new(ears), &grow, &second))?,
    ];
    Ok(Ears { grown, threads, stop })
}

fn say(pg: &mut Pg, poked: &Receiver<()>, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        match poked.recv_timeout(TICK) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => return,
        }
        std::thread::sleep(TOGETHER);
        if pg.batch("SELECT pg_notify('kilonova_' || current_schema(), '')").is_err() {
            pg.client = None;
            std::thread::sleep(AGAIN);
        }
    }
}

fn hear(pg: &mut Pg, grow: &watch::Sender<u64>, stop: &AtomicBool) {
    while !stop.load(Relaxed) {
        if pg.batch("DO $$ BEGIN EXECUTE format('LISTEN %I', 'kilonova_' || current_schema()); END $$").is_ok() {
            // Something may have been said while nobody listened.
            grow.send_modify(|n| *n += 1);
            listen(pg, grow, stop);
        }
        pg.client = None;
        if !stop.load(Relaxed) {
            std::thread::sleep(AGAIN);
        }
    }
}

/// Until the connection is lost or the thread shall end.
fn listen(pg: &mut Pg, grow: &watch::Sender<u64>, stop: &AtomicBool) {
    let Some(client) = &mut pg.client else { return };
    while !stop.load(Relaxed) && !client.is_closed() {
        let heard = client.notifications().timeout_iter(TICK).next();
        match heard {
            Ok(Some(_)) => {
                let waiting = client.notifications().iter().count();
                tracing::trace!(waiting = ?waiting.ok(), "the log of changes has grown");
                grow.send_modify(|n| *n += 1);
            }
            Ok(None) => {}
            Err(_) => return,
        }
    }
}
