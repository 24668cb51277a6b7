//! What a crash left, and what an operator may want to know. The rows are right; files follow them.

use crate::Images;
use crate::error::{Error, Result};
use crate::files::Files;
use model::image::Status;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What the start cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Uploads that were interrupted; their images are queued again.
    pub uploads: u64,
    /// Files removed.
    pub files: u64,
}

/// One disagreement between rows and files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The image is active and its bytes are not there.
    Missing(Uuid),
    /// The bytes are not as many as the row says.
    WrongSize {
        /// The image.
        id: Uuid,
        /// Recorded.
        recorded: u64,
        /// Found.
        found: u64,
    },
    /// Bytes that no image claims.
    Orphan(Uuid),
}

impl Images {
    /// Once before serving: interrupted uploads go back to queued, and bytes that no image claims are removed. A
    /// snapshot whose bytes are complete keeps them; its flow goes on.
    /// # Errors
    /// `Disk`, `Store`.
    pub async fn recover(&self) -> Result<Recovered> {
        let now = self.env().now();
        let run = move |tx: &mut store::Tx| {
            let uploads = store::image::release_interrupted(tx, now)?;
            Ok((uploads, store::image::all(tx)?, store::damage::any(tx, "images")?))
        };
        let (uploads, rows, damaged) = self.store().write(run).await.map_err(Error::from_unit)?;
        let rows: BTreeMap<Uuid, _> = rows.into_iter().map(|r| (r.id, r)).collect();
        let clean = move |files: &Files| {
            let mut removed = files.clear_incoming()?;
            for (id, found) in files.scan()? {
                let row = rows.get(&id);
                let snapshot = row.is_some_and(|r| r.writer.as_deref().is_some_and(|w| w.starts_with("flow:")));
                if row.is_some_and(|r| r.status.has_data()) {
                    if found.record {
                        files.forget_record(id)?;
                    }
                } else if row.is_none() && damaged {
                    tracing::error!(image = %id, "bytes that no image claims stay: an image's row is damaged, and they may be its own");
                } else if !(snapshot && found.record) {
                    files.remove(id)?;
                    removed += 1;
                }
            }
            Ok(removed)
        };
        let removed = self.files().blocking(clean).await?;
        if uploads + removed > 0 {
            tracing::info!(uploads, files = removed, "cleaned up after interrupted uploads");
        }
        Ok(Recovered { uploads, files: removed })
    }

    /// Removes bytes that no image claims, unless a damaged row may; whether there were some.
    /// # Errors
    /// `Disk`, `Store`.
    pub async fn remove_unclaimed(&self, id: Uuid) -> Result<bool> {
        let claimed = move |tx: &mut store::Tx| {
            let row = store::image::find(tx, id)?;
            let waits = row.is_none_or(|i| i.status == Status::Queued && i.writer.is_none());
            Ok(!waits || store::damage::any(tx, "images")?)
        };
        if self.store().read(claimed).await.map_err(Error::from_unit)? {
            return Ok(false);
        }
        let there = self.files().blocking(Files::scan).await?.contains_key(&id);
        self.discard(id).await?;
        Ok(there)
    }

    /// Where rows and files disagree, by image. Changes nothing; while uploads run it may report what they are about to
    /// put right.
    /// # Errors
    /// `Disk`, `Store`.
    pub async fn audit(&self) -> Result<Vec<Finding>> {
        let rows = self.store().read(store::image::all).await?;
        let mut found = self.files().blocking(Files::scan).await?;
        let mut findings = Vec::new();
        for row in rows {
            let file = found.remove(&row.id).unwrap_or_default();
            match (row.status.has_data(), file.size, row.size) {
                (true, None, _) => findings.push(Finding::Missing(row.id)),
                (true, Some(found), Some(recorded)) if found != recorded => {
                    findings.push(Finding::WrongSize { id: row.id, recorded, found });
                }
                (false, Some(_), _) if row.status == Status::Queued && row.writer.is_none() => {
                    findings.push(Finding::Orphan(row.id));
                }
                _ => {}
            }
        }
        findings.extend(found.into_keys().map(Finding::Orphan));
        Ok(findings)
    }
}
