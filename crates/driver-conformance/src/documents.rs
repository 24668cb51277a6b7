//! Guests' documents and the ledger, as the kit lends them to a driver.

use async_trait::async_trait;
use driver_api::{Error, GuestDocuments, Ledger, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Bytes of the kit's config drive: whole sectors, no file system; no trial needs the guest to read it.
const DRIVE: usize = 64 * 1024;

#[derive(Default)]
struct Inner {
    unknown: BTreeSet<Uuid>,
    asked: BTreeSet<Uuid>,
}

/// Config drives by reference; remembers who was asked for.
#[derive(Default)]
pub struct Documents(Mutex<Inner>);

impl Documents {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on this guest is not assigned here.
    pub(crate) fn withhold(&self, id: Uuid) {
        self.lock().unknown.insert(id);
    }

    pub(crate) fn was_asked(&self, id: Uuid) -> bool {
        self.lock().asked.contains(&id)
    }
}

#[async_trait]
impl GuestDocuments for Documents {
    async fn config_drive(&self, instance: Uuid) -> Result<Vec<u8>> {
        let mut inner = self.lock();
        inner.asked.insert(instance);
        if inner.unknown.contains(&instance) {
            return Err(Error::no_instance(instance));
        }
        Ok(vec![0; DRIVE])
    }
}

/// A ledger in memory; it outlives the drivers of one run.
#[derive(Default)]
pub struct MemoryLedger(Mutex<BTreeMap<String, Vec<u8>>>);

impl MemoryLedger {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Ledger for MemoryLedger {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.lock().get(key).cloned())
    }
    async fn put(&self, key: &str, value: Vec<u8>) -> Result<()> {
        self.lock().insert(key.to_owned(), value);
        Ok(())
    }
    async fn delete(&self, key: &str) -> Result<()> {
        self.lock().remove(key);
        Ok(())
    }
    async fn keys(&self) -> Result<Vec<String>> {
        Ok(self.lock().keys().cloned().collect())
    }
}
