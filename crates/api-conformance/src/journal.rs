//! The journal of a life as one hash: what two runs of one seed must have in common.

use sha2::{Digest, Sha256};
use store::servers::{Deleted, Filter, Page};
use store::{Result, Store};

/// SHA-256, in hex, over every server row, gone ones included, and every flow row with its steps and times.
/// # Errors
/// The database's.
pub async fn journal(store: &Store) -> Result<String> {
    let lines = store
        .read(|tx| {
            let all = Filter { deleted: Deleted::Any, ..Filter::default() };
            let mut servers = store::servers::list(tx, &all, &Page::default(), |_| true)?;
            servers.sort_by_key(|s| s.id);
            let mut lines = Vec::new();
            for server in servers {
                lines.push(format!("{server:?}"));
                for flow in store::flows::list_for_server(tx, server.id)? {
                    lines.push(format!("{flow:?}"));
                }
            }
            Ok(lines)
        })
        .await?;
    let mut hash = Sha256::new();
    for line in lines {
        hash.update(line.as_bytes());
        hash.update(b"\n");
    }
    Ok(hex::encode(hash.finalize()))
}
