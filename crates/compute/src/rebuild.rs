//! `rebuild`: destroy the disks and spawn anew; the ports stay plugged.
//!
//! Destroy and spawn are idempotent, but the two together are not: a rebuild whose answer was lost would wipe what
//! the new guest wrote meanwhile. So a finished rebuild is noted by its operation before it is answered.

use crate::host::Host;
use driver_api::{DestroyMode, ErrorKind, Ledger, Observed, Op, Phase, Result};
use messaging::Assignment;
use std::sync::PoisonError;
use uuid::Uuid;

const PREFIX: &str = "rebuilt-";

impl Host {
    pub(crate) async fn rebuild(&self, a: &Assignment, op: &Op) -> Result<Observed> {
        let id = a.spec.id;
        if let Some(observed) = self.rebuilt_before(id, op).await? {
            return Ok(observed);
        }
        let _slot = self.build_slot(op).await?;
        let spec = self.wire(&a.spec).await?;
        op.report(Phase::BlockDevices { done: 0, total: 0 });
        self.driver.destroy(id, DestroyMode::Everything, op).await?;
        op.check()?;
        let observed = self.driver.spawn(&spec, op).await?;
        self.notes.put(&key(id), op.id.as_bytes().to_vec()).await?;
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Ok(observed)
    }

    /// The guest, if it is already what this operation made of it.
    async fn rebuilt_before(&self, id: Uuid, op: &Op) -> Result<Option<Observed>> {
        if !self.has_note(id) || self.notes.get(&key(id)).await?.as_deref() != Some(op.id.as_bytes().as_slice()) {
            return Ok(None);
        }
        match self.driver.get(id).await {
            Ok(observed) => Ok(Some(observed)),
            Err(e) if e.kind == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The guest is gone, and its note with it.
    pub(crate) async fn forget_rebuild(&self, id: Uuid) -> Result<()> {
        if self.has_note(id) {
            self.notes.delete(&key(id)).await?;
            self.noted.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
        Ok(())
    }

    /// Learns which guests have notes from an earlier life.
    pub(crate) async fn load_notes(&self) -> Result<()> {
        let keys = self.notes.keys().await?;
        let ids = keys.iter().filter_map(|k| Uuid::parse_str(k.strip_prefix(PREFIX)?).ok());
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).extend(ids);
        Ok(())
    }

    fn has_note(&self, id: Uuid) -> bool {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }
}

fn key(id: Uuid) -> String {
    format!("{PREFIX}{id}")
}
