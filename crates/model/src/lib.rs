//! Records, states and the `ACTIONS` table.
//!
//! Everything here is pure: no I/O, no clock of its own, no randomness of its own. What the database stores,
//! what the doors show and what the flows change are the same types, each in one module per aggregate.

pub mod actions;
pub mod aggregate;
pub mod context;
pub mod fault;
pub mod flavor;
pub mod flow;
pub mod identity;
pub mod image;
pub mod keypair;
pub mod network;
pub mod placement;
pub mod policy;
pub mod quota;
pub mod random;
pub mod secret;
pub mod server;
pub mod server_group;
pub mod service;
pub mod time;

pub use actions::{ACTIONS, Action, ActionRow, After};
pub use context::{Context, Scope};
pub use driver_api::{Clock, Timestamp};
pub use random::Random;
pub use secret::Secret;

/// Time and randomness as one argument: what a deterministic run injects.
#[derive(Clone)]
pub struct Env {
    /// Time.
    pub clock: Clock,
    /// Randomness.
    pub random: Random,
}

impl Env {
    /// The machine's clock and randomness.
    pub fn system() -> Env {
        Env { clock: Clock::system(), random: Random::os() }
    }
    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
    /// A fresh random UUID (version 4).
    pub fn uuid(&self) -> uuid::Uuid {
        self.random.uuid()
    }
    /// A fresh UUID whose first bits are the time (version 7): rows that are made together lie together in an index, so a
    /// commit of many writes few pages. For rows that come in great number; its 74 random bits make it as unique.
    pub fn ordered_uuid(&self) -> uuid::Uuid {
        let mut random = [0; 10];
        self.random.fill(&mut random);
        let millis = u64::try_from(self.now().0 / 1000).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
    /// A fresh id of the identity service: 32 hex digits.
    pub fn hex_id(&self) -> String {
        self.random.uuid().simple().to_string()
    }
}
