//! A door in front of the writes, for tests that end a process before or after each of them. Nothing that is served
//! has one, and it changes nothing about what a write is.

use crate::{Result, Store};
use std::sync::Arc;

/// Asked before and after every writing unit of a [`Store`] that has it.
pub trait Door: Send + Sync {
    /// A unit is about to run. False: the process dies here, the unit never runs and its caller never hears.
    fn before(&self) -> bool;
    /// The unit ended; `changed` if rows of it are on the disk now. False: the process dies here, before its caller
    /// hears.
    fn after(&self, changed: bool) -> bool;
}

impl Store {
    /// The same database through `door`.
    #[must_use]
    pub fn behind(&self, door: Arc<dyn Door>) -> Store {
        let mut behind = self.clone();
        behind.door = Some(door);
        behind
    }
    /// Who passes through a closed door is never seen again.
    pub(crate) async fn through<T>(&self, unit: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(door) = &self.door else { return unit.await };
        if !door.before() {
            return std::future::pending().await;
        }
        let before = self.commits();
        let outcome = unit.await;
        if !door.after(self.commits() > before) {
            return std::future::pending().await;
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{SqliteMode, params};
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    /// Closes at the n-th question, before and after counted alike.
    struct Nth(AtomicU32, u32);
    impl Door for Nth {
        fn before(&self) -> bool {
            self.0.fetch_add(1, SeqCst) + 1 < self.1
        }
        fn after(&self, _: bool) -> bool {
            self.before()
        }
    }

    fn polled<T>(future: impl Future<Output = T>) -> Option<T> {
        let future = std::pin::pin!(future);
        match future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        }
    }

    #[test]
    fn before_it_nothing_happened_and_after_it_everything_did() {
        for (closes_at, stored, heard) in [(1, 0, false), (2, 1, false), (3, 1, true)] {
            let store = Store::open_memory(SqliteMode::Inline).unwrap();
            let behind = store.behind(Arc::new(Nth(AtomicU32::new(0), closes_at)));
            let write = behind.write(|tx| tx.execute("INSERT INTO counters (name, value) VALUES ('x', 1)", &[]));
            assert_eq!(polled(write).is_some(), heard, "{closes_at}");
            let count = store.read(|tx| Ok(tx.query("SELECT 1 FROM counters WHERE name = $1", params!["x"])?.len()));
            assert_eq!(polled(count).unwrap().unwrap(), stored, "{closes_at}");
            assert!(polled(behind.read(|_| Ok(()))).is_some(), "a read goes by it");
        }
    }
}
