//! Claims: the part of placement that runs inside somebody's transaction.
//!
//! Both functions compose into the unit that also writes the server: a claim is guarded updates, so that two
//! schedulers who saw the same free host cannot both get it, whatever their memory said.

use driver_api::Timestamp;
use model::placement::{Consumer, Resources};
use store::placement::{allocations, inventories};
use store::{Result, Tx};
use uuid::Uuid;

/// Who claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The server.
    pub consumer: Uuid,
    /// Its project.
    pub project_id: String,
    /// Its user.
    pub user_id: String,
}

/// What a release gave back, for [`crate::Placement::note_released`] after the commit.
pub type Released = Vec<(Uuid, Resources)>;

/// Takes `resources` of `provider` for a server. False: not all of it is free any more, nothing was taken, and the
/// unit may go on with the next candidate.
/// # Errors
/// The store's.
pub fn claim(tx: &mut Tx, now: Timestamp, who: &Claimant, provider: Uuid, resources: &Resources) -> Result<bool> {
    let mut taken: Vec<(&String, i64)> = Vec::new();
    for (class, amount) in resources {
        if inventories::take(tx, provider, class, *amount)? {
            taken.push((class, *amount));
            continue;
        }
        for (class, amount) in taken {
            inventories::give(tx, provider, class, amount)?;
        }
        return Ok(false);
    }
    let consumer = Consumer {
        id: who.consumer,
        generation: 1,
        project_id: who.project_id.clone(),
        user_id: who.user_id.clone(),
        kind: Some("INSTANCE".into()),
        created_at: now,
        updated_at: now,
    };
    if !resources.is_empty() {
        allocations::insert_consumer(tx, &consumer)?;
    }
    let held: Vec<(&str, i64)> = resources.iter().map(|(class, amount)| (class.as_str(), *amount)).collect();
    allocations::insert_all(tx, who.consumer, provider, &held)?;
    Ok(true)
}

/// Gives back all that a server holds. Of one that holds nothing it releases nothing.
/// # Errors
/// The store's.
pub fn release(tx: &mut Tx, consumer: Uuid) -> Result<Released> {
    let held = allocations::remove_of_consumer(tx, consumer)?;
    let mut out: Released = Vec::new();
    for a in &held {
        inventories::give(tx, a.provider, &a.class, a.used)?;
        match out.last_mut().filter(|(p, _)| *p == a.provider) {
            Some((_, r)) => {
                r.insert(a.class.clone(), a.used);
            }
            None => out.push((a.provider, Resources::from([(a.class.clone(), a.used)]))),
        }
    }
    if !held.is_empty() {
        allocations::delete_consumer(tx, consumer)?;
    }
    Ok(out)
}
