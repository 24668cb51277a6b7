//! Resource providers and what is promised of them (Placement's records).

use driver_api::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Virtual CPUs.
pub const VCPU: &str = "VCPU";
/// Memory, MiB.
pub const MEMORY_MB: &str = "MEMORY_MB";
/// Disk, GiB.
pub const DISK_GB: &str = "DISK_GB";
/// Placement's largest amount (a signed 32-bit integer in its database).
pub const MAX_AMOUNT: i64 = 0x7fff_ffff;

/// One provider (table `resource_providers`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Identity.
    pub id: Uuid,
    /// Name; unique.
    pub name: String,
    /// Grows with every change; writers must name the one they saw.
    pub generation: i64,
    /// Provider above it.
    pub parent: Option<Uuid>,
    /// Top of its tree (itself where there is no parent).
    pub root: Uuid,
    /// Compute host, for providers that hosts registered.
    pub host: Option<String>,
    /// Node of that host.
    pub node: Option<String>,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}

/// What a provider has of one class (table `inventories`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Resource class.
    pub class: String,
    /// All of it.
    pub total: i64,
    /// Kept back.
    pub reserved: i64,
    /// Least amount of one allocation.
    pub min_unit: i64,
    /// Largest amount of one allocation.
    pub max_unit: i64,
    /// Amounts are multiples of it.
    pub step_size: i64,
    /// Times it may be promised.
    pub allocation_ratio: f64,
    /// Promised; changed only by guarded updates.
    pub used: i64,
}

impl Inventory {
    /// Inventory of `class` with Placement's defaults for the rest.
    pub fn new(class: impl Into<String>, total: i64) -> Inventory {
        Inventory {
            class: class.into(),
            total,
            reserved: 0,
            min_unit: 1,
            max_unit: MAX_AMOUNT,
            step_size: 1,
            allocation_ratio: 1.0,
            used: 0,
        }
    }
    /// What may be promised: `floor((total - reserved) * allocation_ratio)`, never below 0.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
    pub fn capacity(&self) -> i64 {
        // A float cast saturates, so absurd ratios end at i64::MAX.
        (((self.total - self.reserved).max(0) as f64) * self.allocation_ratio).floor() as i64
    }
    /// Would an allocation of `amount` be well formed here (unit limits and steps), whatever is free?
    pub fn fits_units(&self, amount: i64) -> bool {
        amount >= self.min_unit && amount <= self.max_unit && amount % self.step_size.max(1) == 0
    }
}

/// Who holds allocations (table `consumers`): a server, as a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// Identity: the server's id.
    pub id: Uuid,
    /// Grows with every change.
    pub generation: i64,
    /// Project.
    pub project_id: String,
    /// User.
    pub user_id: String,
    /// `INSTANCE`, `MIGRATION`, … (1.38).
    pub kind: Option<String>,
    /// Made at.
    pub created_at: Timestamp,
    /// Changed at.
    pub updated_at: Timestamp,
}

/// One promise (table `allocations`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allocation {
    /// Who holds it.
    pub consumer: Uuid,
    /// Of which provider.
    pub provider: Uuid,
    /// Resource class.
    pub class: String,
    /// Amount.
    pub used: i64,
}

/// Amounts by class. Sorted, so that every transaction takes rows in the same order.
pub type Resources = BTreeMap<String, i64>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_rounds_down_and_is_never_negative() {
        let mut i = Inventory::new(VCPU, 3);
        i.allocation_ratio = 1.5;
        assert_eq!(i.capacity(), 4);
        i.reserved = 5;
        assert_eq!(i.capacity(), 0);
        i.step_size = 4;
        assert!(i.fits_units(8) && !i.fits_units(6) && !i.fits_units(0));
    }
}
