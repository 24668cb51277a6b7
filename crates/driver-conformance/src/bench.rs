//! The bench a trial works on: the driver of the moment, its events, fresh guests, and the check that nothing is left.

use crate::documents::{Documents, MemoryLedger};
use crate::ground::{Lab, plain_spec};
use crate::shelf::{Bytes, Reading, Shelf};
use crate::trials::Trial;
use crate::Factory;
use driver_api::{
    ComputeDriver, DestroyMode, Error, ErrorKind, EventKind, EventStream, HostContext, ImageRef, InstanceSpec,
    Observed, Op, PowerState, Result,
};
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// How a trial ends: well, or with what went wrong.
pub(crate) type Verdict<T = ()> = std::result::Result<T, String>;

/// Pauses between two tries of what the backend calls busy.
const AGAIN: Duration = Duration::from_millis(200);

pub(crate) struct Bench<'a> {
    factory: &'a Factory<'a>,
    pub(crate) lab: Lab,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) documents: Arc<Documents>,
    context: HostContext,
    image: ImageRef,
    driver: Mutex<Arc<dyn ComputeDriver>>,
    events: tokio::sync::Mutex<Option<EventStream>>,
    counter: AtomicU64,
    /// Guests of the trial that runs.
    made: Mutex<Vec<Uuid>>,
    /// The guest that trials share where they leave it as it was: booting one is dear on a real backend.
    shared: tokio::sync::Mutex<Option<InstanceSpec>>,
}

/// Puts a driver's error into words.
pub(crate) fn said<T>(what: &str, result: Result<T>) -> Verdict<T> {
    result.map_err(|e| format!("{what}: {}", words(&e)))
}

pub(crate) fn words(e: &Error) -> String {
    format!("{e} ({:?}{})", e.kind, e.detail.as_ref().map(|d| format!(": {d}")).unwrap_or_default())
}

/// Fails with `why` unless `right`.
pub(crate) fn ensure(right: bool, why: impl FnOnce() -> String) -> Verdict {
    if right { Ok(()) } else { Err(why()) }
}

/// `result` must be an error of one of `kinds`.
pub(crate) fn refused<T: std::fmt::Debug>(what: &str, result: Result<T>, kinds: &[ErrorKind]) -> Verdict<Error> {
    match result {
        Err(e) if kinds.contains(&e.kind) => Ok(e),
        Err(e) => Err(format!("{what}: expected one of {kinds:?}, got {}", words(&e))),
        Ok(v) => Err(format!("{what}: expected one of {kinds:?}, got success: {v:?}")),
    }
}

impl<'a> Bench<'a> {
    pub(crate) async fn open(factory: &'a Factory<'a>, lab: Lab) -> Verdict<Bench<'a>> {
        let shelf: Arc<Shelf> = Arc::default();
        let documents: Arc<Documents> = Arc::default();
        let boot = lab.ground.image();
        let image = Uuid::from_u128(lab.seed);
        shelf.add(image, boot.format, boot.bytes, Reading::Whole);
        let image = shelf.reference(image)?;
        let context = HostContext {
            host: lab.host.clone(),
            data_dir: lab.data_dir.clone(),
            netns: lab.netns.clone(),
            clock: lab.clock.clone(),
            images: shelf.clone(),
            documents: documents.clone(),
            ledger: Arc::new(MemoryLedger::default()),
        };
        let (driver, events) = start(factory, &context).await?;
        Ok(Bench {
            factory,
            lab,
            shelf,
            documents,
            context,
            image,
            driver: Mutex::new(driver),
            events: tokio::sync::Mutex::new(events),
            counter: AtomicU64::new(1),
            made: Mutex::default(),
            shared: tokio::sync::Mutex::default(),
        })
    }

    /// The driver of the moment. Trials that open it again must drop theirs first.
    pub(crate) fn driver(&self) -> Arc<dyn ComputeDriver> {
        Arc::clone(&self.driver.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another driver in front of the same backend, as after a restart (`politely`) or the death of the process.
    pub(crate) async fn reopen(&self, politely: bool) -> Verdict {
        if politely {
            self.driver().stop().await;
        }
        // The old one goes when the new one takes its place; a dead process would be gone before, which is only easier.
        let (driver, events) = start(self.factory, &self.context).await?;
        *self.driver.lock().unwrap_or_else(PoisonError::into_inner) = driver;
        *self.events.lock().await = events;
        Ok(())
    }

    /// A new id. All of its digits differ between two of them: backends make names of the first few.
    pub(crate) fn fresh(&self) -> Uuid {
        let n = self.counter.fetch_add(1, Ordering::Relaxed);
        let [low, high] = [self.lab.seed as u64, (self.lab.seed >> 64) as u64];
        let mixed = u128::from(mix(low ^ n)) | u128::from(mix(high.wrapping_add(n))) << 64;
        uuid::Builder::from_random_bytes(mixed.to_be_bytes()).into_uuid()
    }

    pub(crate) fn op(&self) -> Op {
        Op::new(self.fresh())
    }

    fn made(&self) -> MutexGuard<'_, Vec<Uuid>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy of the boot image under a new id, so that no cache knows it.
    pub(crate) fn image(&self, reading: Reading) -> Verdict<ImageRef> {
        let boot = self.lab.ground.image();
        let id = self.fresh();
        self.shelf.add(id, boot.format, boot.bytes, reading);
        self.shelf.reference(id)
    }

    /// An image of bytes that are already on the shelf (a snapshot).
    pub(crate) fn uploaded_image(&self, id: Uuid) -> Verdict<ImageRef> {
        let (format, bytes) = self.shelf.uploaded(id).ok_or("the image service got no bytes")?;
        self.shelf.add(id, format, Bytes::Memory(bytes), Reading::Whole);
        self.shelf.reference(id)
    }

    /// The specification of a new guest, plugged. Whatever becomes of it is cleaned after the trial.
    pub(crate) async fn spec(&self) -> Verdict<InstanceSpec> {
        self.spec_of(self.image.clone()).await
    }

    pub(crate) async fn spec_of(&self, image: ImageRef) -> Verdict<InstanceSpec> {
        let mut spec = plain_spec(self.fresh(), image);
        self.lab.ground.shape(&mut spec);
        self.lab.ground.plug(&mut spec).await?;
        self.made().push(spec.id);
        Ok(spec)
    }

    /// A new guest that runs.
    pub(crate) async fn guest(&self) -> Verdict<InstanceSpec> {
        let spec = self.spec().await?;
        said("spawn", self.driver().spawn(&spec, &self.op()).await)?;
        Ok(spec)
    }

    /// The shared guest, running. Who takes it leaves it in a state from which `spawn` brings it back to running.
    pub(crate) async fn shared(&self) -> Verdict<InstanceSpec> {
        let mut shared = self.shared.lock().await;
        if let Some(spec) = &*shared {
            let there = self.driver().spawn(spec, &self.op()).await;
            if there.is_ok_and(|o| o.power == PowerState::Running) {
                return Ok(spec.clone());
            }
            self.clean(spec.id).await?;
            *shared = None;
        }
        let spec = self.guest().await?;
        self.made().retain(|id| *id != spec.id);
        *shared = Some(spec.clone());
        Ok(spec)
    }

    /// Repeats `call` while the backend says that it is busy.
    pub(crate) async fn patiently<T, F: Future<Output = Result<T>>>(&self, mut call: impl FnMut() -> F) -> Result<T> {
        loop {
            match call().await {
                Err(e) if e.kind == ErrorKind::Busy => tokio::time::sleep(AGAIN).await,
                other => return other,
            }
        }
    }

    /// What the contract calls soon.
    pub(crate) async fn soon<T>(&self, what: &str, work: impl Future<Output = T>) -> Verdict<T> {
        timeout(self.lab.soon, work).await.map_err(|_| format!("{what} did not happen within {:?}", self.lab.soon))
    }

    /// Waits until the driver told of `kind`; other events are passed over.
    pub(crate) async fn event(&self, id: Uuid, kind: EventKind) -> Verdict {
        let mut events = self.events.lock().await;
        let stream = events.as_mut().ok_or("the driver gave no stream of events")?;
        let heard = async {
            while let Some(event) = stream.recv().await {
                if event.id == id && event.kind == kind {
                    return Ok(());
                }
            }
            Err(format!("the stream of events ended before {kind:?}"))
        };
        self.soon(&format!("event {kind:?}"), heard).await?
    }

    /// Whether the stream of events has ended.
    pub(crate) async fn events_end(&self) -> Verdict {
        let mut events = self.events.lock().await;
        let stream = events.as_mut().ok_or("the driver gave no stream of events")?;
        self.soon("the end of the stream of events", async { while stream.recv().await.is_some() {} }).await
    }

    /// The guest as `get` sees it, which `list` must confirm.
    pub(crate) async fn observed(&self, id: Uuid) -> Verdict<Observed> {
        let driver = self.driver();
        let one = said("get", driver.get(id).await)?;
        let all = said("list", driver.list().await)?;
        match all.iter().filter(|o| o.id == id).collect::<Vec<_>>()[..] {
            [listed] if *listed == one => Ok(one),
            [listed] => Err(format!("get says {one:?} and list says {listed:?}")),
            [] => Err(format!("get says {one:?}, list does not show it")),
            _ => Err("list shows one guest more than once".to_owned()),
        }
    }

    pub(crate) async fn expect(&self, id: Uuid, power: PowerState) -> Verdict {
        let seen = self.observed(id).await?;
        ensure(seen.power == power, || format!("the guest is {:?}, expected {power:?}", seen.power))
    }

    /// Nothing of a guest is there, seen through the driver and without it.
    pub(crate) async fn gone(&self, id: Uuid) -> Verdict {
        let driver = self.driver();
        refused("get of what must be gone", driver.get(id).await, &[ErrorKind::NotFound])?;
        let all = said("list", driver.list().await)?;
        ensure(all.iter().all(|o| o.id != id), || "list shows a guest that must be gone".to_owned())?;
        let left = self.lab.ground.leftovers(id).await;
        ensure(left.is_empty(), || format!("left behind: {}", left.join(", ")))
    }

    async fn clean(&self, id: Uuid) -> Verdict {
        let driver = self.driver();
        let destroyed = self.patiently(|| async { driver.destroy(id, DestroyMode::Everything, &self.op()).await });
        let destroyed = timeout(self.lab.limit, destroyed).await.map_err(|_| "destroy did not end".to_owned())?;
        self.lab.ground.unplug(id).await;
        said("destroy afterwards", destroyed)?;
        self.gone(id).await
    }

    /// Runs one trial and cleans up behind it; what it left counts against it.
    pub(crate) async fn attempt(&self, trial: &Trial) -> Verdict {
        let verdict = match timeout(self.lab.limit, (trial.run)(self)).await {
            Ok(verdict) => verdict,
            Err(_) => Err(format!("it did not end within {:?}", self.lab.limit)),
        };
        if verdict.is_err() {
            // Whatever state the driver is in now is not the next trial's business.
            self.lab.ground.set_reachable(true).await;
            self.reopen(false).await?;
        }
        let mut cleaned = Ok(());
        let made = std::mem::take(&mut *self.made());
        for id in made {
            cleaned = cleaned.and(self.clean(id).await);
        }
        verdict.and(cleaned)
    }

    /// The end: the shared guest goes too.
    pub(crate) async fn close(&self) -> Verdict {
        let shared = self.shared.lock().await.take();
        let cleaned = match shared {
            Some(spec) => self.clean(spec.id).await,
            None => Ok(()),
        };
        self.driver().stop().await;
        cleaned
    }
}

/// One step of SplitMix64.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

async fn start(factory: &Factory<'_>, context: &HostContext) -> Verdict<(Arc<dyn ComputeDriver>, Option<EventStream>)> {
    let driver: Arc<dyn ComputeDriver> = Arc::from(factory().await);
    said("start", driver.start(context.clone()).await)?;
    let events = driver.events();
    Ok((driver, events))
}
