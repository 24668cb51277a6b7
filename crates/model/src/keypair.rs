//! A keypair: a public key of a user.

use driver_api::Timestamp;
use serde::{Deserialize, Serialize};

/// One keypair (table `keypairs`, key user_id + name).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keypair {
    /// Owner: keypairs belong to users, not to projects.
    pub user_id: String,
    /// Name.
    pub name: String,
    /// `ssh` or `x509`.
    pub kind: String,
    /// MD5 fingerprint with colons.
    pub fingerprint: String,
    /// The public key.
    pub public_key: String,
    /// Made at.
    pub created_at: Timestamp,
}
